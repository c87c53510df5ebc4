"""Save a fitted module so that transformers can load it, and load the classifiers of transformers.

Both packages have a BERT encoder with a linear head on its pooler. The weights of other modules of this
package would load in transformers without an error, and the predictions would be wrong. Their config.json
therefore has a model type that transformers does not know: a sentence with the reason.
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
        return "the head compares two texts that are encoded separately"
    if module.hidden:
        return "the head has hidden layers"
    if module.pooling != "pooler":
        return f"the pooling is {module.pooling!r}, BERT's is 'pooler'"
    if module.config.model_type != "bert":
        return f"the encoder is a {module.config.model_type!r}, not a 'bert'"
    return None


def to_config(module, target, names):
    """The content of config.json: for `BertForSequenceClassification`, or with the reason as the model type.

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
    if len(set(names)) == len(names):  # else the config keeps the default names, LABEL_0, ...
        config["id2label"] = {str(i): name for i, name in enumerate(names)}
        config["label2id"] = {name: i for i, name in enumerate(names)}
    reason = transformers_incompatibility(module)
    if reason is None:
        return config
    sentence = f"sklearn_bert ({reason}; open the folder with from_pretrained of sklearn_bert's estimators)"
    return {"model_type": sentence, "encoder_config": config}


def to_tokenizer(tokenizer, module):
    """A copy of the tokenizer that gives token type ids and has the model's maximum length, as transformers needs."""
    if transformers_incompatibility(module):
        return tokenizer
    tokenizer = copy(tokenizer)  # a deep one would copy the vocabulary
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer.init_kwargs = tokenizer.init_kwargs | {"model_input_names": tokenizer.model_input_names}
    tokenizer.model_max_length = resolve_max_length(None, tokenizer, count_positions(module.config), 1)
    return tokenizer


def fold_scale(arrays, target):
    """Fold the scale of y into the head, so that the logits are in the units of y.

    Rounding changes predictions a little, but the predictions of a loaded estimator must be equal to the bit. So
    the original head is stored, too.

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
        The original values of the weights that differ in `folded`; empty if none do.
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
        A folder with a complete checkpoint.

    Returns
    -------
    config, tokenizer : object
    weights : dict of torch.Tensor
        The rows of the head are in the order of the sorted labels. No file stays mapped into memory.
    target : Target
    names : ndarray of str, or None
        The labels of a multi-label classifier.

    Raises
    ------
    ValueError
        If it has another architecture, or unusable names of labels.
    OSError
        If a file is missing or damaged.
    """
    if own_config(folder):  # transformers may not know its pooling or layers
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
    tokenizer = load_tokenizer(folder, config)  # before the weights: parsing it needs much memory for a moment
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
            # transformers maps the file into memory: weights that do not change with the file would be a second copy.
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
