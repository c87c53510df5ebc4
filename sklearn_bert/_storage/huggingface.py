"""A fitted module as transformers has it, and transformers' classifiers as a fitted module.

The one form that both know is a BERT encoder with a linear head on its pooler. What else this package
fits would load there without an error and predict nonsense, so its config.json names a model type that
transformers does not have, in words that say why.
"""

from copy import deepcopy

import numpy as np
import torch
import transformers

from .._data.targets import TARGETS, RegressionTarget, SingleLabelTarget
from .._encoding.tokenization import resolve_max_length
from .._model.checkpoint import count_positions, load_config, load_tokenizer, own_config, quiet, why

_ARCHITECTURE = "BertForSequenceClassification"
_SAVE_AGAIN = "Save the model again with model.save_pretrained(folder)."


def transformers_incompatibility(module):
    """Why transformers has no counterpart of a module, in a few words; None if it has."""
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
    """The dict of config.json: a `BertForSequenceClassification`'s, or one that says why it is none.

    Parameters
    ----------
    module : BertModule
    target : object
        Of `_targets`.
    names : sequence or None
        The labels, in the order of the logits.
    """
    config = module.config.to_dict() | {"architectures": [_ARCHITECTURE], "problem_type": target.problem_type}
    names = [f"LABEL_{i}" for i in range(target.num_labels)] if names is None else [str(name) for name in names]
    if len(set(names)) == len(names):  # else transformers' own, LABEL_0, ..., which config has
        config["id2label"] = {str(i): name for i, name in enumerate(names)}
        config["label2id"] = {name: i for i, name in enumerate(names)}
    reason = transformers_incompatibility(module)
    if reason is None:
        return config
    sentence = f"sklearn_bert ({reason}; open the folder with from_pretrained of sklearn_bert's estimators)"
    return {"model_type": sentence, "encoder_config": config}


def to_tokenizer(tokenizer, module):
    """A tokenizer that for transformers does what this package asks of it: segments of a pair, the model's limit."""
    if transformers_incompatibility(module):
        return tokenizer
    tokenizer = deepcopy(tokenizer)
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names
    tokenizer.model_max_length = resolve_max_length(None, tokenizer, count_positions(module.config), 1)
    return tokenizer


def fold_scale(arrays, target):
    """Weights whose raw logits are in y's units, and those that differ as they are.

    Rounding makes the two a little different, and a stored estimator predicts to the bit what it did:
    so the latter are stored as well.
    """
    weight, bias = (arrays[f"classifier.{name}"] for name in ("weight", "bias"))
    folded = target.unscale_head(weight, bias)
    if all(np.array_equal(*pair) for pair in zip(folded, (weight, bias), strict=True)):
        return arrays, {}
    names = ("classifier.weight", "classifier.bias")
    folded = (array.astype(weight.dtype) for array in folded)
    return arrays | dict(zip(names, folded, strict=True)), {name: arrays[name] for name in names}


def load_transformers_classifier(folder):
    """A fine-tuned `BertForSequenceClassification` that this package did not make.

    Parameters
    ----------
    folder : Path
        Of a complete checkpoint.

    Returns
    -------
    config, tokenizer : object
    arrays : dict of ndarray
        The weights, with the head's rows in the order of the sorted labels.
    target : object
    names : ndarray of str, or None
        The labels of a multi-label classifier.

    Raises
    ------
    ValueError
        If it is another architecture.
    OSError
        If files are damaged.
    """
    if own_config(folder):  # with another pooling or more layers, of which transformers would know nothing
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
    arrays = _read_weights(folder, config)
    target, order, names = _read_labels(config, folder)
    for name in ("classifier.weight", "classifier.bias"):
        arrays[name] = arrays[name][order]
    config.num_labels, config.problem_type = target.num_labels, target.problem_type
    return config, load_tokenizer(folder, config), arrays, target, names


def _read_weights(folder, config):
    try:
        with quiet():
            model, report = transformers.BertForSequenceClassification.from_pretrained(
                folder, config=config, dtype=torch.float32, weights_only=True, output_loading_info=True
            )
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # safetensors and torch raise many kinds on damaged files
        raise OSError(f"The weights in {str(folder)!r} cannot be read: {why(error)}. {_SAVE_AGAIN}") from error
    if report["missing_keys"]:
        raise OSError(
            f"The weights in {str(folder)!r} lack {', '.join(sorted(report['missing_keys'])[:3])}. Expected those of a "
            f"fine-tuned {_ARCHITECTURE}. {_SAVE_AGAIN}"
        )
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def _read_labels(config, folder):
    """The target, the order of the logits in it, and the names of several labels."""
    names = [config.id2label[i] for i in range(config.num_labels)]
    default = RegressionTarget if config.num_labels == 1 else SingleLabelTarget
    target_class = TARGETS.get(config.problem_type, default)
    try:
        return target_class.from_output_names(names)
    except ValueError as error:
        raise ValueError(f"The config.json of {str(folder)!r} {error}") from None
