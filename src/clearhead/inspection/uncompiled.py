"""Inside, a model that ``torch.compile`` has compiled runs as it is written, so that hooks on its parts are called.

Compiled code has no seams: a hook that is attached later is never asked, and one that was there when the code was
compiled stays in it for good. While somebody looks, the compiled code is therefore set aside, not changed, and used
again afterwards. What eager execution computes is what compiled code of the backends "eager" and "aot_eager" computes,
bit for bit; that of TorchInductor differs from it in the last bits, looked at or not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def uncompiled() -> Iterator[None]:
    """Set compiled code aside; where nothing was ever compiled in this process, there is nothing to do."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
