"""The tokenizers of a model directory: tokenizer.json, or the files of the time before it, as foreign tokenizers.

Which files there are says which kind it is: Marian's two SentencePiece models with a vocabulary of their own, the
library's ``tokenizer.json``, BERT's ``vocab.txt``, byte-level BPE (GPT-2, arXiv: Radford et al. 2019) as ``vocab.json``
with ``merges.txt``, one SentencePiece model. Templates of chats are text and stay unread. Weights are not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors

from clearhead.errors import RunError
from clearhead.pretrained.directory import LARGEST_TEXT, ModelDirectory
from clearhead.pretrained.named import named_symbols, pieces_of_roles, surroundings
from clearhead.pretrained.sentencepiece import CONTROL, SentencePiece
from clearhead.text.foreign import ForeignTokenizer, backend_of

Roles = Mapping[str, str]
BERT_ROLES = {
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "mask_token": "[MASK]",
}
SURROUNDED = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}
END_OF_TEXT = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
SENTENCEPIECE = ("spiece.model", "tokenizer.model", "sentencepiece.bpe.model")
MARIAN = ("source.spm", "target.spm", "vocab.json")
SENTINELS = 100  # T5's, which its SentencePiece model does not have (section 3.1.4 of arXiv 1910.10683)
# Qwen2's words: contractions, letters, single digits, other signs, spaces.
QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def read_tokenizers(directory: ModelDirectory, sizes: tuple[int, int]) -> tuple[ForeignTokenizer, ForeignTokenizer]:
    """The tokenizers of source and target, one and the same unless the directory has two; ``sizes`` are the model's.

    Raises:
        RunError: the directory has none, or a broken one; the message names the file.
        ConfigurationError: its numbers do not fit the model's vocabulary.
    """
    if all(directory.has(name) for name in MARIAN):
        return _marian(directory, sizes)
    backend, roles = _backend(directory)
    symbols = named_symbols(directory, roles, backend.get_vocab(True), surroundings(backend))
    one = ForeignTokenizer(backend, symbols, sizes[0])
    return one, one


def _backend(directory: ModelDirectory) -> tuple[tokenizers.Tokenizer, Roles]:
    if directory.has("tokenizer.json"):
        table = directory.json("tokenizer.json", max_bytes=LARGEST_TEXT)
        backend = backend_of(table, str(directory.path / "tokenizer.json"))
        return backend, _default_roles(directory, backend) | pieces_of_roles(directory)
    readers: tuple[tuple[tuple[str, ...], Callable[[ModelDirectory], tokenizers.Tokenizer]], ...] = (
        (("vocab.txt",), _word_pieces),
        (("vocab.json", "merges.txt"), _byte_level),
        *(((name,), _sentence_pieces) for name in SENTENCEPIECE),
    )
    for names, read in readers:
        if all(directory.has(name) for name in names):
            try:
                backend = read(directory)
                return backend, _default_roles(directory, backend) | pieces_of_roles(directory)
            except (ValueError, TypeError) as error:
                raise RunError(f"{directory.path / names[0]} is not a readable vocabulary: {error}") from None
            except BaseException as error:  # whatever else the library raises; a panic of it is no Exception
                if type(error) is not Exception and type(error).__name__ != "PanicException":
                    raise
                raise RunError(f"{directory.path / names[0]} is not a readable vocabulary: {error}") from None
    raise RunError(
        f"{directory.path} has no tokenizer: expected tokenizer.json, vocab.txt, vocab.json with merges.txt, "
        f"{', '.join(SENTENCEPIECE)}, or {' with '.join(MARIAN)}"
    )


def _default_roles(directory: ModelDirectory, backend: tokenizers.Tokenizer) -> dict[str, str]:
    """What a piece of a usual name is for, where no file says so."""
    known = backend.get_vocab(True)
    for roles in (BERT_ROLES, SURROUNDED, END_OF_TEXT):
        if all(piece in known for piece in list(roles.values())[:3]):
            return {role: piece for role, piece in roles.items() if piece in known}
    return {role: piece for role, piece in SURROUNDED.items() if piece in known}


def _settings(directory: ModelDirectory) -> dict[str, Any]:
    return directory.json("tokenizer_config.json") if directory.has("tokenizer_config.json") else {}


def _word_pieces(directory: ModelDirectory) -> tokenizers.Tokenizer:
    """WordPiece as BERT uses it (section 3 of arXiv 1810.04805)."""
    lines = directory.text("vocab.txt").split("\n")
    vocabulary = {piece.rstrip("\r"): number for number, piece in enumerate(lines if lines[-1] else lines[:-1])}
    settings, roles = _settings(directory), BERT_ROLES | pieces_of_roles(directory)
    backend = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=roles["unk_token"]))
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
        strip_accents=settings.get("strip_accents"),
        lowercase=bool(settings.get("do_lower_case", True)),
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    _special(backend, roles.values())
    return _around(backend, roles["cls_token"], roles["sep_token"])


def _byte_level(directory: ModelDirectory) -> tokenizers.Tokenizer:
    """Byte-level BPE: GPT-2's, RoBERTa's and BART's with their surrounding, Qwen's with its own words."""
    vocabulary, merges = directory.json("vocab.json", max_bytes=LARGEST_TEXT), directory.text("merges.txt")
    pairs = [tuple(line.split(" ")) for line in merges.split("\n") if line and not line.startswith("#version")]
    if bad := next((pair for pair in pairs if len(pair) != 2), None):
        raise ValueError(f"a line of merges.txt should be two pieces, got {' '.join(bad)!r:.80}")
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, [(pair[0], pair[1]) for pair in pairs]))
    qwen = str(directory.config.get("model_type")).startswith("qwen")
    spaced = bool(_settings(directory).get("add_prefix_space", False))
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=spaced, use_regex=not qwen)
    if qwen:
        backend.normalizer = normalizers.NFC()
        words = pre_tokenizers.Split(Regex(QWEN_WORDS), "isolated")
        backend.pre_tokenizer = pre_tokenizers.Sequence([words, bytes_])
    else:
        backend.pre_tokenizer = bytes_
    backend.decoder = decoders.ByteLevel()
    _add(directory, backend)
    roles = _default_roles(directory, backend) | pieces_of_roles(directory)
    _special(backend, roles.values(), mask=roles.get("mask_token"))
    if "<s>" in vocabulary and "</s>" in vocabulary:
        return _around(backend, roles["bos_token"], roles["eos_token"])
    return backend


def _sentence_pieces(directory: ModelDirectory) -> tokenizers.Tokenizer:
    """One SentencePiece model: T5's with sentinels and an end behind a text, Llama's with a start in front."""
    name = next(name for name in SENTENCEPIECE if directory.has(name))
    model = SentencePiece.parse(directory.bytes(name), str(directory.path / name))
    backend = model.backend()
    settings = _settings(directory)
    if directory.config.get("model_type") == "t5":
        count = settings.get("extra_ids", SENTINELS)
        backend.add_special_tokens([AddedToken(f"<extra_id_{n}>", normalized=False) for n in reversed(range(count))])
    _add(directory, backend)
    numbers = {piece.text: number for number, piece in enumerate(model.pieces) if piece.kind == CONTROL}
    return _with_control(backend, numbers, end=directory.config.get("model_type") == "t5", settings=settings)


def _with_control(
    backend: tokenizers.Tokenizer, numbers: Mapping[str, int], *, end: bool, settings: Mapping[str, Any]
) -> tokenizers.Tokenizer:
    """The template: T5 ends a text, Llama begins one; either may be told otherwise."""
    before = "<s>" if settings.get("add_bos_token", not end) and "<s>" in numbers else None
    after = "</s>" if settings.get("add_eos_token", end) and "</s>" in numbers else None
    pieces = [piece for piece in (before, "$A", after) if piece]
    if len(pieces) > 1:
        used = [(piece, numbers[piece]) for piece in pieces if piece != "$A"]
        backend.post_processor = processors.TemplateProcessing(single=pieces, special_tokens=used)
    return backend


def _around(backend: tokenizers.Tokenizer, before: str, after: str) -> tokenizers.Tokenizer:
    used = [(piece, backend.token_to_id(piece)) for piece in (before, after)]
    if missing := [piece for piece, number in used if number is None]:
        raise ValueError(f"the special piece {missing[0]!r} is not in it")
    backend.post_processor = processors.TemplateProcessing(single=[before, "$A", after], special_tokens=used)
    return backend


def _special(backend: tokenizers.Tokenizer, pieces: Any, mask: str | None = None) -> None:
    """Make these special where they are in the vocabulary; a mask takes the space in front of it along."""
    known = [piece for piece in dict.fromkeys(pieces) if backend.token_to_id(piece) is not None]
    backend.add_special_tokens([AddedToken(piece, lstrip=piece == mask, normalized=False) for piece in known])


def _add(directory: ModelDirectory, backend: tokenizers.Tokenizer) -> None:
    """Pieces that were added to a vocabulary later, under the numbers that the directory gives them."""
    table = _settings(directory).get("added_tokens_decoder", {})
    if not isinstance(table, dict):
        raise ValueError("added_tokens_decoder should be an object")
    for number, entry in sorted(table.items(), key=lambda item: int(item[0])):
        if not isinstance(entry, dict) or "content" not in entry:
            raise ValueError(f"added_tokens_decoder of tokenizer_config.json: {number} should have content")
        token = AddedToken(
            str(entry["content"]),
            single_word=bool(entry.get("single_word", False)),
            lstrip=bool(entry.get("lstrip", False)),
            rstrip=bool(entry.get("rstrip", False)),
            normalized=bool(entry.get("normalized", False)),
        )
        (backend.add_special_tokens if entry.get("special") else backend.add_tokens)([token])
        if backend.token_to_id(token.content) != int(number):
            raise ValueError(f"the added piece {token.content!r} should have the number {number}")


def _marian(directory: ModelDirectory, sizes: tuple[int, int]) -> tuple[ForeignTokenizer, ForeignTokenizer]:
    """Two SentencePiece models over one vocabulary, or over one each."""
    numbers = directory.json("vocab.json", max_bytes=LARGEST_TEXT)
    target = (
        directory.json("target_vocab.json", max_bytes=LARGEST_TEXT) if directory.has("target_vocab.json") else numbers
    )
    roles = SURROUNDED | pieces_of_roles(directory)
    made = []
    for name, table, size in zip(MARIAN, (numbers, target), sizes, strict=False):
        if not all(type(number) is int and number >= 0 for number in table.values()) or roles["unk_token"] not in table:
            raise RunError(f"{directory.path}: a vocabulary of Marian's should be numbers by piece, <unk> among them")
        model = SentencePiece.parse(directory.bytes(name), str(directory.path / name))
        end = [table[roles["eos_token"]]] if roles["eos_token"] in table else []
        symbols = named_symbols(directory, roles, table, ([], end))
        made.append(ForeignTokenizer(model.backend(), symbols, size, table))
    return made[0], made[1]
