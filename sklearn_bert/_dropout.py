"""Two probabilities of dropout, whatever the families of encoders call them."""

_NAMES = {
    "dropout": (
        "hidden_dropout_prob",
        "dropout",
        "hidden_dropout",
        "mlp_dropout",
        "embedding_dropout",
        "classifier_dropout",
        "classifier_dropout_prob",
        "seq_classif_dropout",
    ),
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
        names = [name for name in _NAMES[parameter] if hasattr(config, name)]
        if probability is not None and not names:
            raise ValueError(
                f"{parameter}={probability} has no counterpart in a {config.model_type!r} model. Pass None."
            )
        for name in names if probability is not None else ():
            setattr(config, name, float(probability))  # transformers refuses NumPy's
