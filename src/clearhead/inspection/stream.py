"""Keep the residual stream at every station: behind the embedding, each sublayer, each block, the last norm.

Stations are found by where modules stand in a stack (``decoder.blocks.2.around_cross``), so this knows no architecture;
a stack without blocks has fewer of them. In a block the stream behind the last sublayer is the block's own output.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

_SUBLAYER = re.compile(r"(\w+)\.blocks\.(\d+)\.around_(\w+)")
_NETWORK = re.compile(r"(\w+)\.blocks\.(\d+)\.feedforward")
_END = re.compile(r"(\w+)\.(embedding|norm)")
LAST = "feedforward"  # the sublayer a block ends with

Stream = dict[str, Tensor]


@contextmanager
def keep_stream(
    model: nn.Module, residual: Stream, networks: Stream, layers: Collection[int] | None = None
) -> Iterator[None]:
    """While open, put the stream (B, T, W) into ``residual`` and the feed-forward networks' outputs into ``networks``.

    ``decoder.embedding`` is what enters, ``decoder.2.self``, ``decoder.2.cross``, ``decoder.2.feedforward`` what leaves
    a sublayer, ``decoder.2`` what leaves the block (the same tensor), ``decoder.final`` what leaves the stack.
    """
    with ExitStack() as stack:
        for path, module in model.named_modules():
            for names, into in _stations(path, layers, residual, networks):
                stack.callback(module.register_forward_hook(_keeper(names, into)).remove)
        yield


def apart(x: Tensor) -> Tensor:
    """``x`` without the graph behind it, itself where there is none."""
    return x.detach() if x.requires_grad else x


def _stations(
    path: str, layers: Collection[int] | None, residual: Stream, networks: Stream
) -> Iterator[tuple[tuple[str, ...], Stream]]:
    """Under which names, and where, the output of the module at ``path`` is to be kept."""
    if found := _END.fullmatch(path):
        yield (f"{found[1]}.{'embedding' if found[2] == 'embedding' else 'final'}",), residual
    elif (found := _SUBLAYER.fullmatch(path)) and _wanted(found[2], layers):
        block = f"{found[1]}.{found[2]}"
        yield (f"{block}.{found[3]}", block) if found[3] == LAST else (f"{block}.{found[3]}",), residual
    elif (found := _NETWORK.fullmatch(path)) and _wanted(found[2], layers):
        yield (f"{found[1]}.{found[2]}.feedforward",), networks


def _wanted(layer: str, layers: Collection[int] | None) -> bool:
    return layers is None or int(layer) in layers


def _keeper(names: tuple[str, ...], into: Stream) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
    def keep(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
        kept = apart(output)
        for name in names:
            into[name] = kept

    return keep
