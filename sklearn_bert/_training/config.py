"""How a net is trained: the settings that follow from the constructor's parameters."""

from dataclasses import dataclass, field

BATCH_SIZE = 32  # rows of a training step, where nothing else is said


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a training.

    Attributes
    ----------
    seed : int
        Seed of the order of the batches, and of the choice of rows for the linear probe.
    max_epochs : int
    max_seconds : float or None
        Maximum number of seconds from the start of the fit. None: no limit.
    learning_rate : float
        The encoder's peak learning rate.
    head_learning_rate : float or None
        The head's peak learning rate. None: that of the encoder.
    layer_decay : float
        Factor of the learning rate from each layer to the one below it.
    weight_decay : float
    warmup_fraction : float
    max_grad_norm : float or None
        None: gradients are not clipped.
    average_weights : bool
        Whether the training ends with the mean of the last weights, see `WeightAverage`.
    linear_probe : bool
        Whether the head starts at a linear model of the features.
    freeze : {None, "embeddings", "encoder"} or int
    micro_batch_size : int or None
        Maximum number of rows to compute at a time. None: no limit.
    gradient_checkpointing : bool
    patience : int or None
        Number of epochs without improvement after which to stop. None: never stop.
    contrastive_steps : int
        Number of steps before the linear probe, see `ContrastiveStart`.
    contrastive_learning_rate : float or None
        The encoder's peak learning rate in these steps.
    loss_params : dict
        Further arguments of the loss function of the problem type.
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
    average_weights: bool = False
    linear_probe: bool = False
    freeze: str | int | None = None
    micro_batch_size: int | None = None
    gradient_checkpointing: bool = False
    patience: int | None = None
    contrastive_steps: int = 0
    contrastive_learning_rate: float | None = None
    loss_params: dict = field(default_factory=dict)
