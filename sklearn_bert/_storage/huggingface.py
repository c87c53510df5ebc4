"""Saving a fitted module so that transformers can load it, and loading the classifiers of transformers.

Both packages have a BERT encoder with a linear head on its pooler. The weights of other modules of this
package would load in transformers without an error and predict nonsense. Their config.json therefore has
a model type that transformers does not know: a sentence with the reason.
"""

from copy import copy

import numpy as np
import torch
import transformers

from .._data.targets import TARGETS, RegressionTarget, SingleLabelTarget
from .._encoding.truncation import resolve_max_length
from .._model.checkpoint import count_positions, load_config, load_tokenizer, own_config
from .._model.hub import quiet, why
from .weights_file import read_weights_file

_ARCHITECTURE = "BertForSequenceClassification"
_SAVE_AGAIN = "Save the model again with model.save_pretrained(folder)."


def transformers_incompatibility(module):
    """The reason why transformers cannot load a module, in a few words; None if it can."""
    if module.bi_encoder:
        return "the head compares two texts that are encoded one by one"
    if module.hidden:
        return "the head has hidden layers"
    if module.pooling != "pooler":
        return f"the pooling is {module.pooling!r}, BERT's is 'pooler'"
    if module.config.model_type != "bert":
        return f"the encoder is a {module.config.model_type!r}, not a 'bert'"
    return None


def to_config(module, target, names):
    """The content of config.json: of a `BertForSequenceClassification`, or of a model type that states the reason.

    Parameters
    ----------
    module : BertModule
    target : Target
    names : sequence or None
        The labels, in the order of the logits; None for a regression.

    Returns
    -------
    config : dict
    """
    config = module.config.to_dict() | {"architectures": [_ARCHITECTURE], "problem_type": target.problem_type}
    names = [f"LABEL_{i}" for i in range(target.num_labels)] if names is None else [str(name) for name in names]
    if len(set(names)) == len(names):  # else those of transformers, LABEL_0, ..., which config has
        config["id2label"] = {str(i): name for i, name in enumerate(names)}
        config["label2id"] = {name: i for i, name in enumerate(names)}
    reason = transformers_incompatibility(module)
    if reason is None:
        return config
    sentence = f"sklearn_bert ({reason}; open the folder with from_pretrained of sklearn_bert's estimators)"
    return {"model_type": sentence, "encoder_config": config}


def to_tokenizer(tokenizer, module):
    """A copy of the tokenizer with settings that this package passes as arguments: segment ids, maximum length."""
    if transformers_incompatibility(module):
        return tokenizer
    tokenizer = copy(tokenizer)  # a deep one would copy the vocabulary
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer.init_kwargs = tokenizer.init_kwargs | {"model_input_names": tokenizer.model_input_names}
    tokenizer.model_max_length = resolve_max_length(None, tokenizer, count_positions(module.config), 1)
    return tokenizer


def fold_scale(arrays, target):
    """Put the scale of y into the head, so that raw logits are in the units of y.

    Rounding changes predictions a little, and a loaded estimator must predict the same to the bit. So the
    original head is stored as well.

    Parameters
    ----------
    arrays : dict of ndarray
        The weights, by name.
    target : Target

    Returns
    -------
    folded : dict of ndarray
        All weights.
    head : dict of ndarray
        The original weights of those that differ in `folded`; empty if none do.
    """
    weight, bias = (arrays[f"classifier.{name}"] for name in ("weight", "bias"))
    folded = target.unscale_head(weight, bias)
    if all(np.array_equal(*pair) for pair in zip(folded, (weight, bias), strict=True)):
        return arrays, {}
    names = ("classifier.weight", "classifier.bias")
    folded = (array.astype(weight.dtype) for array in folded)
    return arrays | dict(zip(names, folded, strict=True)), {name: arrays[name] for name in names}


def load_transformers_classifier(folder):
    """Load a fine-tuned `BertForSequenceClassification` that another package saved.

    Parameters
    ----------
    folder : Path
        With a complete checkpoint.

    Returns
    -------
    config, tokenizer : object
    weights : dict of torch.Tensor
        With the head's rows in the order of the sorted labels. No file stays mapped into memory.
    target : Target
    names : ndarray of str, or None
        The labels of a multi-label classifier.

    Raises
    ------
    ValueError
        If it is another architecture.
    OSError
        If files are damaged.
    """
    if own_config(folder):  # its pooling or layers may be unknown to transformers
        raise OSError(
            f"{str(folder)!r} holds an estimator of this package without its 'sklearn_bert.json'. Copy the whole "
            "folder again, or save the estimator again."
        )
    config = load_config(folder)
    if config.model_type != "bert" or config.architectures != [_ARCHITECTURE]:
        raise ValueError(
            f"{str(folder)!r} holds {config.architectures or 'no named architecture'} of type {config.model_type!r}. "
            f"Expected a folder that save_pretrained wrote, or one with a {_ARCHITECTURE}. For another encoder, pass "
            "the folder as model= and fit."
        )
    tokenizer = load_tokenizer(folder, config)  # before the weights: its own peak is not added to theirs
    weights = _read_weights(folder, config)
    target, order, names = _read_labels(config, folder)
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name][order]
    config.num_labels, config.problem_type = target.num_labels, target.problem_type
    return config, tokenizer, weights, target, names


def _read_weights(folder, config):
    single = folder / "model.safetensors"
    try:
        with quiet():
            # transformers only maps the file: weights that stay right when it changes would be a copy beside the map.
            given = {"state_dict": read_weights_file(single)} if single.is_file() else {}
            model, report = transformers.BertForSequenceClassification.from_pretrained(
                None if given else folder,
                config=config,
                dtype=torch.float32,
                weights_only=True,
                output_loading_info=True,
                **given,
            )
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # safetensors and torch raise many classes of errors on damaged files
        raise OSError(f"The weights in {str(folder)!r} cannot be read: {why(error)}. {_SAVE_AGAIN}") from error
    if report["missing_keys"]:
        raise OSError(
            f"The weights in {str(folder)!r} lack {', '.join(sorted(report['missing_keys'])[:3])}. Expected those of a "
            f"fine-tuned {_ARCHITECTURE}. {_SAVE_AGAIN}"
        )
    return {name: tensor if given else tensor.clone() for name, tensor in model.state_dict().items()}


def _read_labels(config, folder):
    """The target, the order of its outputs among the logits, and the label names of a multi-label target."""
    names = [config.id2label.get(i) for i in range(config.num_labels)]
    if not all(isinstance(name, (str, int)) for name in names):
        raise ValueError(
            f"The config.json of {str(folder)!r} has the id2label {config.id2label}. Expected a name for each of 0 to "
            f"{config.num_labels - 1}. Name them so there."
        )
    default = RegressionTarget if config.num_labels == 1 else SingleLabelTarget
    target_class = TARGETS.get(config.problem_type, default)
    try:
        return target_class.from_output_names(names)
    except ValueError as error:
        raise ValueError(f"The config.json of {str(folder)!r} {error}") from None
