"""Two probabilities of dropout, whatever the families of encoders call them."""

# Before the head, the most particular name first; the other places where hidden states are dropped.
_HEAD = ("classifier_dropout", "classifier_dropout_prob", "seq_classif_dropout", "hidden_dropout_prob", "dropout")
_NAMES = {
    "dropout": (*_HEAD, "hidden_dropout", "mlp_dropout", "embedding_dropout"),
    "attention_dropout": ("attention_probs_dropout_prob", "attention_dropout"),
}


def set_dropout(config, **probabilities):
    """Replace probabilities of an encoder's config, those that are not None.

    Parameters
    ----------
    config : transformers.PreTrainedConfig
        It is changed.
    **probabilities : float or None
        `dropout`, of features and before the head's layers, and `attention_dropout`.

    Raises
    ------
    ValueError
        If such an encoder has no such dropout.
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
            setattr(config, name, float(probability))  # transformers refuses NumPy's


def head_dropout(config):
    """The config's probability before the head; 0 if it has none."""
    return next((p for p in (getattr(config, name, None) for name in _HEAD) if p is not None), 0.0)
