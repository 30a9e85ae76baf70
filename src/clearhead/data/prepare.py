"""Turns data files into a prepared corpus: reads, applies the declared policies, cuts into tokens, writes.

Everything is a stream of a few thousand pairs at a time, so memory does not grow with the corpus. The folder appears
under its name only when it is complete. Every pair read is accounted for in the ledger: kept, or dropped for one
reason. What the policies are and how a format looks is known elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from clearhead.data.batch import Sides, around
from clearhead.data.corpus import FORMAT, LENGTHS, LINES, PairCorpus
from clearhead.data.duplicates import mark_repeats, pair_hashes
from clearhead.data.ledger import Ledger
from clearhead.data.pair import Pair
from clearhead.data.pair_parts import read_part_pairs
from clearhead.data.policy import Policy
from clearhead.data.read import data_paths, read_pairs
from clearhead.data.segment import Segmenter
from clearhead.data.settings import PairData, PairFiles
from clearhead.data.writer import CorpusWriter, keep_rows
from clearhead.errors import DataError, RunError
from clearhead.text.tokenizer import Tokenizer

_PAIRS_AT_A_TIME = 4096
_CHUNK = 1 << 18


def prepare_pairs(
    settings: PairData,
    files: PairFiles,
    folder: Path,
    tokenizers: tuple[Tokenizer, Tokenizer],
    out: Path,
    *,
    samples: int = 1,
    dropout: float = 0.0,
    seed: int = 0,
) -> PairCorpus:
    """Prepare ``files`` (one of those in ``settings``, whose policies apply), relative to ``folder``, into ``out``.

    ``samples`` random segmentations are stored when ``dropout`` is above 0, drawn from ``seed``. The same input gives
    the same files, to the byte. What was in ``out`` before is replaced when all has gone well, and only then.

    Raises:
        DataError: a file cannot be read, a line breaks a policy that says "refuse", or no pair is left.
        RunError: ``out`` cannot be written.
    """
    ledger = Ledger(strict=settings.bad_lines == "refuse")
    symbols = tokenizers[0].symbols, tokenizers[1].symbols
    policy = Policy(settings, data_paths(files, folder), ledger, around(symbols))
    segmenter = Segmenter(tokenizers, samples, dropout, seed)
    with complete_or_absent(out) as partial:
        writer = CorpusWriter(partial, (tokenizers[0].size, tokenizers[1].size), samples)
        with writer, (partial / "hashes").open("wb") as hashes:
            for read in _portions(_pairs(settings, files, folder, ledger)):
                pairs = policy.without_blanks(read)
                pairs, *plain = policy.within_length(pairs, *segmenter.plain(pairs))
                writer.append(
                    segmenter.vary(pairs, (plain[0], plain[1]), policy.longest), [pair.line for pair in pairs]
                )
                hashes.write(pair_hashes(pairs))
        _settle_repeats(partial, policy, samples, drop=settings.duplicates == "drop")
        _refuse_nothing(ledger, data_paths(files, folder))
        made_of = _made_of(settings, files, folder, tokenizers) | {"samples": samples, "dropout": dropout, "seed": seed}
        _describe(partial, writer, ledger, made_of, symbols)
    return PairCorpus.open(out)


def sha256(path: Path) -> str:
    """The fingerprint of a file's stored bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def named_inputs(files: PairFiles, folder: Path) -> dict[str, Path]:
    """Each data file by its name, or by its path in the recipe where two have the same name."""
    paths = data_paths(files, folder)
    alike = len(paths) == 2 and paths[0].name == paths[1].name
    names = [files.source, files.target] if alike else [path.name for path in paths]
    return dict(zip(names, paths, strict=True))


def input_fingerprints(files: PairFiles, folder: Path) -> dict[str, str]:
    """sha256 of each data file, named as ``named_inputs`` does."""
    return {name: sha256(path) for name, path in named_inputs(files, folder).items()}


