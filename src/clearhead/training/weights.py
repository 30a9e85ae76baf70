"""A model's weights as named tensors, in and out: each tensor once, a tied one under its first name.

Loading copies into the model's own storage, so a file may be replaced while a model that came from it lives on.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from clearhead.errors import RunError


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and saved buffers by name; the tensors themselves, not copies."""
    first: dict[int, str] = {}
    state = model.state_dict(keep_vars=True)
    return {name: tensor.detach() for name, tensor in state.items() if first.setdefault(id(tensor), name) == name}


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], origin: object) -> None:
    """Copy ``tensors`` into ``model``; ``origin`` is named in errors.

    Raises:
        RunError: names or shapes are not the model's own; nothing was copied.
    """
    own = weights_of(model)
    if own.keys() != tensors.keys():
        lacking, foreign = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
        raise RunError(
            f"{origin} holds the weights of another model: it lacks {_some(lacking)} "
            f"and has {_some(foreign)}, unknown here"
        )
    for name, tensor in own.items():
        if tensor.shape != tensors[name].shape:
            raise RunError(
                f"{origin} holds the weights of another model: {name} should have shape {tuple(tensor.shape)}, "
                f"but has {tuple(tensors[name].shape)}"
            )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if names else "nothing"
