"""How a model is trained: batches, length, optimiser, learning rate, validation, what is kept; nothing of the model.

The defaults follow section 5 of arXiv 1706.03762 where it speaks (betas, label smoothing, warm-up followed by the
inverse square root, averaging of the last weights). An update is one step of the optimiser; all "every" settings count
updates.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clearhead.settings import Settings

Schedule = Literal["inverse_sqrt", "cosine", "linear", "constant"]
Optimizer = Literal["adamw", "muon", "sgd"]
Precision = Literal["auto", "float32", "bfloat16"]
Keep = Literal["auto", "average", "best", "last"]

Count = Annotated[int, Field(ge=1, le=1 << 40)]
CountOrOff = Annotated[int, Field(ge=0, le=1 << 40)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Name = Annotated[str, Field(min_length=1)]


class TrainingSettings(Settings):
    """Everything that decides the course of one training run, given its model and its data.

    ``optimizer`` "muon" moves the matrices inside the blocks at ``matrix_learning_rate`` with ``momentum``, which is
    sgd's too, and everything else as "adamw" does; both rates follow the same schedule.
    ``updates`` is also the horizon of the cosine and linear schedules. ``final_learning_rate`` is the share of
    ``learning_rate`` that is left at the end of those two. ``clip`` is the largest global gradient norm, 0 for none.
    ``watch`` is the loss or a score that the task's validation gives; ``patience`` counts validations without a better
    one, 0 for no early stopping. ``keep`` says which weights the run ends with: the average of the last ``average``
    snapshots, the best validated, the last, or ("auto") whichever of these validates best. ``precision`` "auto" is
    bfloat16 where the machine multiplies it natively, else float32; the weights themselves are float32 always.
    ``freeze`` has names of parameters or of parts that stay as they are, ``*`` standing for any characters;
    ``freeze_all_but_last`` freezes all below the last so many blocks of each stack; ``layer_decay`` is the factor of
    the learning rate from a block to the one below it (``training.depth``).
    ``threads`` is left to torch where it is not given; ``side_by_side`` parts of a batch share them, by default one a
    thread on a CPU (see ``training.team``).
    """

    batch_tokens: Count = 4096
    accumulate: Count = 1
    updates: Count = 10_000
    max_epochs: Count | None = None

    optimizer: Optimizer = "adamw"
    betas: tuple[Beta, Beta] = Field(default=(0.9, 0.98), strict=False)
    epsilon: Positive = 1e-9
    momentum: Beta = 0.9
    weight_decay: NotNegative = 0.0
    learning_rate: Positive = 0.001
    matrix_learning_rate: Positive = 0.02
    schedule: Schedule = "inverse_sqrt"
    warmup: CountOrOff = 1000
    final_learning_rate: Fraction = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    clip: NotNegative = 1.0
    freeze: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)] | None = None
    freeze_all_but_last: Annotated[int, Field(ge=0, le=1024)] | None = None
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    precision: Precision = "auto"
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    side_by_side: Annotated[int, Field(ge=1, le=64)] | None = None

    log_every: Count = 50
    validate_every: Count = 1000
    checkpoint_every: Count = 500
    snapshot_every: Count = 100
    checkpoints: Count = 2
    patience: CountOrOff = 0
    watch: Name = "loss"
    average: Count = 8
    keep: Keep = "auto"

    skip_limit: Count = 20
    save_attempts: Count = 5
    tensorboard: bool = False

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.schedule in ("cosine", "linear") and self.warmup >= self.updates:
            raise ValueError(
                f"warmup {self.warmup} leaves none of {self.updates} updates for the {self.schedule} schedule to fall: "
                "warm up for fewer updates, or train for more"
            )
        return self