@contextmanager
def complete_or_absent(out: Path) -> Iterator[Path]:
    """A folder to fill that takes the name ``out`` at the end, or vanishes."""
    partial, previous = out.with_name(out.name + ".partial"), out.with_name(out.name + ".previous")
    try:
        for leftover in (partial, previous):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        if out.exists():
            out.rename(previous)
        partial.rename(out)
    except OSError as error:
        raise RunError(f"the prepared corpus {out} cannot be written: {error.strerror or error}") from error
    finally:
        for leftover in (partial, previous):
            shutil.rmtree(leftover, ignore_errors=True)


def _pairs(settings: PairData, files: PairFiles, folder: Path, ledger: Ledger) -> Iterator[Pair]:
    """All pairs of ``files``, but of the training files only the part that is trained on."""
    if files is settings.train:
        return read_part_pairs(settings, "train", folder, ledger)
    return read_pairs(files, folder, ledger)


def _portions(pairs: Iterator[Pair]) -> Iterator[list[Pair]]:
    while portion := list(islice(pairs, _PAIRS_AT_A_TIME)):
        yield portion


def _settle_repeats(folder: Path, policy: Policy, samples: int, *, drop: bool) -> None:
    """Count repeated pairs, take them out where that is the policy, and remove the working files."""
    hashes, marks = folder / "hashes", folder / "marks"
    if hashes.stat().st_size:
        repeated = mark_repeats(hashes, marks)
        lines = np.memmap(folder / "lines.bin", LINES, mode="r")
        for first in range(0, len(repeated), _CHUNK):
            for row in np.flatnonzero(repeated[first : first + _CHUNK]):
                policy.repeated(int(lines[first + row]))
        if drop:
            keep_rows(folder, samples, repeated)
    for working in (hashes, marks):
        working.unlink(missing_ok=True)


def _refuse_nothing(ledger: Ledger, paths: list[Path]) -> None:
    if ledger.kept == 0:
        reasons = ", ".join(f"{entry.count} for {reason}" for reason, entry in ledger.dropped.items())
        names = " and ".join(map(str, paths))
        raise DataError(f"no usable pair in {names}: {ledger.read} read" + (f", dropped: {reasons}" if reasons else ""))


def _made_of(
    settings: PairData, files: PairFiles, folder: Path, tokenizers: tuple[Tokenizer, Tokenizer]
) -> dict[str, Any]:
    """All that decides what a corpus holds, paths left out: a moved corpus is the same corpus."""
    policies = settings.model_dump(include={"max_length", "too_long", "empty", "duplicates", "bad_lines"})
    columns = files.model_dump(include={"source", "target", "header"}) if files.file else {}
    split = {} if settings.split is None else {"split": settings.split.model_dump()}
    vocabularies = [tokenizer.fingerprint for tokenizer in tokenizers]
    return {
        "format": FORMAT,
        "inputs": input_fingerprints(files, folder),
        "tokenizers": vocabularies,
        **policies,
        **columns,
        **split,
    }


def _describe(folder: Path, writer: CorpusWriter, ledger: Ledger, made_of: dict[str, Any], symbols: Sides) -> None:
    description = {
        "format": FORMAT,
        "fingerprint": hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest(),
        "pairs": ledger.kept,
        "samples": writer.samples,
        "dtypes": [dtype.str for dtype in writer.dtypes],
        "stored": writer.stored,
        "tokens": [_tokens(folder / f"lengths.{sample}.bin") for sample in range(writer.samples)],
        "inputs": made_of["inputs"],
        "made_of": made_of,
        "symbols": [side.model_dump() for side in symbols],
        "ledger": ledger.as_dict(),
    }
    with (folder / "corpus.json").open("w", encoding="utf-8", newline="\n") as file:
        json.dump(description, file, indent=1, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def _tokens(lengths: Path) -> list[int]:
    total = np.zeros(2, dtype=np.int64)
    with lengths.open("rb") as file:
        while data := file.read(_CHUNK * 2 * LENGTHS.itemsize):
            total += np.frombuffer(data, LENGTHS).reshape(-1, 2).sum(0, dtype=np.int64)
    return [int(value) for value in total]
