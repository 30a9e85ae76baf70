"""The stack of LSTMs against ``torch.nn.LSTM`` run on every sequence by itself; a step at a time is the whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from clearhead.layers.lstm import LSTMStack

WIDTH, LAYERS = 6, 2
REAL = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [False, True, False, True, True], [False] * 5])
TIGHT = {"rtol": 0, "atol": 1e-12}


def stack(both_ways: bool) -> LSTMStack:
    return LSTMStack(WIDTH, LAYERS, 0.0, both_ways=both_ways).double()


def torchs(ours: LSTMStack, both_ways: bool) -> nn.LSTM:
    """torch's own stack of layers with the same weights."""
    hidden = WIDTH // 2 if both_ways else WIDTH
    theirs = nn.LSTM(WIDTH, hidden, LAYERS, batch_first=True, bidirectional=both_ways, dtype=torch.float64)
    own = {
        name.replace("_l0", f"_l{number}"): value
        for number, block in enumerate(ours.blocks)
        for name, value in block.state_dict().items()
    }
    theirs.load_state_dict(own)
    return theirs


@pytest.mark.parametrize("both_ways", [False, True])
def test_each_row_is_the_sequence_of_its_real_positions(both_ways: bool) -> None:
    ours, x = stack(both_ways), torch.randn(4, 5, WIDTH, dtype=torch.float64)
    theirs, states = torchs(ours, both_ways), ours(x, REAL)
    assert (states[~REAL] == 0).all()
    for row in range(3):
        wanted, _ = theirs(x[row, REAL[row]][None])
        torch.testing.assert_close(states[row, REAL[row]], wanted[0], **TIGHT)
    torch.testing.assert_close(ours(x), theirs(x)[0], **TIGHT)


def test_sequences_one_after_the_other() -> None:
    ours, rows = stack(False), torch.randn(9, WIDTH, dtype=torch.float64)
    theirs, lengths = torchs(ours, False), [2, 4, 1, 2]
    parts = [theirs(part[None])[0][0] for part in rows.split(lengths)]
    torch.testing.assert_close(ours.over(rows, lengths), torch.cat(parts), **TIGHT)
    assert ours.over(rows[:0], []).shape == (0, WIDTH)


def test_a_step_at_a_time_is_the_whole() -> None:
    ours, x = stack(False), torch.randn(3, 5, WIDTH, dtype=torch.float64)
    whole, state, steps = ours(x), ours.nothing(3), list[Tensor]()
    for place in range(5):
        y, state = ours.step(x[:, place], state)
        steps.append(y)
    torch.testing.assert_close(torch.stack(steps, 1), whole, **TIGHT)
    y, _ = ours.step(x[:, 4], ours.read(x[:, :4]))
    torch.testing.assert_close(y, whole[:, 4], **TIGHT)


def test_dropout_stands_between_the_layers() -> None:
    ours, x = LSTMStack(WIDTH, LAYERS, 0.5), torch.randn(3, 5, WIDTH)
    assert not torch.equal(ours(x), ours(x))
    assert torch.equal(ours.eval()(x), ours(x))
    single = LSTMStack(WIDTH, 1, 0.5)
    assert torch.equal(single(x), single(x))


def test_under_autocast_the_recurrence_keeps_its_precision() -> None:
    ours, x = LSTMStack(WIDTH, LAYERS, 0.0), torch.randn(3, 5, WIDTH).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        automatic = ours(x)
    assert torch.equal(automatic, ours(x.float()))
