"""The two dropout probabilities of an encoder's config; each family of encoders has other names for them."""

# `_HEAD`: dropout before the head, the most specific name first. `_NAMES` adds the other dropouts of hidden states.
_HEAD = ("classifier_dropout", "classifier_dropout_prob", "seq_classif_dropout", "hidden_dropout_prob", "dropout")
_NAMES = {
    "dropout": (*_HEAD, "hidden_dropout", "mlp_dropout", "embedding_dropout"),
    "attention_dropout": ("attention_probs_dropout_prob", "attention_dropout"),
}


def set_dropout(config, **probabilities):
    """Set the dropout probabilities of an encoder's config that are not None.

    Parameters
    ----------
    config : transformers.PreTrainedConfig
        It is changed.
    **probabilities : float or None
        `dropout` of hidden states and before the layers of the head, and `attention_dropout` of attention weights.

    Raises
    ------
    ValueError
        If the config has no such dropout.
    """
    for parameter, probability in probabilities.items():
        if probability is None:
            continue
        names = [name for name in _NAMES[parameter] if hasattr(config, name)]
        if not names:
            raise ValueError(
                f"{parameter}={probability} has no counterpart in a {config.model_type!r} model. Pass None."
            )
        for name in names:
            setattr(config, name, float(probability))  # transformers refuses NumPy floats


def head_dropout(config):
    """The config's dropout probability before the head; 0 if it names none."""
    return next((p for p in (getattr(config, name, None) for name in _HEAD) if p is not None), 0.0)
