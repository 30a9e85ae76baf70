"""A translator trained here, run by CTranslate2: the same probabilities of the same tokens, the same translations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch

from clearhead.errors import ConfigurationError
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.service.ctranslate2_model import check, specified
from clearhead.service.export import export
from clearhead.service.load import load
from clearhead.text.tokenizer import END, SPECIAL_PIECES, START

from .exported import KINDS, SIZES

ctranslate2 = pytest.importorskip("ctranslate2")


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_probabilities_of_given_translations_agree(kind: dict[str, Any], tmp_path: Path) -> None:
    config = ModelConfig.model_validate(SIZES | kind)
    check(config)
    model = build_model(config, seed=3).eval()
    spec = specified(model, config)
    names = [[f"{side}{number}" for number in range(size)] for side, size in (("s", 29), ("t", 23))]
    for side in names:
        side[: len(SPECIAL_PIECES)] = SPECIAL_PIECES
    spec.register_source_vocabulary(names[0])
    spec.register_target_vocabulary(names[1])
    spec.config.add_source_eos, spec.config.layer_norm_epsilon = True, config.norm_epsilon
    spec.validate()
    spec.save(str(tmp_path))
    source, target = torch.tensor([[7, 28, 11, 5, 9, END]]), torch.tensor([[START, 22, 4, 17, 8]])
    with torch.no_grad():
        logs = model.logits(source, target)[0].log_softmax(-1)
    wanted = [*target[0, 1:].tolist(), END]
    translator = ctranslate2.Translator(str(tmp_path), compute_type="float32", inter_threads=1, intra_threads=1)
    (told,) = translator.score_batch(
        [[names[0][each] for each in source[0, :-1].tolist()]], [[names[1][each] for each in wanted[:-1]]]
    )
    assert told.log_probs == pytest.approx(logs[torch.arange(5), wanted].tolist(), rel=2e-4, abs=2e-4)


def test_translations_of_a_run_are_the_same(finished: Path, tmp_path: Path) -> None:
    written = export(finished, "ctranslate2", tmp_path / "out")
    assert set(written.files) >= {"model.bin", "config.json", "tokenizer-source.json", "tokenizer-target.json"}
    cutters = [
        tokenizers.Tokenizer.from_file(str(written.folder / f"tokenizer-{side}.json")) for side in ("source", "target")
    ]
    translator = ctranslate2.Translator(str(written.folder), compute_type="float32", inter_threads=1, intra_threads=1)
    texts = ["1 2 3", "9", "4 0 4 1", "7 7"]
    pieces = [cutters[0].encode(text, add_special_tokens=False).tokens for text in texts]
    ours = load(finished, device="cpu")
    for beam in (1, 4):
        told = translator.translate_batch(pieces, beam_size=beam, length_penalty=0)
        answers = ours.predict(texts, beam=beam, length_penalty=0.0)
        for read, theirs, answer in zip(pieces, told, answers, strict=True):
            ids = [cutters[1].token_to_id(piece) for piece in theirs.hypotheses[0]]
            assert cutters[1].decode(ids) == str(answer)
            (scored,) = translator.score_batch([read], [theirs.hypotheses[0]])
            assert sum(scored.log_probs) == pytest.approx(answer.score, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ({"positions": "rotary"}, "positions must be 'sinusoidal', 'sinusoidal_halves', 'learned', but it is 'rotary'"),
        ({"score": "additive"}, "score must be 'scaled_dot', but it is 'additive'"),
        ({"key_value_heads": 1}, "key_value_heads must be 3 here, but it is 1"),
        ({"architecture": "decoder"}, "architecture must be 'encoder-decoder', but it is 'decoder'"),
        ({"norm": "batch"}, "norm must be 'layer', 'rms', but it is 'batch'"),
    ],
)
def test_what_the_engine_lacks_is_refused_by_name(kind: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check(ModelConfig.model_validate(SIZES | kind))


def test_a_family_belongs_to_the_other_target(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--family goes with --to huggingface; got 'marian'"):
        export(finished, "ctranslate2", tmp_path / "out", family="marian")
    assert not (tmp_path / "out").exists()
