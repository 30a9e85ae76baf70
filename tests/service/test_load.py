"""The face of a loaded model: predictions in order, options checked, bad inputs refused, looking without changing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from clearhead.errors import ConfigurationError, DataError
from clearhead.service.load import load
from clearhead.service.look import look_at, readable
from clearhead.service.tasks.translator import Translator
from clearhead.service.verify import Check, verify

from .toy import translate

TEXTS = ["1 2 3", "4", "", "5 6", "   ", "7 8 9 0"]


@pytest.fixture(scope="module")
def translator(finished: Path) -> Translator:
    return load(finished)


def test_answers_stand_in_the_order_of_the_questions(translator: Translator) -> None:
    together = [answer.text for answer in translator.predict(TEXTS)]
    alone = [translator.predict([text])[0].text for text in TEXTS]
    assert together == alone
    assert together[1] == translate([4])


def test_a_blank_input_has_a_blank_answer(translator: Translator) -> None:
    answers = translator.predict(["", " \t"], n_best=2)
    assert [answer.text for answer in answers] == ["", ""]
    assert [len(answer.alternatives) for answer in answers] == [2, 2]


def test_no_input_no_answer(translator: Translator) -> None:
    assert translator.predict([]) == []


def test_alternatives_come_best_first_with_their_probabilities(translator: Translator) -> None:
    (answer,) = translator.predict(["1 2 3"], beam=4, n_best=3)
    scores = [each.score for each in answer.alternatives]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)
    best = answer.alternatives[0]
    assert len(best.token_log_probabilities) == len(best.pieces) + best.finished
    assert best.log_probability == pytest.approx(sum(best.token_log_probabilities))
    assert answer.as_dict()["n_best"][0]["text"] == answer.text == str(answer)


def test_sampling_repeats_with_its_seed(translator: Translator) -> None:
    one, same, other = (
        [answer.text for answer in translator.predict(["1 2 3 4"] * 20, sample=True, temperature=3.0, seed=seed)]
        for seed in (1, 1, 2)
    )
    assert one == same != other


def test_an_input_beyond_the_models_room_is_cut_and_says_so(translator: Translator) -> None:
    short, long = translator.predict(["1 2", "1 " * 100])
    assert (short.truncated, long.truncated) == (False, True)


@pytest.mark.parametrize(
    ("decoding", "said"),
    [
        ({"beems": 3}, "decoding: unknown key beems (did you mean 'beam'?)"),
        ({"beam": 0}, "decoding: beam: expected a number ≥ 1, got 0"),
        ({"beam": "3"}, 'decoding: beam: expected a whole number, got "3"'),
        ({"n_best": 9}, "n_best 9 results cannot come out of a beam of 2"),
        ({"max_length": 33}, "decoding: max_length: this model has room for 32 pieces, got 33"),
        ({"max_length": "x"}, 'decoding: max_length: expected a whole number, got "x"'),
    ],
)
def test_wrong_options_are_refused(translator: Translator, decoding: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        translator.predict(["1"], **decoding)
    assert said in str(caught.value)


@pytest.mark.parametrize("inputs", ["1 2 3", b"1 2"])
def test_one_text_is_no_list_of_texts(translator: Translator, inputs: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a list of texts"):
        translator.predict(inputs)


@pytest.mark.parametrize("inputs", [[3], [None], ["\ud800"]])
def test_what_is_no_text_is_refused(translator: Translator, inputs: list[str]) -> None:
    with pytest.raises(DataError):
        translator.predict(inputs)


def test_logits_and_states_have_the_shapes_of_the_contract(translator: Translator) -> None:
    ids, target = torch.tensor([[4, 5, 3]]), torch.tensor([[2, 4]])
    assert translator.states(ids).shape == (1, 3, 32)
    assert translator.logits(ids, target).shape == (1, 2, translator.config.target_vocabulary)


def test_double_precision_agrees(finished: Path, translator: Translator) -> None:
    exact = load(finished, dtype=torch.float64)
    ids, target = torch.tensor([[4, 5, 3]]), torch.tensor([[2, 4]])
    assert exact.logits(ids, target).dtype == torch.float64
    torch.testing.assert_close(exact.logits(ids, target).float(), translator.logits(ids, target), atol=1e-4, rtol=0)


@pytest.mark.parametrize("device", ["quantum", "cuda:99"])
def test_an_unknown_device_is_refused(finished: Path, device: str) -> None:
    with pytest.raises(ConfigurationError, match=f"device: '{device}' cannot be used here"):
        load(finished, device=device)


def test_a_dtype_must_be_floating(finished: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected a floating one"):
        load(finished, dtype=torch.int64)


def test_a_look_has_a_map_for_every_head_and_rows_of_one(translator: Translator) -> None:
    found = look_at(translator, "1 2 3")
    assert found.answer == translator.predict(["1 2 3"])[0].text
    assert found.labels() == (["1", "2", "3", "end"], ["eins", "zwei", "drei", "end"])
    assert [maps.shape for maps in found.layers] == [(4, 4, 4)] * 2
    assert all(abs(maps.sum(-1) - 1).max() < 1e-5 for maps in found.layers)


def test_looking_does_not_change_the_answer(translator: Translator) -> None:
    source, written = translator.pair("1 2 3")
    ids, target = torch.tensor([[*source, 3]]), torch.tensor([[2, *written]])
    before = translator.logits(ids, target)
    seen = translator.inspect("1 2 3")
    assert torch.equal(seen.logits, before[0])
    assert torch.equal(translator.logits(ids, target), before)


def test_a_given_translation_can_be_looked_at(translator: Translator) -> None:
    assert look_at(translator, "1 2", "neun neun neun").labels()[1] == ["neun", "neun", "neun", "end"]


@pytest.mark.parametrize(
    ("layer", "head", "name"),
    [(None, None, "mean of all heads"), (1, None, "layer 1, mean of its heads"), (0, 3, "layer 0, head 3")],
)
def test_a_map_is_chosen_by_layer_and_head(
    translator: Translator, layer: int | None, head: int | None, name: str
) -> None:
    assert look_at(translator, "1 2").choose(layer, head)[0] == name


@pytest.mark.parametrize(
    ("layer", "head", "said"),
    [(2, None, "layer: expected a number from 0 to 1, got 2"), (0, 4, "head: expected"), (None, 1, "of which layer")],
)
def test_a_map_that_is_not_there_is_refused(
    translator: Translator, layer: int | None, head: int | None, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        look_at(translator, "1 2").choose(layer, head)


def test_nothing_cannot_be_looked_at(translator: Translator) -> None:
    with pytest.raises(ConfigurationError, match="the text is empty"):
        look_at(translator, "  ")


@pytest.mark.parametrize(
    ("pieces", "labels"),
    [
        (["▁Ha", "us", ".", "</s>"], ["Ha", "-us", ".", "end"]),
        (["▁", "3", "▁", "m"], ["␣", "3", "␣", "m"]),
        (["a", "<unk>"], ["a", "<unk>"]),
        (["▁ab", "<0x24>", "<0xE5>"], ["ab", "$", "<0xE5>"]),
    ],
)
def test_labels_are_readable(pieces: list[str], labels: list[str]) -> None:
    assert readable(pieces) == labels


def test_every_path_of_this_model_agrees_with_the_textbook(translator: Translator) -> None:
    checks = list(verify(translator))
    assert [check for check in checks if not check.holds] == []
    assert {check.path for check in checks} >= {"products", "fused", "streamed", "cached against recomputed"}
    assert len({check.what for check in checks if "." in check.what}) == 6


def test_a_check_notices_a_wrong_model(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: a path that scales its scores wrongly must fail, and only that path."""
    from clearhead.mechanism import paths
    from clearhead.service import verify as module

    def wrong(problem: paths.Problem) -> torch.Tensor:
        return paths.products(problem) * 1.01

    monkeypatch.setitem(module.PATHS, "products", wrong)
    failed = {check.path for check in verify(load(finished)) if not check.holds}
    assert failed == {"products"}


def test_not_a_number_never_holds() -> None:
    assert not Check("x", "y", float("nan"), 1e-4).holds


def test_a_search_is_looked_at_while_it_runs(translator: Translator) -> None:
    """Each answer's inspection is that of the same translation read at once; the answers are those of ``predict``."""
    seen = translator.inspect_search("1 2 3", decoding={"beam": 3, "n_best": 2}, heads=[1])
    answers = translator.predict(["1 2 3"], beam=3, n_best=2)[0].alternatives
    assert seen.texts == tuple(answer.text for answer in answers)
    for text, found in zip(seen.texts, seen.inspections, strict=True):
        anew = translator.inspect("1 2 3", text, heads=[1])
        assert (found.source, found.target, found.fed) == (anew.source, anew.target, anew.fed)
        assert list(found.attentions) == list(anew.attentions)
        for name in found.attentions:
            torch.testing.assert_close(found.weights(name), anew.weights(name), rtol=0, atol=1e-5)
        torch.testing.assert_close(found.logits, anew.logits, rtol=0, atol=1e-4)
    assert len(seen.beams[0]) == 1 and len(seen.beams[1]) == 3
    first = seen.beams[1][0]
    assert first.pieces == ("▁eins",) and first.inspect().target == ("▁eins", "…")
