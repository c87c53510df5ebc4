"""A TypeError for an unknown keyword that names the right parameter, and where to pass it.

Only this error changes. The signatures do not, since scikit-learn reads them.
"""

from difflib import get_close_matches
from functools import wraps
from inspect import signature

from ._typing import Method

_OUR_NAMES = {  # of parameters of Keras, XGBoost, skorch, transformers and scikit-learn
    "early_stopping_rounds": "early_stopping and n_iter_no_change",
    "epochs": "max_epochs",
    "eval_set": "X_val and y_val",
    "lr": "learning_rate",
    "max_iter": "max_epochs",
    "max_seq_length": "max_length",
    "model_name": "model",
    "model_name_or_path": "model",
    "n_epochs": "max_epochs",
    "num_train_epochs": "max_epochs",
    "patience": "n_iter_no_change",
    "per_device_train_batch_size": "batch_size",
    "pretrained_model_name_or_path": "model",
    "seed": "random_state",
    "validation_data": "X_val and y_val",
    "validation_split": "early_stopping and validation_fraction",
    "warmup_ratio": "warmup_fraction",
}


def explain_keywords(method: Method) -> Method:
    """Decorate a method so that an unknown keyword raises a TypeError with a hint."""
    known = signature(method).parameters

    @wraps(method)
    def wrapper(self, *args, **kwargs):
        for name in kwargs.keys() - known.keys():
            raise TypeError(
                f"{type(self).__name__}.{method.__name__}() got an unexpected keyword argument {name!r}. "
                f"{_hint(type(self), name, known)}"
            )
        return method(self, *args, **kwargs)

    return wrapper


def _hint(estimator_class, name, known):
    """A sentence on what to pass instead of the keyword, and where."""
    places = {"": known, " to the constructor": signature(estimator_class).parameters}
    places[" to fit"] = signature(estimator_class.fit).parameters
    ours = _OUR_NAMES.get(name, name)
    for place, parameters in places.items():
        if ours.split()[0] in parameters:
            return f"Pass {ours}{place}."
    for place, parameters in places.items():
        if similar := get_close_matches(name, parameters, n=1):
            return f"Did you mean {similar[0]}? Pass it{place}."
    return f"Expected some of {', '.join(name for name in known if name != 'self')}."
