"""Where a run begins: at its seed, or exactly where its newest complete checkpoint stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.optim import Optimizer

from clearhead.errors import RunError
from clearhead.training import checkpoint, randomness
from clearhead.training.course import Course
from clearhead.training.identity import differences
from clearhead.training.job import TrainingJob
from clearhead.training.optimizer import restore_state
from clearhead.training.weights import load_weights


@dataclass(frozen=True, slots=True)
class Beginning:
    """The state to go on from, and how it was found."""

    course: Course
    random: dict[str, Tensor]
    checkpoint: checkpoint.Found

    @property
    def resumed(self) -> bool:
        """Whether there was a checkpoint."""
        return self.checkpoint.path is not None


def begin(job: TrainingJob, optimizer: Optimizer, own: Mapping[str, object]) -> Beginning:
    """Bring model and optimiser of ``job`` to where training goes on; ``own`` is the identity of this run.

    Raises:
        RunError: there are checkpoints but nobody asked to resume, none of them is complete, or the newest complete one
            belongs to a different run (each difference is named); nothing on the disk was changed.
    """
    found = checkpoint.newest(job.checkpoints)
    if not job.resume and (found.path or found.passed_over):
        raise RunError(f"{job.out} holds checkpoints of an earlier run: resume it, or choose another folder")
    if found.path is None and found.passed_over:
        raise RunError(f"{job.out} has no complete checkpoint to resume from: {'; '.join(found.passed_over)}")
    device = next(job.model.parameters()).device
    if found.path is None:
        return Beginning(Course(), randomness.seeded(job.seed, device), found)
    whole = checkpoint.load(found.path)
    changed = [] if job.accept_changes else list(differences(whole.state["identity"], own))
    if changed:
        raise RunError(
            f"{found.path} belongs to a run that was set up differently, so going on would not be exact: "
            + "; ".join(changed)
        )
    load_weights(job.model, whole.model, found.path / "model.safetensors")
    restore_state(optimizer, job.model, whole.optimizer)
    random = {name: state.clone() for name, state in whole.random.items()}
    randomness.restore(random, device)
    return Beginning(Course.from_dict(whole.state["course"]), random, found)
