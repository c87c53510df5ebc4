"""scikit-learn estimators that fine-tune a BERT: texts in, labels or numbers out."""

from ._attribution import TokenAttribution
from ._attribution_display import TokenAttributionDisplay
from ._classifier import BertClassifier
from ._curve_display import TrainingCurveDisplay
from ._module import BertModule
from ._regressor import BertRegressor

__version__ = "0.1.0"

__all__ = [
    "BertClassifier",
    "BertModule",
    "BertRegressor",
    "TokenAttribution",
    "TokenAttributionDisplay",
    "TrainingCurveDisplay",
    "__version__",
]
