"""Numbers that must not change: a model whose weights are a formula, beside a second implementation in numpy.

The expected numbers below were computed by ``numpy_transformer``. Should one of these tests fail, what the model
computes or how its parameters are named has changed, and saved runs would change with it.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clearhead.models.config import ModelConfig
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.training.loss import chunked_cross_entropy

from .numpy_transformer import Transformer, positions

SOURCES, TARGETS = [[5, 3, 11, 7, 2], [9, 4]], [[1, 8, 6, 12], [1, 10, 3]]
LOSSES = {"pre": 13.4344555428, "post": 14.0769043258}
FIRST_LOGITS = {
    "pre": [-1.5231308678, -0.1538946032, 1.2910878913, 2.1006027468],
    "post": [2.9417872746, 2.678465661, 1.0968153254, -1.0246825682],
}


def model(order: str) -> EncoderDecoder:
    """Parameter n of the model (in order of name) is 0.5 · sin(n + 0.7 · index), plus 1 where it is a gain."""
    config = ModelConfig(
        width=10, heads=4, key_value_heads=2, key_width=3, value_width=5, feedforward=17, encoder_layers=2,
        decoder_layers=1, source_vocabulary=13, target_vocabulary=13, norm_order=order, max_positions=11,
    )  # fmt: skip
    built = EncoderDecoder(config).double().eval()
    with torch.no_grad():
        for number, (name, parameter) in enumerate(sorted(built.named_parameters())):
            angles = number + 0.7 * torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_(0.5 * torch.sin(angles).view_as(parameter) + float(name.endswith("norm.weight")))
    for side in (built.encoder, built.decoder):
        side.embedding.positions.table = torch.from_numpy(positions(11, 10))
    return built


def second(built: EncoderDecoder, order: str) -> Transformer:
    weights = {name: tensor.numpy() for name, tensor in built.state_dict().items()}
    return Transformer(weights, layers=(2, 1), heads=4, groups=2, widths=(3, 5), pre=order == "pre")


@pytest.mark.parametrize("order", LOSSES)
def test_the_model_and_the_second_implementation_agree(order: str) -> None:
    built = model(order)
    numpys = second(built, order)
    source, target = torch.tensor([SOURCES[0], [*SOURCES[1], 0, 0, 0]]), torch.tensor([TARGETS[0], [*TARGETS[1], 0]])
    mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    with torch.no_grad():
        logits = built.logits(source, target, mask=mask).numpy()
    for row, (words, answer) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        np.testing.assert_allclose(logits[row, : len(answer)], numpys.logits(words, answer), rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", LOSSES)
def test_the_numbers_written_down(order: str) -> None:
    built = model(order)
    with torch.no_grad():
        hidden = built.hidden(torch.tensor(SOURCES[:1]), torch.tensor(TARGETS[:1]))[0]
        logits = built.logits(torch.tensor(SOURCES[:1]), torch.tensor(TARGETS[:1]))[0]
        loss = chunked_cross_entropy(hidden[:3], built.output_weight, torch.tensor(TARGETS[0][1:]), label_smoothing=0.1)
    assert logits[0, :4].tolist() == pytest.approx(FIRST_LOGITS[order], abs=1e-9)
    assert loss.total.item() == pytest.approx(LOSSES[order], abs=1e-9)
