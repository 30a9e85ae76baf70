"""How much of one logit each head wrote itself: direct contributions to a chosen token at a chosen position.

The last stream is a sum: what entered, what each head of each layer added, what the biases and the feed-forward
networks added. The output matrix is linear, and a norm is, too, once its statistics are held at their values in this
run, so the logit is a sum of one number a part (Elhage et al. 2021, "A mathematical framework for transformer
circuits", direct logit attribution). In a post-norm stack a part passes every later norm that way. What a head does
through later layers is not in its number. The sum is checked against the logit the model gave.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from clearhead.errors import ConfigurationError
from clearhead.inspection.inspection import Inspection
from clearhead.mechanism.multihead import value_up

TOLERANCE = 2e-3  # of the sum of all addends' sizes: float32 over some dozens of layers stays far below
Name = tuple[str, int | None]


class Norm(Protocol):
    """A norm whose statistics can be held still."""

    @property
    def shift(self) -> Tensor | None:
        """What it adds whatever comes in (W,)."""

    def held(self, part: Tensor, x: Tensor) -> Tensor:
        """What ``part`` (P, W) of x (W,) becomes under the statistics of x; with ``shift`` the sum is the norm of x."""


class Sizes(Protocol):
    """What is asked of a model's configuration."""

    @property
    def norm_order(self) -> str:
        """Whether a norm stands before each sublayer ("pre") or behind it ("post")."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """One addend: ``part`` is "embedding", an attention with its ``head``, a feed-forward network, or "constant"."""

    part: str
    head: int | None
    value: float


@dataclass(frozen=True, slots=True)
class Contributions:
    """All addends of one logit, in the order of the model, and the logit the model gave."""

    parts: tuple[Contribution, ...]
    logit: float

    def of_heads(self) -> list[Contribution]:
        """The heads alone, the largest in size first."""
        heads = [part for part in self.parts if part.head is not None]
        return sorted(heads, key=lambda part: -abs(part.value))


@dataclass(slots=True)
class _Sum:
    """The stream at one position as named parts (P, W)."""

    names: list[Name]
    parts: Tensor

    def add(self, names: list[Name], parts: Tensor) -> None:
        self.names += names
        self.parts = torch.cat((self.parts, parts))

    def normed(self, norm: Norm) -> None:
        """Every part through a norm that is held still; its shift joins the constants."""
        self.parts = norm.held(self.parts, self.parts.sum(0))
        if norm.shift is not None:
            self.add([("constant", None)], norm.shift[None])


def logit_contributions(
    model: nn.Module, seen: Inspection, position: int, token: int, *, stack: str = "decoder", scale: float = 1.0
) -> Contributions:
    """The addends of the logit of ``token`` at ``position``; where a whole text has one answer, the position it reads.

    ``scale`` is what the last states are multiplied with before the output matrix, 1 in most models.

    Raises:
        ConfigurationError: there is no such position or token, some layers were left out of the inspection, or the
            addends do not sum to the logit, because something that is not linear stands between the stream and it.
    """
    given = seen.logits if seen.logits.dim() == 1 else seen.logits[_within("position", position, len(seen.logits))]
    logit = float(given[_within("token", token, len(given))])
    entered = _kept(seen.residual, f"{stack}.embedding")
    total = _Sum([("embedding", None)], entered[None, _within("position", position, len(entered))])
    post = cast(Sizes, model.config).norm_order == "post"
    with torch.no_grad():
        for name, norm in _sublayers(model, stack):
            total.add(*_added(seen, name, position))
            if post:
                total.normed(norm)
        total.normed(cast(Norm, model.get_submodule(f"{stack}.norm")))
        output = cast(nn.Linear, model.get_submodule("output"))
        values = ((total.parts * scale) @ output.weight[token]).tolist()
        bias = float(output(torch.zeros_like(entered[0]))[token])
    parts = tuple(_merged(total.names, values, bias))
    _check(parts, logit)
    return Contributions(parts, logit)


def _sublayers(model: nn.Module, stack: str) -> Iterator[tuple[str, Norm]]:
    """The sublayers of a stack in order, ``decoder.0.self``, and the norm around each."""
    for path, module in model.named_modules():
        parts = path.split(".")
        if len(parts) == 4 and parts[:2] == [stack, "blocks"] and parts[3].startswith("around_"):
            name = f"{stack}.{parts[2]}.{parts[3].removeprefix('around_')}"
            yield name, cast(Norm, module.get_submodule("norm"))


def _added(seen: Inspection, name: str, position: int) -> tuple[list[Name], Tensor]:
    """What a sublayer added at a position, by part: each head and W_o's bias, or the feed-forward network as one."""
    if name not in seen.attentions:
        return [(name, None)], _kept(seen.networks, name)[None, position]
    record = seen.attentions[name]
    heads = (record.mixed[0, :, position, None] @ value_up(record.output, record.heads))[:, 0]
    names: list[Name] = [(name, head) for head in range(record.heads)]
    silent = record.output(torch.zeros_like(record.mixed[0, :, position].flatten()))  # W_o's bias, where it has one
    return [*names, ("constant", None)], torch.cat((heads, silent[None]))


def _merged(names: list[Name], values: list[float], bias: float) -> Iterator[Contribution]:
    """The addends by name, all constants as one at the end."""
    constant = bias
    for (part, head), value in zip(names, values, strict=True):
        if part == "constant":
            constant += value
        else:
            yield Contribution(part, head, value)
    yield Contribution("constant", None, constant)


def _check(parts: tuple[Contribution, ...], logit: float) -> None:
    total, size = sum(part.value for part in parts), sum(abs(part.value) for part in parts)
    if abs(total - logit) > TOLERANCE * (size + abs(logit)):
        raise ConfigurationError(
            f"the addends sum to {total:.4f}, but the model's logit is {logit:.4f}: between the stream here and the "
            "logits stands something beside the last norm and the output matrix (pooling over positions, words of "
            "several pieces, a head with a layer of its own)"
        )


def _kept(streams: dict[str, Tensor], name: str) -> Tensor:
    if name not in streams:
        raise ConfigurationError(f"{name} was not kept: look at all layers, without choosing some")
    return streams[name]


def _within(what: str, number: int, count: int) -> int:
    if not 0 <= number < count:
        raise ConfigurationError(f"{what}: expected a number from 0 to {count - 1}, got {number}")
    return number
