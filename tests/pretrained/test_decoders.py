"""GPT-2, Llama, Mistral, Qwen2 and Qwen3 against transformers: logits, states, padding, cache, generated tokens."""

from __future__ import annotations

import pytest
import torch

from clearhead.generation.prompts import continue_prompts
from clearhead.generation.settings import ContinuationSettings
from clearhead.pretrained.directory import ModelDirectory
from clearhead.pretrained.read import understand
from clearhead.symbols import HOUSE

from .originals import CASES, DECODERS, agree, saved, tokens
from .searches import SEARCHES

every_writer = pytest.mark.parametrize("both", [name for name in DECODERS if "LM" in CASES[name][0]], indirect=True)


@pytest.fixture(scope="module", params=DECODERS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    theirs, folder = saved(request.param, tmp_path_factory.mktemp(request.param))
    return theirs, understand(ModelDirectory.open(folder)).build()


@torch.no_grad()
def test_logits_and_states(both) -> None:
    theirs, ours = both
    ids = tokens(3, 13)
    whole = theirs(ids, output_hidden_states=True)
    agree(ours.states(ids), whole.hidden_states[-1])
    if hasattr(whole, "logits"):
        agree(ours.logits(ids), whole.logits)


@pytest.mark.parametrize("left", [True, False])
@torch.no_grad()
def test_padding_on_either_side(both, left: bool) -> None:
    theirs, ours = both
    mask = torch.arange(11) < torch.tensor([[11], [7], [2]])
    mask = mask.flip(1) if left else mask
    ids = tokens(3, 11).masked_fill(~mask, 0)
    places = (mask.long().cumsum(1) - 1).clamp(min=0)
    whole = theirs(ids, attention_mask=mask.long(), position_ids=places, output_hidden_states=True)
    agree(ours.states(ids, mask=mask)[mask], whole.hidden_states[-1][mask])


@torch.no_grad()
def test_cached_is_uncached(both) -> None:
    _, ours = both
    ids = tokens(2, 17)
    state = ours.begin(ids[:, :6], torch.ones(2, 6, dtype=torch.bool), beam=1, max_length=11)
    steps = [ours.advance(ids[:, at : at + 1], state) for at in range(6, 17)]
    agree(torch.cat(steps, 1), ours.logits(ids)[:, 6:], tolerance=1e-5)


lengths: set[int] = set()


@every_writer
@pytest.mark.parametrize("search", SEARCHES)
def test_the_same_tokens_greedily_and_by_beam_search(both, search: str) -> None:
    """2 to 12 tokens; a dozen of the vocabulary's end an output, so that outputs of many lengths compete."""
    theirs, ours = both
    symbols = HOUSE.model_copy(update={"ends": (3, *range(7, ours.config.target_vocabulary, 4))})
    prompts = tokens(3, 5)
    mine, its = SEARCHES[search]
    common = {"beam": 4, "beam_rule": "steady", "sample": False, "min_length": 2, "max_length": 12}
    settings = ContinuationSettings.model_validate(common | mine)
    found = continue_prompts(ours, prompts.tolist(), settings, context=23, symbols=symbols)
    lengths.update(len(best.tokens) for best, *_ in found)
    wanted = theirs.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        do_sample=False,
        min_new_tokens=2,
        max_new_tokens=12,
        suppress_tokens=list(symbols.never),
        eos_token_id=list(symbols.ends),
        pad_token_id=0,
        **{"num_beams": 4} | its,
    )
    written = [[token for token in row if token not in (0, *symbols.ends)] for row in wanted[:, 5:].tolist()]
    assert [list(best[0].tokens) for best in found] == written


def test_outputs_of_many_lengths_did_compete() -> None:
    """The negative control of the test above, which it follows."""
    assert not lengths or len(lengths) > 3


@every_writer
def test_greedy_search_ends_where_theirs_ends(both) -> None:
    theirs, ours = both
    prompts = tokens(4, 3)
    found = continue_prompts(
        ours, prompts.tolist(), ContinuationSettings(beam=1, sample=False, max_length=15), context=23
    )
    for prompt, best in zip(prompts, found, strict=True):
        wanted = theirs.generate(
            prompt[None],
            attention_mask=torch.ones(1, 3, dtype=torch.long),
            do_sample=False,
            max_new_tokens=15,
            suppress_tokens=[0, 2],
            eos_token_id=3,
            pad_token_id=0,
        )[0, 3:].tolist()
        assert list(best[0].tokens) == [token for token in wanted if token != 3]
