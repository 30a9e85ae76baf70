"""The real text both contestants get: Multi30k, cut by one and the same tokenizer into one and the same batches."""

from __future__ import annotations

import hashlib
import tempfile
from itertools import chain
from pathlib import Path

from clearhead.data.corpus import PairCorpus
from clearhead.data.ledger import Ledger
from clearhead.data.prepare import prepare_pairs
from clearhead.data.read import read_pairs
from clearhead.data.settings import PairData, PairFiles
from clearhead.models.config import ModelConfig
from clearhead.text.learn import learn_tokenizer
from clearhead.text.settings import TokenizerSettings
from clearhead.text.tokenizer import Tokenizer

SIZES = {
    "tiny": ModelConfig(width=128, heads=4, feedforward=256, encoder_layers=4, decoder_layers=4, norm_order="post"),
    "base": ModelConfig(width=512, heads=8, feedforward=2048, encoder_layers=6, decoder_layers=6, norm_order="post"),
}
VOCABULARY = 8000


def training_text(folder: Path) -> tuple[PairCorpus, Tokenizer]:
    """The training pairs (29,000 of train.en.gz and train.de.gz) as token ids, and their joint BPE of 8,000 entries."""
    files = PairFiles(source="train.en.gz", target="train.de.gz")
    prepared = Path(tempfile.gettempdir()) / f"clearhead-benchmark-{_digest(folder / 'train.en.gz')}"
    tokenizer_path = prepared.with_suffix(".tokenizer.json")
    if tokenizer_path.exists() and prepared.exists():
        return PairCorpus.open(prepared), Tokenizer.load(tokenizer_path)
    pairs = read_pairs(files, folder, Ledger())
    tokenizer = learn_tokenizer(
        TokenizerSettings(vocabulary=VOCABULARY), chain.from_iterable((p.source, p.target) for p in pairs)
    )
    tokenizer.save(tokenizer_path)
    settings = PairData(train=files)
    return prepare_pairs(settings, files, folder, (tokenizer, tokenizer), prepared), tokenizer


def test_sources(folder: Path, tokenizer: Tokenizer) -> list[list[int]]:
    """The 1,000 English sentences of test 2016 as token ids, without special tokens."""
    files = PairFiles(source="test_2016_flickr.en.gz", target="test_2016_flickr.de.gz")
    return tokenizer.encode([pair.source for pair in read_pairs(files, folder, Ledger())])


def configuration(size: str) -> ModelConfig:
    """The sizes of a contest, vocabulary included. Post-norm, which is what Marian has."""
    return SIZES[size].model_copy(update={"source_vocabulary": VOCABULARY, "target_vocabulary": VOCABULARY})


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
