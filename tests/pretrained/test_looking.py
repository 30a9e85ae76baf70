"""What an inspection shows of a published model is what transformers shows: its attention maps and its hidden states.

transformers is asked for ``output_attentions`` in eager mode, where it keeps every map; ours keeps none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from clearhead.inspection.capture import inspecting
from clearhead.inspection.inspection import Inspection
from clearhead.inspection.logit_contributions import logit_contributions
from clearhead.pretrained.directory import ModelDirectory
from clearhead.pretrained.read import understand

from .originals import agree, saved, tokens
from .test_seq2seq import CASES, WORDS, transformers

ONE_SIDE = ["bert", "roberta", "distilbert", "gpt2", "llama", "mistral", "qwen2", "qwen3"]
TWO_SIDES = ["bart", "marian", "t5"]


def eager(theirs: Any) -> Any:
    theirs.set_attn_implementation("eager")
    return theirs


@pytest.mark.parametrize("name", ONE_SIDE)
@torch.no_grad()
def test_maps_and_stream_of_one_side(name: str, tmp_path: Path) -> None:
    theirs, folder = saved(name, tmp_path)
    ours, ids = understand(ModelDirectory.open(folder)).build(), tokens(2, 13)
    whole = eager(theirs)(ids, output_attentions=True, output_hidden_states=True)
    with inspecting(ours) as seen:
        ours.states(ids)
    assert len(seen.records) == len(whole.attentions) == 3
    for layer, (record, weights) in enumerate(zip(seen.records.values(), whole.attentions, strict=True)):
        agree(record.weights(), weights)
        agree(record.tile((3, 9), (1, 8), [1, 3]), weights[:, [1, 3], 3:9, 1:8])
        if layer < 2:  # behind the last layer theirs is normed already
            stack = record.name.split(".")[0]
            agree(seen.residual[f"{stack}.{layer}"], whole.hidden_states[layer + 1])


@pytest.mark.parametrize("name", TWO_SIDES)
@torch.no_grad()
def test_maps_of_two_sides(name: str, tmp_path: Path) -> None:
    model_class, config_class, settings = CASES[name]
    torch.manual_seed(7)
    theirs = getattr(transformers, model_class)(getattr(transformers, config_class)(**settings)).eval()
    theirs.save_pretrained(tmp_path)
    ours = understand(ModelDirectory.open(tmp_path)).build()
    source, target = torch.randint(5, WORDS, (2, 9)), torch.randint(5, WORDS, (2, 6))
    whole = eager(theirs)(source, decoder_input_ids=target, output_attentions=True)
    with inspecting(ours) as seen:
        ours.logits(source, target)
    kinds = {"encoder": ("self", "encoder_attentions"), "decoder": ("self", "decoder_attentions")}
    for stack, kind, key in [(stack, *found) for stack, found in kinds.items()] + [
        ("decoder", "cross", "cross_attentions")
    ]:
        for layer, weights in enumerate(whole[key]):
            agree(seen[f"{stack}.{layer}.{kind}"].weights(), weights)


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3"])
@torch.no_grad()
def test_heads_of_published_language_models_add_up_to_a_logit(name: str, tmp_path: Path) -> None:
    _, folder = saved(name, tmp_path)
    ours, ids = understand(ModelDirectory.open(folder)).build(), tokens(1, 13)
    with inspecting(ours) as seen:
        logits = ours.logits(ids)
    streams = ({station: x[0] for station, x in kept.items()} for kept in (seen.residual, seen.networks))
    found = logit_contributions(ours, Inspection((), (), seen.records, logits[0], (), *streams), 7, 19)
    size = sum(abs(part.value) for part in found.parts)
    assert sum(part.value for part in found.parts) == pytest.approx(logits[0, 7, 19].item(), abs=1e-5 * size)
