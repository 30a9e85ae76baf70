"""What is frozen stays to the bit, has no state in the optimiser and no gradient; rates by depth, worked by hand."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from clearhead.errors import ConfigurationError
from clearhead.training import checkpoint
from clearhead.training.depth import rate_shares, stacks
from clearhead.training.freezing import freeze
from clearhead.training.optimizer import build_optimizer, set_learning_rate
from clearhead.training.settings import TrainingSettings
from clearhead.training.weights import weights_of

from . import toys


def settings(**changes: object) -> TrainingSettings:
    return TrainingSettings.model_validate(toys.SETTINGS.model_dump() | changes)


def trained_names(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def deep() -> nn.Module:
    return toys.model(encoder_layers=3, decoder_layers=2, tie="none")


def test_patterns_name_parameters_and_parts() -> None:
    model = deep()
    freeze(model, settings(freeze=["encoder", "decoder.blocks.*.feedforward", "*.around_cross.norm.bias"]))
    left = trained_names(model)
    assert left
    assert not any(name.startswith("encoder.") or ".feedforward." in name for name in left)
    assert {"output.weight", "decoder.blocks.0.around_cross.norm.weight"} <= left
    assert "decoder.blocks.0.around_cross.norm.bias" not in left


def test_all_but_the_last_blocks_of_each_stack() -> None:
    model = deep()
    freeze(model, settings(freeze_all_but_last=1))
    blocks = {".".join(name.split(".")[:3]) for name in trained_names(model) if ".blocks." in name}
    assert blocks == {"encoder.blocks.2", "decoder.blocks.1"}
    assert "encoder.norm.weight" in trained_names(model) and "output.weight" in trained_names(model)
    assert not any("embedding" in name for name in trained_names(model))


def test_a_tied_matrix_is_frozen_by_either_of_its_names() -> None:
    model = toys.model()
    freeze(model, settings(freeze=["output"]))
    assert "encoder.embedding.tokens.weight" not in trained_names(model)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"freeze": ["encodr"]}, r"'encodr' fits none of \d+ \(did you mean 'encoder'\?\)"),
        ({"freeze": ["*"]}, "all .* parameters are frozen"),
        ({"freeze_all_but_last": 3}, "freeze_all_but_last = 3, but decoder.blocks has 2 blocks"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        freeze(deep(), settings(**changes))


def test_running_statistics_are_not_called_frozen() -> None:
    with pytest.raises(ConfigurationError, match="batch normalisation"):
        freeze(toys.model(norm="batch"), settings(freeze=["encoder"]))


@pytest.mark.parametrize("members", [1, 2])
def test_what_is_frozen_stays_to_the_bit_and_has_no_state(tmp_path: Path, members: int) -> None:
    """Through snapshots, their average, checkpoints and members side by side."""
    frozen = ["encoder", "decoder.blocks.0.self_attention"]
    before = {name: tensor.clone() for name, tensor in weights_of(toys.model(tie="none")).items()}
    changes = {"freeze": frozen, "keep": "average", "side_by_side": members, "batch_tokens": 1400, "updates": 12}
    events = toys.train(tmp_path, model=toys.model(tie="none"), **changes)
    after = load_file(tmp_path / "model.safetensors")
    kept = {name for name in before if name.startswith(("encoder.", "decoder.blocks.0.self_attention."))}
    assert kept
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]) == (name in kept), name
    found = checkpoint.newest(tmp_path / "checkpoints").path
    assert found is not None
    states = {name.rpartition("/")[0] for name in checkpoint.load(found).optimizer}
    assert states == before.keys() - kept
    assert events[0].as_dict()["trained"] == sum(before[name].numel() for name in before.keys() - kept)


def test_no_gradient_reaches_below_the_lowest_trained_layer(tmp_path: Path) -> None:
    """The backward pass of a frozen block would call the hook on what it reads."""
    model, reached = toys.model(encoder_layers=2, tie="none"), []
    freeze(model, settings(freeze_all_but_last=1))
    blocks = model.encoder.blocks  # type: ignore[union-attr]
    for place, block in enumerate(blocks):
        block.register_forward_hook(lambda _, inputs, out, place=place: reached.append((place, out.requires_grad)))
    model.train()
    batch = next(toys.batches(toys.Letters(7), 7))
    loss = toys.job(tmp_path).objective(model, batch, 1)
    loss.total.backward()  # type: ignore[no-untyped-call]
    assert reached == [(0, False), (1, True)]
    assert {name for name, parameter in model.named_parameters() if parameter.grad is not None} == trained_names(model)


def test_frozen_and_decaying_runs_resume_to_the_bit(tmp_path: Path) -> None:
    changes = {"freeze_all_but_last": 1, "layer_decay": 0.8, "updates": 9}
    toys.train(tmp_path / "whole", **changes)
    job = toys.job(tmp_path / "halves", **changes)
    events = toys.run(job)
    list(itertools.takewhile(lambda event: event.update < 5, events))
    events.close()
    toys.train(tmp_path / "halves", resume=True, **changes)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "halves"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_rates_by_depth_worked_by_hand() -> None:
    """λ = ½ over 3 blocks: embedding 1/16, blocks 1/8, 1/4, 1/2, what is above 1; of 2 blocks: 1/8, 1/4, 1/2."""
    model = deep()
    assert [(stack.blocks, stack.count) for stack in stacks(model)] == [("encoder.blocks", 3), ("decoder.blocks", 2)]
    shares = rate_shares(model, 0.5)
    assert shares["encoder.embedding.tokens.weight"] == 1 / 16
    assert [shares[f"encoder.blocks.{n}.feedforward.into.weight"] for n in range(3)] == [1 / 8, 1 / 4, 1 / 2]
    assert shares["decoder.embedding.tokens.weight"] == 1 / 8
    assert [shares[f"decoder.blocks.{n}.cross_attention.query.bias"] for n in range(2)] == [1 / 4, 1 / 2]
    assert not {"encoder.norm.weight", "decoder.norm.bias", "output.weight"} & shares.keys()


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon"])
def test_a_step_is_as_long_as_the_depth_says(optimizer: str) -> None:
    """The first step of each optimiser is proportional to its rate, whatever the gradient's size."""
    model, plain = deep(), deep()
    moved = {}
    for one, decay in ((plain, None), (model, 0.5)):
        before = {name: tensor.clone() for name, tensor in weights_of(one).items()}
        chosen = settings(layer_decay=decay, optimizer=optimizer, weight_decay=0.0, learning_rate=0.001)
        stepper = build_optimizer(one, chosen)
        set_learning_rate(stepper, 0.001)
        torch.manual_seed(5)
        for parameter in one.parameters():
            parameter.grad = torch.randn_like(parameter)
        stepper.step()
        moved[decay] = {name: (tensor - before[name]).double() for name, tensor in weights_of(one).items()}
    shares = rate_shares(model, 0.5)
    for name, step in moved[0.5].items():
        torch.testing.assert_close(step, moved[None][name] * shares.get(name, 1.0), rtol=1e-2, atol=1e-6)
