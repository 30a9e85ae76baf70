"""How deep a parameter lies: below a stack of blocks, in its l-th block, or above it; nothing else of the model.

A stack is a list of blocks (``nn.ModuleList``) inside a part of the model such as ``encoder``. What that part holds
beside its blocks and enters them, ``embedding`` and ``positions``, lies below; all else, heads included, above. An
encoder and a decoder are two stacks, each with depths of its own. A tied matrix lies where its first name says.

Layer-wise decay of the learning rate gives what lies below block 1 the share λ^(L+1), block l of L the share λ^(L+1−l),
and what lies above 1 (Howard & Ruder 2018, arXiv 1801.06146, section 3.1; as in Clark et al. 2020, arXiv 2003.10555).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import nn

ENTERING = ("embedding", "positions")


@dataclass(frozen=True, slots=True)
class Stack:
    """``count`` blocks under the name ``blocks``, in the part of the model called ``part``."""

    part: str
    blocks: str
    count: int

    def level(self, name: str) -> int | None:
        """0 for a parameter below the blocks, l in block l of 1 … ``count``; None for one above, or elsewhere."""
        if name.startswith(f"{self.blocks}."):
            return 1 + int(name.removeprefix(f"{self.blocks}.").partition(".")[0])
        return 0 if name.startswith(tuple(f"{self.part}.{each}." for each in ENTERING)) else None


def stacks(model: nn.Module) -> list[Stack]:
    """Every stack of ``model`` that lies in no other."""
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    outer = [(name, module) for name, module in found if not any(name.startswith(f"{other}.") for other, _ in found)]
    return [Stack(name.rpartition(".")[0], name, len(module)) for name, module in outer]


def levels(model: nn.Module) -> Iterator[tuple[str, Stack, int]]:
    """Each parameter that lies in or below a stack, with that stack and its level there; a tied one once."""
    found = stacks(model)
    for name, _ in model.named_parameters():
        for stack in found:
            if (level := stack.level(name)) is not None:
                yield name, stack, level
                break


def rate_shares(model: nn.Module, decay: float) -> Mapping[str, float]:
    """The share of the learning rate for each parameter by name; those that are not named have 1."""
    return {name: decay ** (stack.count + 1 - level) for name, stack, level in levels(model)}
