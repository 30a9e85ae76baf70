"""What tests of data stand on: a tokenizer of one token a word, and a way to write files."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from clearhead.text.learn import learn_tokenizer
from clearhead.text.settings import TokenizerSettings
from clearhead.text.tokenizer import Tokenizer

Write = Callable[..., Path]


@pytest.fixture(scope="session")
def words() -> Tokenizer:
    """Whole words; those it has not seen are unknown, which is one token too."""
    return learn_tokenizer(TokenizerSettings(kind="words", min_frequency=1), ["a b c d e f g h i j k l m n o p"])


@pytest.fixture(scope="session")
def bytewise() -> Tokenizer:
    """Few pieces and all bytes: whatever is encoded can be decoded."""
    return learn_tokenizer(TokenizerSettings(vocabulary=280), ["ein Haus, zwei Häuser"] * 4)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(name, content)`` in a folder of the test's own; packed when the name ends in ``.gz``."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write_file
