"""scikit-learn estimators that fine-tune a BERT: texts in, labels or numbers out."""

from ._classifier import BertClassifier
from ._module import BertModule
from ._regressor import BertRegressor
from ._thresholds import TunedThresholdsClassifierCV

__version__ = "0.1.0"

__all__ = ["BertClassifier", "BertModule", "BertRegressor", "TunedThresholdsClassifierCV", "__version__"]
