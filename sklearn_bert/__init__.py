"""scikit-learn estimators that fine-tune a BERT: texts in, labels or numbers out."""

from ._classifier import BertClassifier
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
    "TunedThresholdsClassifierCV",
    "__version__",
]
