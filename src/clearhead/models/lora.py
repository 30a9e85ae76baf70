"""Low-rank adapters beside the projections of a model that is there already (Hu et al. 2021, arXiv 2106.09685).

    y = x Wᵀ + b + α/r · (dropout(x) Aᵀ) Bᵀ,    A (r, in), B (out, r)          (equation 3 there, rows are tokens)

W stays as it is. B begins as zero, so an adapted model begins as the very model it adapts, to the bit. Merging is
W + α/r · B A, summed in float64 and rounded once: an ordinary model again. Where several projections are packed into
one matrix, each of them has an A and a B of its own. Names of weights stay; adapters add ``….down.query`` (A) and
``….up.query`` (B) to them. How they are trained is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearhead.errors import ConfigurationError
from clearhead.layers.dropout import Dropout
from clearhead.layers.feedforward import FeedForward, GatedFeedForward
from clearhead.mechanism.multihead import CrossAttention, SelfAttention
from clearhead.models.lora_settings import LoraSettings

DOWN, UP = "down", "up"
HEAD = ("output", "pooling")  # what a model of labels has above its stacks, new with every task


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a projection that belong together: their name, the target that means them, from where to where."""

    name: str
    target: str
    start: int
    stop: int


class AdaptedLinear(nn.Linear):
    """``plain`` with an adapter beside each of ``parts``: (…, in) → (…, out). The weights are those of ``plain``."""

    def __init__(self, plain: nn.Linear, parts: list[Part], settings: LoraSettings) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = plain.in_features, plain.out_features
        self.weight, self.bias = plain.weight, plain.bias
        self.parts, self.scale = parts, settings.scale
        self.dropout = Dropout(settings.dropout)
        rank = settings.rank
        self.down = nn.ParameterDict({part.name: _first_down(plain.weight, rank) for part in parts})
        self.up = nn.ParameterDict(
            {part.name: nn.Parameter(plain.weight.new_zeros(part.stop - part.start, rank)) for part in parts}
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight, self.bias)
        low = F.linear(self.dropout(x), torch.cat([self.down[part.name] for part in self.parts]))
        return y + F.linear(low, torch.cat([self._up(part) for part in self.parts], 1) * self.scale)

    def merged(self) -> Tensor:
        """W + α/r · B A, computed in float64, in the dtype of W."""
        weight = self.weight.detach().to(torch.float64, copy=True)
        for part in self.parts:
            product = self.up[part.name].detach().double() @ self.down[part.name].detach().double()
            weight[part.start : part.stop] += self.scale * product
        return weight.to(self.weight.dtype)

    def _up(self, part: Part) -> Tensor:
        """B with rows of zeros for the other parts of the projection: (out, r)."""
        return F.pad(self.up[part.name], (0, 0, part.start, self.out_features - part.stop))


