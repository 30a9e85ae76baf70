"""Language models of both bodies: packed documents are as if alone, prompts read at once as if token by token."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from clearhead.errors import ShapeError
from clearhead.models.build import build_model
from clearhead.models.causal_decoder import places_within
from clearhead.models.config import ModelConfig

WORDS = 31
KINDS: dict[str, dict[str, Any]] = {
    "sinusoidal": {},
    "learned": {"positions": "learned", "norm_order": "post"},
    "rotary": {"positions": "rotary", "norm": "rms", "activation": "swiglu", "key_value_heads": 1},
    "alibi": {"positions": "alibi"},
    "t5": {"positions": "t5", "window": 3},
    "lstm": {"body": "lstm"},
}
DOCUMENTS = torch.tensor([[0, 0, 0, 1, 1, 2, 3, 3], [4, 5, 5, 5, 5, 5, 5, 5]])
TIGHT = {"rtol": 0, "atol": 1e-11}


def model(kind: str, **changes: Any) -> Any:
    config = ModelConfig(
        architecture="decoder", width=12, heads=2, feedforward=13, decoder_layers=2, max_positions=41,
        target_vocabulary=WORDS, dropout=0.0, **KINDS[kind] | changes,
    )  # fmt: skip
    return build_model(config, seed=1).double().eval()


def ids(rows: int, columns: int) -> Tensor:
    return torch.randint(4, WORDS, (rows, columns))


def test_places_begin_anew_in_every_document() -> None:
    assert places_within(DOCUMENTS).tolist() == [[0, 1, 2, 0, 1, 0, 0, 1], [0, 0, 1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize("kind", KINDS)
def test_packed_documents_are_as_if_alone(kind: str) -> None:
    network, tokens = model(kind), ids(2, 8)
    packed = network.logits(tokens, documents=DOCUMENTS)
    for row in range(2):
        for number in DOCUMENTS[row].unique():
            inside = DOCUMENTS[row] == number
            alone = network.logits(tokens[row : row + 1, inside])
            torch.testing.assert_close(packed[row, inside], alone[0], **TIGHT)


@pytest.mark.parametrize("kind", KINDS)
def test_one_document_a_row_is_no_documents(kind: str) -> None:
    network, tokens = model(kind), ids(2, 8)
    one = network.hidden(tokens, documents=torch.zeros_like(tokens))
    torch.testing.assert_close(one, network.hidden(tokens), **TIGHT)


@pytest.mark.parametrize("length", [0, 1, 5])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_prompt_and_what_follows_is_the_whole(kind: str, length: int) -> None:
    network, tokens = model(kind), ids(3, 9)
    whole = network.logits(tokens)
    prompt = tokens[:, :length]
    state = network.begin(prompt, torch.ones_like(prompt, dtype=torch.bool), beam=1, max_length=2)
    for place in range(length, 9):
        assert state.length == place
        cached = network.advance(tokens[:, place : place + 1], state)
        torch.testing.assert_close(cached[:, 0], whole[:, place], **TIGHT)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_sentences_may_be_kept_repeated_and_turned(kind: str) -> None:
    network, tokens = model(kind), ids(3, 6)
    state = network.begin(tokens, torch.ones_like(tokens, dtype=torch.bool), beam=1, max_length=4)
    rows = torch.tensor([2, 0, 0, 1, 2])
    state.keep(rows)
    state.reorder(torch.zeros(5, 2, dtype=torch.int64))
    fed = ids(5, 2)
    cached = network.advance(fed, state)
    for row in range(5):
        for hypothesis in range(2):
            prefix = torch.cat((tokens[rows[row]], fed[row, hypothesis : hypothesis + 1]))
            torch.testing.assert_close(cached[row, hypothesis], network.logits(prefix[None])[0, -1], **TIGHT)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "lstm"])
@torch.no_grad()
def test_a_prompt_may_be_cut_anywhere(kind: str) -> None:
    network, tokens = model(kind, mask_self=True), ids(2, 9)
    whole = network.decoder(tokens)
    nothing = tokens[:, :0]
    state = network.begin(nothing, nothing.bool(), beam=1, max_length=9)
    parts = [network.decoder.extend(part, state.cache) for part in tokens.split([3, 1, 4, 1], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, **TIGHT)


@pytest.mark.parametrize("kind", ["sinusoidal", "lstm"])
def test_ties(kind: str) -> None:
    for tie in ("all", "target", "none"):
        network = model(kind, tie=tie)
        assert (network.output_weight is network.decoder.embedding.tokens.weight) == (tie != "none")
        assert network.output_bias is None


@pytest.mark.parametrize("kind", ["sinusoidal", "lstm"])
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.logits(ids(2, 8) + 31), ["ids must lie in 0 … 30"]),
        (lambda m: m.logits(ids(1, 42)), ["41 positions", "needs 42"]),
        (lambda m: m.logits(ids(2, 8), documents=DOCUMENTS[:1]), ["documents must be int64", "(2, 8)", "(1, 8)"]),
        (lambda m: m.begin(ids(2, 3), torch.eye(2, 3).bool(), beam=1, max_length=3), ["one length", "padding"]),
        (
            lambda m: m.advance(ids(2, 2), m.begin(ids(2, 3), torch.ones(2, 3).bool(), beam=1, max_length=3)),
            ["(2, 1)", "(2, 2)"],
        ),
    ],
)
def test_refusals_say_both_sides(kind: str, call: Any, words: list[str]) -> None:
    with pytest.raises(ShapeError) as caught:
        call(model(kind))
    for word in words:
        assert word in str(caught.value)
