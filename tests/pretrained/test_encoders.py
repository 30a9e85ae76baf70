"""BERT, RoBERTa and DistilBERT against transformers: states, pooled states and logits, alone and padded."""

from __future__ import annotations

import pytest
import torch

from clearhead.pretrained.directory import ModelDirectory
from clearhead.pretrained.read import understand

from .originals import ENCODERS, agree, saved, tokens

MASK = torch.arange(11) < torch.tensor([[11], [7], [3], [1]])


@pytest.fixture(scope="module", params=ENCODERS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    theirs, folder = saved(request.param, tmp_path_factory.mktemp(request.param))
    return theirs, understand(ModelDirectory.open(folder)).build()


@torch.no_grad()
def test_states_and_logits_alone_and_padded(both) -> None:
    theirs, ours = both
    ids = tokens(4, 11)
    if (padding := theirs.config.pad_token_id) is not None:
        ids = ids.masked_fill(~MASK, padding)
    for mask in (MASK, MASK.flip(1)):  # padding behind, padding in front
        ids = ids if mask is MASK else ids.flip(1)
        whole = theirs(ids, attention_mask=mask.long(), output_hidden_states=True)
        agree(ours.states(ids, mask=mask)[mask], whole.hidden_states[-1][mask])
        if ours.config.head.kind != "none" and ours.config.pooling == "none":
            agree(ours.logits(ids, mask=mask)[mask], whole.logits[mask])
        elif ours.config.head.kind == "classes" and mask is MASK:  # of the first real token; theirs is the first column
            agree(ours.logits(ids, mask=mask), whole.logits)
        elif ours.config.pooling == "first_tanh" and mask is MASK:
            agree(ours.hidden(ids, mask=mask), whole.pooler_output)
    alone = tokens(2, 13)
    agree(ours.states(alone), theirs(alone, output_hidden_states=True).hidden_states[-1])


@torch.no_grad()
def test_segments(both) -> None:
    theirs, ours = both
    if ours.config.input.segments < 2:
        pytest.skip("the model has no second segment")
    ids, segments = tokens(3, 9), (torch.arange(9) >= torch.tensor([[3], [5], [9]])).long()
    wanted = theirs(ids, token_type_ids=segments, output_hidden_states=True).hidden_states[-1]
    agree(ours.states(ids, segments=segments), wanted)
