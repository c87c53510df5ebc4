"""How a net is trained: the plan that the constructor's parameters become."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrainingConfig:
    """How a net is trained.

    Attributes
    ----------
    seed : int
        Of the order of the batches, and of the rows of the linear probe.
    max_epochs : int
    max_seconds : float or None
        Most seconds from the begin of the fit. None: no limit.
    learning_rate : float
        The encoder's highest learning rate.
    head_learning_rate : float or None
        The head's; None: as the encoder's.
    layer_decay : float
        Factor of the learning rate from each layer to the one below it.
    weight_decay : float
    warmup_fraction : float
    max_grad_norm : float or None
        None: gradients are not clipped.
    linear_probe : bool
        Whether the head starts at a linear model of the features.
    freeze : {None, "embeddings", "encoder"} or int
    micro_batch_size : int or None
        Most rows to compute at a time.
    gradient_checkpointing : bool
    patience : int or None
        Epochs without a better one after which to stop. None: never.
    contrastive_steps : int
        Steps before the linear probe, see `ContrastiveStart`.
    contrastive_learning_rate : float or None
        The encoder's highest learning rate in these steps.
    loss_params : dict
        Further arguments of the problem type's loss.
    """

    seed: int
    max_epochs: int = 1
    max_seconds: float | None = None
    learning_rate: float = 5e-5
    head_learning_rate: float | None = None
    layer_decay: float = 1.0
    weight_decay: float = 0.01
    warmup_fraction: float = 0.1
    max_grad_norm: float | None = 1.0
    linear_probe: bool = False
    freeze: str | int | None = None
    micro_batch_size: int | None = None
    gradient_checkpointing: bool = False
    patience: int | None = None
    contrastive_steps: int = 0
    contrastive_learning_rate: float | None = None
    loss_params: dict = field(default_factory=dict)
