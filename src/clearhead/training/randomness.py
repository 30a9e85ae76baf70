"""The state of torch's random generators as named tensors: taken before an update, put back where training goes on.

The loop puts its own state back before every update, so whatever happens between updates (validation, sampling, a
listener drawing numbers) never changes the run. Python's and numpy's generators are not used in training.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clearhead.errors import RunError


def seeded(seed: int, device: torch.device) -> dict[str, Tensor]:
    """The state at the beginning of a run."""
    torch.manual_seed(seed)
    return capture(device)


def capture(device: torch.device) -> dict[str, Tensor]:
    """The present state of the generators that training on ``device`` draws from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Go on drawing from where ``states`` were taken.

    Raises:
        RunError: the state was taken on another kind of device.
    """
    if (wanted := {"cpu"} | ({"cuda"} & {device.type})) != states.keys():
        raise RunError(f"the saved random state is that of {sorted(states)}, this run needs that of {sorted(wanted)}")
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
