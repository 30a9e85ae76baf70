"""The gradient of one update: over one batch or several, each item of the loss with one weight, whatever the cut.

Every batch's summed loss is divided by the items of the whole update, so 1 × 32 sentences give the gradient of
4 × 8 (not so where means are averaged: transformers issue 34191). Where memory runs out, the update begins anew with
the batch in question halved. Values come to the host once an update.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clearhead.errors import RunError
from clearhead.training import randomness
from clearhead.training.protocol import Batch, Measure
from clearhead.training.signals import StopFlag
from clearhead.training.team import Team

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True, slots=True)
class Gradient:
    """One update's gradient, which lies in the parameters: means per token, its global norm, how it was cut."""

    loss: float
    nll: float
    norm: float
    tokens: int
    parts: int
    trouble: str = ""

    @property
    def finite(self) -> bool:
        """Whether loss and gradient are numbers to learn from."""
        return abs(self.loss) < float("inf") and abs(self.norm) < float("inf")


class Accumulation:
    """Gradients of ``objective`` for ``model``, whose parameters receive them; ``members`` see ``team``."""

    def __init__(self, model: nn.Module, objective: Measure, members: int = 1) -> None:
        self.team = Team(model, objective, members)
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.device, self.dtype = self.parameters[0].device, self.parameters[0].dtype

    def __call__(self, batches: Sequence[Batch], stop: StopFlag) -> Gradient | None:
        """The gradient over ``batches``; None, and random states as before, where ``stop`` was set before it was whole.

        Raises:
            RunError: not even a single row fits into memory.
        """
        before = randomness.capture(self.device)
        tokens = sum(batch.tokens for batch in batches)
        waiting, done, trouble = list(batches), 0, ""
        sums = self._begin(tokens)
        while done < len(waiting):
            if stop:
                randomness.restore(before, self.device)
                return None
            if failure := self._add(waiting[done], sums):
                waiting[done : done + 1] = _halves(waiting[done], failure)
                done, trouble = 0, failure
                sums = self._begin(tokens)
                randomness.restore(before, self.device)
            else:
                done += 1
        self.team.gather()
        loss, nll, norm = self._values(sums)
        return Gradient(loss / tokens, nll / tokens, norm, tokens, len(waiting), trouble)

    def forget(self) -> None:
        """Drop the gradient."""
        self.team.forget()

    def clip(self, norm: float, largest: float) -> None:
        """Shorten a gradient of global norm ``norm`` to ``largest``; a shorter one is left as it is."""
        if norm > largest:
            total = torch.tensor(norm, device=self.device)
            nn.utils.clip_grads_with_norm_(self.parameters, largest, total)

    def _begin(self, tokens: int) -> _Sums:
        self.forget()
        zero = torch.zeros((), device=self.device, dtype=self.dtype)
        return _Sums(zero, zero.clone(), torch.full_like(zero, 1 / tokens))

    def _add(self, batch: Batch, sums: _Sums) -> str:
        """Add one batch's share; the words of the failure where memory ran out, else nothing."""
        try:
            losses = self.team.add(batch.to(self.device) if self.device.type != "cpu" else batch, sums.share)
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
            return str(error).partition("\n")[0] or "out of memory"
        for loss in losses:
            sums.loss += loss.total
            sums.nll += loss.nll
        return ""

    def _values(self, sums: _Sums) -> list[float]:
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        values: list[float] = torch.stack((sums.loss, sums.nll, norm.to(sums.loss.dtype))).tolist()
        return values


@dataclass(slots=True)
class _Sums:
    loss: Tensor
    nll: Tensor
    share: Tensor


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that an allocation failed, on any device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return any(words in str(error) for words in OUT_OF_MEMORY)


def _halves(batch: Batch, failure: str) -> Sequence[Batch]:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if len(batch) < 2:
        raise RunError(
            f"memory ran out on a single row of {batch.cells} tokens ({failure}); "
            "lower data.max_length or the model's sizes"
        )
    return batch.split(2)
