"""The tasks on vectors, with a model that knows its answers: order, parts, what is cut, labels never seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from clearhead.data.vector_batch import Vectors
from clearhead.errors import DataError
from clearhead.tasks.vectors import VectorLabels

NAMES = ("low", "high")


class Sign:
    """Says of each vector whether its first number is positive, or of a sequence whether their sum is."""

    training = True
    output_weight = torch.zeros(1)

    def __init__(self, *, per_vector: bool) -> None:
        self.per_vector = per_vector
        self.longest = 0

    def train(self, mode: bool = True) -> None:
        self.training = mode

    def logits(self, inputs: Tensor, *, mask: Tensor | None = None) -> Tensor:
        assert not self.training and mask is not None
        self.longest = max(self.longest, inputs.shape[1])
        first = inputs[..., 0].masked_fill(~mask, 0.0)
        first = first if self.per_vector else first.sum(1)
        return torch.stack((torch.zeros_like(first), torch.where(first > 0, 5.0, -5.0)), -1)


def task(*, per_vector: bool, longest: int = 8) -> VectorLabels:
    return VectorLabels(NAMES, lambda vectors: vectors - 1.0, 2, longest, per_vector)


def sequence(*numbers: float) -> Vectors:
    return np.array([[number, 7.0] for number in numbers], dtype=np.float32)


def test_every_vector_has_a_label_in_its_order() -> None:
    model = Sign(per_vector=True)
    found = task(per_vector=True).label(model, [sequence(2, 0), sequence(0), sequence(2, 2, 0)])
    assert [each.labels for each in found] == [("high", "low"), ("low",), ("high", "high", "low")]
    assert found[1].probabilities == pytest.approx((1 / (1 + math.exp(-5)),))
    assert model.training
    assert task(per_vector=True).label(model, []) == []


def test_a_long_sequence_is_read_in_parts_where_every_vector_has_a_label() -> None:
    model = Sign(per_vector=True)
    (found,) = task(per_vector=True, longest=4).label(model, [sequence(*([0, 2] * 5))])
    assert found.labels == ("low", "high") * 5 and not found.truncated
    assert model.longest == 4


def test_a_long_sequence_loses_its_end_where_the_whole_has_a_label() -> None:
    (found,) = task(per_vector=False, longest=2).label(Sign(per_vector=False), [sequence(2, 2, -90)])
    assert (found.labels, found.truncated) == (("high",), True)


def test_scores_and_loss_by_hand() -> None:
    rows, wanted = [sequence(2), sequence(0, 0), sequence(2, 0)], [["high"], ["high"], ["new"]]
    asked = task(per_vector=False)
    found, loss = asked.label_and_measure(Sign(per_vector=False), rows, wanted)
    scores, tables = asked.measure(found, wanted)
    assert scores["accuracy"] == pytest.approx(100 / 3)
    assert scores["macro_f1"] == pytest.approx((200 / 3 + 0 + 0) / 3)  # high, low, new
    assert tables["unseen_labels"] == {"new": 1}
    assert loss == pytest.approx((math.log(1 + math.exp(-5)) + math.log(1 + math.exp(5))) / 2)


def test_data_with_other_labels_is_refused() -> None:
    with pytest.raises(DataError, match="none of the labels of this data, such as 'x'; expected labels such as 'low'"):
        task(per_vector=False).label_and_measure(Sign(per_vector=False), [sequence(2)], [["x"]])
