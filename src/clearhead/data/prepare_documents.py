"""Turns texts into a prepared corpus of documents: reads, cuts into tokens, writes one stream.

Everything goes through in portions of a few thousand lines, so memory does not grow with a document or the corpus.
Where lines cut alone are not cut as they are inside a text, a document is put together before it is cut, up to a
million characters at a time. The folder appears under its name only when it is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from clearhead.data.array_folder import flush, write_page
from clearhead.data.document_corpus import FORMAT, KIND, STARTS, DocumentCorpus
from clearhead.data.document_settings import DocumentData, DocumentFiles
from clearhead.data.documents import Piece, document_paths, read_documents, split_part
from clearhead.data.ledger import Ledger
from clearhead.data.packing import TokenStream
from clearhead.data.prepare import complete_or_absent, sha256
from clearhead.errors import DataError
from clearhead.symbols import Symbols
from clearhead.text.tokenizer import Tokenizer

_PIECES, _CHARACTERS = 4096, 1 << 20  # of a portion: whichever comes first


@dataclass
class Counts:
    """What went through: of documents, tokens with end symbols, unknown ones among them, characters and bytes."""

    documents: int = 0
    steps: int = 0
    unknown: int = 0
    characters: int = 0
    bytes: int = 0


def part_pieces(settings: DocumentData, part: str, ledger: Ledger) -> Iterator[Piece] | None:
    """The text of "train", "valid" or "test", as ``settings`` say; None where they do not speak of such a part."""
    folder, split = Path(settings.folder), settings.split
    own: DocumentFiles | None = {"train": settings.train, "valid": settings.valid, "test": settings.test}[part]
    if split is not None and part in split.parts:
        return split_part(settings.train, folder, ledger, split, part)
    return None if own is None else read_documents(own, folder, ledger)


def prepare_documents(settings: DocumentData, tokenizer: Tokenizer, out: Path) -> DocumentCorpus:
    """Prepare the training part into ``out``. The same input gives the same files, to the byte.

    Raises:
        DataError: a file cannot be read, a line is refused, or no document is left.
        RunError: ``out`` cannot be written.
    """
    ledger = Ledger(strict=settings.bad_lines == "refuse")
    pieces = part_pieces(settings, "train", ledger)
    assert pieces is not None  # training files are always given
    counts, dtype = Counts(), np.dtype("<u2" if tokenizer.size <= 1 << 16 else "<u4")
    paths = document_paths(settings.train, Path(settings.folder))
    with complete_or_absent(out) as partial:
        with (partial / "tokens.bin").open("wb") as tokens, (partial / "starts.bin").open("wb") as begins:
            for ids, starts in token_portions(pieces, tokenizer, counts):
                tokens.write(np.asarray(ids, dtype=dtype).tobytes())
                begins.write(np.asarray(starts, dtype=STARTS).tobytes())
            flush(tokens)
            flush(begins)
        if not counts.documents:
            raise DataError(f"no text in {' and '.join(map(str, paths))}: {ledger.read} lines read")
        made_of = _made_of(settings, paths, tokenizer)
        _describe(partial, made_of, counts, dtype.str, ledger, tokenizer.symbols)
    return DocumentCorpus.open(out)


def token_stream(pieces: Iterable[Piece], tokenizer: Tokenizer, counts: Counts) -> TokenStream:
    """A smaller text, such as a held-out one, as a stream in memory."""
    portions = list(token_portions(pieces, tokenizer, counts))
    targets = np.fromiter(chain.from_iterable(ids for ids, _ in portions), np.int32)
    return TokenStream(targets, np.fromiter(chain.from_iterable(starts for _, starts in portions), np.int64))


def token_portions(
    pieces: Iterable[Piece], tokenizer: Tokenizer, counts: Counts
) -> Iterator[tuple[list[int], list[int]]]:
    """Token ids, an end symbol after each document, and where documents begin among all; ``counts`` grow along."""
    inside, symbols = False, tokenizer.symbols
    for portion in _portions(pieces if tokenizer.cuts_by_line else _whole(pieces)):
        texts = [piece.text for piece in portion]
        ids: list[int] = []
        starts: list[int] = []
        for piece, row in zip(portion, tokenizer.encode(texts), strict=True):
            if not inside:
                starts.append(counts.steps + len(ids))
            ids += [*row, *symbols.closing] if piece.ends else row
            inside = not piece.ends
        counts.documents += len(starts)
        counts.steps += len(ids)
        counts.unknown += 0 if symbols.unknown is None else ids.count(symbols.unknown)
        counts.characters += sum(map(len, texts))
        counts.bytes += sum(len(text.encode()) for text in texts)
        yield ids, starts


def _whole(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Documents in one piece each, or, where they are longer than ``_CHARACTERS``, in few."""
    waiting: list[str] = []
    characters = 0
    for piece in pieces:
        waiting.append(piece.text)
        characters += len(piece.text)
        if piece.ends or characters >= _CHARACTERS:
            yield Piece("".join(waiting), piece.ends)
            waiting, characters = [], 0
    if waiting:
        yield Piece("".join(waiting), ends=False)


def _portions(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    portion: list[Piece] = []
    characters = 0
    for piece in pieces:
        portion.append(piece)
        characters += len(piece.text)
        if len(portion) == _PIECES or characters >= _CHARACTERS:
            yield portion
            portion, characters = [], 0
    if portion:
        yield portion


def _made_of(settings: DocumentData, paths: list[Path], tokenizer: Tokenizer) -> dict[str, Any]:
    """All that decides what the corpus holds, folders left out: a moved corpus is the same corpus."""
    split = None if settings.split is None else settings.split.model_dump()
    return {
        "format": FORMAT,
        "inputs": {name: sha256(path) for name, path in named_paths(paths).items()},
        "tokenizer": tokenizer.fingerprint,
        "split": split,
        **settings.model_dump(include={"length", "packing", "offsets", "bad_lines"}),
        **settings.train.model_dump(include={"documents", "column", "header"}),
    }


def named_paths(paths: list[Path]) -> dict[str, Path]:
    """Each file by its name, or by its place and name where several have the same."""
    names = [path.name for path in paths]
    unique = len(set(names)) == len(names)
    keys = names if unique else [f"{number}/{name}" for number, name in enumerate(names, start=1)]
    return dict(zip(keys, paths, strict=True))


def _describe(
    folder: Path, made_of: dict[str, Any], counts: Counts, dtype: str, ledger: Ledger, symbols: Symbols
) -> None:
    shapes = {"tokens": (dtype, (counts.steps,)), "starts": (STARTS.str, (counts.documents,))}
    page = {
        "kind": KIND,
        "format": FORMAT,
        "counts": asdict(counts),
        "made_of": made_of,
        "symbols": symbols.model_dump(),
        "ledger": ledger.as_dict(),
    }
    write_page(folder, shapes, page)
