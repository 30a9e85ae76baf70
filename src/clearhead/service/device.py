"""Which device a model lives on when nobody says."""

from __future__ import annotations

import torch

from clearhead.errors import ConfigurationError


def pick_device(name: str | torch.device | None = None) -> torch.device:
    """The device called ``name``; without a name, a GPU where there is one, else the processor.

    Raises:
        ConfigurationError: there is no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(f"device: {name!r} cannot be used here: {reason}") from None
    return device
