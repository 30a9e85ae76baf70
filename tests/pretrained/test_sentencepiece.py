"""A SentencePiece model cuts some thousand real lines as its own library does; a broken one is refused."""

from __future__ import annotations

import io
import random

import pytest

from clearhead.errors import RunError
from clearhead.pretrained.sentencepiece import SentencePiece

from .lines import real_lines

sentencepiece = pytest.importorskip("sentencepiece")
IDENTITY = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "byte_fallback": True}
STYLES = {
    "T5 and Marian": {"model_type": "unigram"},
    "Unigram with bytes": {"model_type": "unigram", **IDENTITY},
    "Llama": {"model_type": "bpe", **IDENTITY},
    "BPE": {"model_type": "bpe", "add_dummy_prefix": False},
}


def train(**settings: object) -> bytes:
    """A small model of every second line, so that some characters of the others are unknown."""
    out = io.BytesIO()
    chosen = {"vocab_size": 1500, "character_coverage": 0.98, "minloglevel": 2, "num_threads": 1} | settings
    lines = iter([line for line in real_lines()[::2] if line.strip()])
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=lines, model_writer=out, **chosen)
    return out.getvalue()


@pytest.mark.parametrize("style", STYLES)
def test_it_cuts_as_its_own_library_does(style: str) -> None:
    content = train(**STYLES[style])
    own, ours = sentencepiece.SentencePieceProcessor(model_proto=content), SentencePiece.parse(content, "x").backend()
    lines = list(real_lines())
    assert len(lines) > 3000
    wanted = own.encode(lines)
    found = [each.ids for each in ours.encode_batch(lines, add_special_tokens=False)]
    different = [(a, b) for a, b in zip(wanted, found, strict=True) if a != b]
    assert len(different) <= 3
    for a, b in different:  # two ways of the very same score, of which each library takes another
        assert "unigram" in style.lower() or style == "T5 and Marian"
        assert sum(map(own.get_score, a)) == pytest.approx(sum(map(own.get_score, b)), abs=1e-4)
    assert sum(own.unk_id() in row for row in wanted) > 0 or "byte_fallback" in STYLES[style]
    texts = [ours.decode(row, skip_special_tokens=False) for row in found]
    known = [n for n, row in enumerate(wanted) if own.unk_id() not in row]
    assert [texts[n] for n in known] == [own.decode(wanted[n]) for n in known]


def test_what_is_no_such_model_is_refused() -> None:
    for content in (b"", b"\x80\x05\x95", b"{}", b"\xff" * 50, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"):
        with pytest.raises(RunError, match=r"a\.spm is not a readable SentencePiece model"):
            SentencePiece.parse(content, "a.spm")


@pytest.mark.parametrize("kind", ["word", "char"])
def test_other_kinds_are_refused(kind: str) -> None:
    content = train(model_type=kind, vocab_size=300, hard_vocab_limit=False)
    with pytest.raises(RunError, match=r"its kind is number \d, expected 1 \(unigram\) or 2 \(BPE\)"):
        SentencePiece.parse(content, "a.spm")


def test_a_changed_file_is_read_or_refused_and_never_crashes() -> None:
    content, chance = train(model_type="unigram", vocab_size=800), random.Random(4)
    refused = 0
    for _ in range(300):
        changed = bytearray(content[: chance.choice([len(content), chance.randrange(len(content))])])
        for _ in range(chance.randrange(1, 9)):
            changed[chance.randrange(len(changed))] = chance.randrange(256) if changed else 0
        try:
            SentencePiece.parse(bytes(changed), "a.spm")
        except RunError:
            refused += 1
    assert 100 < refused < 300
