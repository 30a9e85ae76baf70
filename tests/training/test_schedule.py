"""The learning rate by update, against values worked out by hand, and the shapes that every schedule must have."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from clearhead.training.schedule import SCHEDULES, factor, learning_rate
from clearhead.training.settings import TrainingSettings


def settings(schedule: str, warmup: int = 4, final: float = 0.0, updates: int = 20) -> TrainingSettings:
    return TrainingSettings.model_validate(
        {"schedule": schedule, "warmup": warmup, "final_learning_rate": final, "updates": updates, "learning_rate": 0.5}
    )


HAND = [  # schedule, final share, update, share of the peak
    ("inverse_sqrt", 0.0, 1, 1 / 4),
    ("inverse_sqrt", 0.0, 4, 1.0),
    ("inverse_sqrt", 0.0, 16, 1 / 2),
    ("cosine", 0.0, 2, 1 / 2),
    ("cosine", 0.0, 4, 1.0),
    ("cosine", 0.0, 12, 1 / 2),
    ("cosine", 0.2, 12, 0.6),
    ("cosine", 0.2, 20, 0.2),
    ("linear", 0.0, 8, 3 / 4),
    ("linear", 0.1, 20, 0.1),
    ("linear", 0.1, 25, 0.1),
    ("constant", 0.0, 3, 3 / 4),
    ("constant", 0.0, 19, 1.0),
]


@pytest.mark.parametrize(("schedule", "final", "update", "expected"), HAND)
def test_values_worked_out_by_hand(schedule: str, final: float, update: int, expected: float) -> None:
    assert factor(settings(schedule, final=final), update) == pytest.approx(expected, abs=1e-12)
    assert learning_rate(settings(schedule, final=final), update) == pytest.approx(expected / 2, abs=1e-12)


def test_the_paper_s_equation() -> None:
    """Equation 3 of arXiv 1706.03762: d^-0.5 · min(step^-0.5, step · warmup^-1.5), here relative to its peak."""
    chosen, peak = settings("inverse_sqrt", warmup=7), 7**-0.5
    for step in range(1, 40):
        assert factor(chosen, step) == pytest.approx(min(step**-0.5, step * 7**-1.5) / peak, rel=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_rises_to_its_peak_and_never_again(schedule: str) -> None:
    shares = [factor(settings(schedule), update) for update in range(1, 30)]
    assert shares[3] == max(shares) == 1.0
    assert shares[:4] == sorted(shares[:4])
    assert shares[3:] == sorted(shares[3:], reverse=True)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_without_warm_up_the_first_update_has_about_the_peak(schedule: str) -> None:
    assert factor(settings(schedule, warmup=0, updates=1000), 1) == pytest.approx(1.0, abs=0.01)
    assert all(math.isfinite(factor(settings(schedule, warmup=0), update)) for update in range(1, 30))


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_warm_up_that_leaves_no_room_to_fall_is_refused(schedule: str) -> None:
    with pytest.raises(ValidationError, match="warmup 20 leaves none of 20 updates"):
        settings(schedule, warmup=20)


@pytest.mark.parametrize(
    "bad", [{"learning_rate": 0.0}, {"updates": 0}, {"betas": [0.9, 1.0]}, {"watch": ""}, {"warmup": "4"}, {"x": 1}]
)
def test_impossible_settings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainingSettings.model_validate(bad)