def adapt(model: nn.Module, settings: LoraSettings, *, seed: int, head: Sequence[str] = HEAD) -> None:
    """Put adapters beside the projections that ``settings`` name, and freeze all that was there but the parts ``head``.

    A depends on ``seed`` alone; torch's generators are left as they were.

    Raises:
        ConfigurationError: there is nothing to adapt.
    """
    sites = [(owner, name, parts) for owner, name, parts in _sites(model, settings) if parts]
    if not sites:
        raise ConfigurationError(
            f"model.lora.targets = {list(settings.targets)}: this model has none of these projections; "
            "adapters are for the blocks of a Transformer"
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(_lies_in(head, name))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for owner, name, parts in sites:
            setattr(owner, name, AdaptedLinear(getattr(owner, name), parts, settings))


def merged_weights(model: nn.Module) -> dict[str, Tensor]:
    """Every weight of the ordinary model that ``model`` comes to, by name; a tied one once, without adapters."""
    weights: dict[str, Tensor] = {}
    adapted = {f"{name}.weight": module.merged() for name, module in _adapted(model)}
    first: dict[int, str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if first.setdefault(id(tensor), name) == name and not is_adapter(name):
            weights[name] = adapted.get(name, tensor.detach())
    return weights


def adapter_weights(model: nn.Module, head: Sequence[str] = HEAD) -> dict[str, Tensor]:
    """What makes the adapted model of the one it adapts: A and B of every adapter, and the parts ``head``."""
    parameters = model.named_parameters()
    return {name: each.detach() for name, each in parameters if is_adapter(name) or _lies_in(head, name)}


def is_adapter(name: str) -> bool:
    """Whether a weight of this name is A or B of an adapter."""
    return any(f".{kind}." in name for kind in (DOWN, UP))


def load_adapter(
    model: nn.Module, tensors: Mapping[str, Tensor], origin: object, *, head: Sequence[str] = HEAD
) -> None:
    """Copy ``tensors`` into the adapters and the parts ``head`` of ``model``.

    Raises:
        ConfigurationError: names or shapes are not those of its adapters; ``origin`` is named, nothing was copied.
    """
    own = adapter_weights(model, head)
    if own.keys() != tensors.keys():
        odd = sorted(own.keys() ^ tensors.keys())[0]
        raise ConfigurationError(
            f"{origin} is of another model: expected {len(own)} weights, got {len(tensors)}, and only one has {odd!r}"
        )
    for name, tensor in own.items():
        if tensor.shape != tensors[name].shape:
            raise ConfigurationError(
                f"{origin} is of another model: {name} should have shape {tuple(tensor.shape)}, "
                f"but has {tuple(tensors[name].shape)}"
            )
    for name, tensor in own.items():
        tensor.copy_(tensors[name])


def _lies_in(parts: Sequence[str], name: str) -> bool:
    return name.partition(".")[0] in parts


def _adapted(model: nn.Module) -> Iterator[tuple[str, AdaptedLinear]]:
    return ((name, module) for name, module in model.named_modules() if isinstance(module, AdaptedLinear))


def _sites(model: nn.Module, settings: LoraSettings) -> Iterator[tuple[nn.Module, str, list[Part]]]:
    """Each projection in the blocks: the module it belongs to, its name there, and its parts that are to be adapted."""
    for module in list(model.modules()):
        for name, parts in _packing(module):
            chosen, start = [], 0
            for part, target, size in parts:
                if target in settings.targets:
                    chosen.append(Part(part, target, start, start + size))
                start += size
            yield module, name, chosen


def _packing(module: nn.Module) -> list[tuple[str, list[tuple[str, str, int]]]]:
    """The projections of one module, and what is packed into each: name, target, rows."""
    if isinstance(module, SelfAttention):
        queries, keys, values = module.sizes.projected
        packed = [("query", "query", queries), ("key", "key", keys), ("value", "value", values)]
        return [("query_key_value", packed), ("output", [("output", "output", module.sizes.width)])]
    if isinstance(module, CrossAttention):
        queries, keys, values = module.sizes.projected
        return [
            ("query", [("query", "query", queries)]),
            ("key_value", [("key", "key", keys), ("value", "value", values)]),
            ("output", [("output", "output", module.sizes.width)]),
        ]
    if isinstance(module, FeedForward):
        into, out = module.into.out_features, module.out.out_features
        return [("into", [("into", "feedforward", into)]), ("out", [("out", "feedforward", out)])]
    if isinstance(module, GatedFeedForward):
        into, out = module.out.in_features, module.out.out_features
        packed = [("gate", "feedforward", into), ("into", "feedforward", into)]
        return [("gate_into", packed), ("out", [("out", "feedforward", out)])]
    return []


def _first_down(weight: Tensor, rank: int) -> nn.Parameter:
    """A as in the paper's own code: uniform within ± 1/√in (Kaiming with a = √5)."""
    down = nn.Parameter(weight.new_empty(rank, weight.shape[1]))
    nn.init.kaiming_uniform_(down, a=math.sqrt(5))
    return down
