"""scikit-learn estimators that fine-tune a BERT: texts in, labels or numbers out."""

from ._attribution import TokenAttribution
from ._attribution_display import TokenAttributionDisplay
from ._classifier import BertClassifier
from ._curve_display import TrainingCurveDisplay
from ._module import BertModule
from ._regressor import BertRegressor
from ._thresholds import TunedThresholdsClassifierCV
from ._vectorizer import BertVectorizer
from ._versions import __version__

__all__ = [
    "BertClassifier",
    "BertModule",
    "BertRegressor",
    "BertVectorizer",
    "TokenAttribution",
    "TokenAttributionDisplay",
    "TrainingCurveDisplay",
    "TunedThresholdsClassifierCV",
    "__version__",
]
