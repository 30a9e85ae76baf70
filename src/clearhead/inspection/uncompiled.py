"""What hooks on the parts of a model need of ``torch.compile``: compiled code has no seams.

A hook that is attached later is never asked by compiled code, and one that was there when the code was compiled stays
in it for good. Two ways out. Whoever changes what parts give (``uncompiled``) makes compiled code run as it is written,
for as long as that lasts. Whoever only looks (``looking``) must not change the answer, and code of TorchInductor
differs in its last bits from what is written; so a module that ``torch.compile`` returned answers by its compiled code,
as if nobody looked, and the same input then goes through the parts as they are written, for the hooks. Other compiled
code (of functions, and of ``module.compile()``) runs as it is written.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import RLock
from typing import Any

import torch
from torch import nn

Attach = Callable[[], AbstractContextManager[None]]


@contextmanager
def uncompiled() -> Iterator[None]:
    """Compiled code of any kind runs as it is written; where nothing was compiled in this process, nothing is done."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    _ANSWERS.changed += 1
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        _ANSWERS.changed -= 1


@contextmanager
def looking(parts: Collection[nn.Module], attach: Attach) -> Iterator[None]:
    """``attach`` puts hooks that only look on ``parts``; they are taken off again, and while compiled code answers."""
    look = _Look(parts, attach)
    try:
        look.open()
        if "torch._dynamo" not in sys.modules:
            yield
            return
        with _ANSWERS.told(look), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        look.close()


class _Look:
    """Hooks that can be taken off and put on again."""

    def __init__(self, parts: Collection[nn.Module], attach: Attach) -> None:
        self.parts = frozenset(id(part) for part in parts)
        self.attach = attach
        self.hooks = ExitStack()

    def open(self) -> None:
        self.hooks = ExitStack()
        self.hooks.enter_context(self.attach())

    def close(self) -> None:
        self.hooks.close()

    def sees(self, module: nn.Module) -> bool:
        """Whether a part of it is looked at."""
        return any(id(part) in self.parts for part in module.modules())


class _Answers:
    """How modules that were compiled are called while somebody looks: once for the answer, once for the hooks."""

    def __init__(self) -> None:
        self.looks: list[_Look] = []
        self.changed = 0  # how many want compiled code to run as it is written
        self.lock = RLock()
        self.plain: Callable[..., Any] | None = None

    @contextmanager
    def told(self, look: _Look) -> Iterator[None]:
        """Calls of compiled modules are taken over while there is any look."""
        from torch._dynamo.eval_frame import OptimizedModule

        with self.lock:
            if not self.looks:
                self.plain = OptimizedModule.__call__
                OptimizedModule.__call__ = lambda module, *given, **named: self(module, given, named)  # type: ignore[method-assign]
            self.looks.append(look)
        try:
            yield
        finally:
            with self.lock:
                self.looks.remove(look)
                if not self.looks:
                    OptimizedModule.__call__ = self.plain  # type: ignore[method-assign, assignment]

    def __call__(self, module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        plain = self.plain
        assert plain is not None
        looks = [look for look in self.looks if look.sees(module)]
        if not looks or self.changed:
            return plain(module, *given, **named)
        before = _random_state(module)
        for look in looks:
            look.close()
        try:
            with torch.compiler.set_stance("default"):
                answer = plain(module, *given, **named)
        finally:
            for look in looks:
                look.open()
        with _drawing_from(before), torch.no_grad():
            plain(module, *given, **named)
        return answer


_ANSWERS = _Answers()


def _random_state(module: nn.Module) -> tuple[torch.Tensor, torch.Tensor | None]:
    """That of the processor and, where the module is on another device, of that."""
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


@contextmanager
def _drawing_from(state: tuple[torch.Tensor, torch.Tensor | None]) -> Iterator[None]:
    """Draws begin at ``state``, and afterwards it is as if there had been none."""
    processor, graphics = state
    with torch.random.fork_rng() if graphics is not None else torch.random.fork_rng(devices=[]):
        torch.set_rng_state(processor)
        if graphics is not None:
            torch.cuda.set_rng_state(graphics)
        yield
