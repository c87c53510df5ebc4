"""scikit-learn estimators that fine-tune a BERT: texts in, labels or numbers out."""

import warnings

with warnings.catch_warnings():  # tqdm's about absent notebook widgets, which the hub's client would import
    warnings.simplefilter("ignore")
    import tqdm.auto  # noqa: F401 - imported here, it does not warn later

from ._classifier import BertClassifier
from ._inspection.attribution import TokenAttribution
from ._inspection.attribution_display import TokenAttributionDisplay
from ._inspection.training_curve_display import TrainingCurveDisplay
from ._model.module import BertModule
from ._regressor import BertRegressor
from ._runtime.array_cache import clear_cache
from ._storage.versions import __version__
from ._target_encoder import TextTargetEncoder
from ._thresholds import TunedThresholdsClassifierCV
from ._training.training_net import BertNet
from ._vectorizer import BertVectorizer

__all__ = [
    "BertClassifier",
    "BertModule",
    "BertNet",
    "BertRegressor",
    "BertVectorizer",
    "TextTargetEncoder",
    "TokenAttribution",
    "TokenAttributionDisplay",
    "TrainingCurveDisplay",
    "TunedThresholdsClassifierCV",
    "__version__",
    "clear_cache",
]
