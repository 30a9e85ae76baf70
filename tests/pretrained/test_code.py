"""No file of a directory is ever run: pickles stay closed in every place, Python files unread."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clearhead.errors import RunError
from clearhead.pretrained.directory import ModelDirectory

from .folders import write_folder, write_json

PLACES = [
    f"{stem}{ending}"
    for stem in ("pytorch_model", "model", "consolidated.00", "adapter_model", "training_args", "optimizer", "vocab")
    for ending in (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz")
] + ["pytorch_model.bin.index.json", "tokenizer.pkl", "scheduler.pt", "rng_state.pth", "data.pkl", "archive/data.pkl"]

_opened: list[str] = []
_listening = False


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if _listening and event in ("open", "import", "exec", "compile"):
        _opened.append(f"{event} {arguments[0]}")


@contextmanager
def listening() -> Iterator[list[str]]:
    """Everything that is opened, imported or run meanwhile."""
    global _listening
    _opened.clear()
    _listening = True
    try:
        yield _opened
    finally:
        _listening = False


sys.addaudithook(_hear)


class Bomb:
    """A pickle that makes a folder when it is opened."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.canary),)


def test_the_bomb_goes_off_when_it_is_opened(tmp_path: Path) -> None:
    """The negative control of the tests below."""
    pickle.loads(pickle.dumps(Bomb(tmp_path / "canary")))
    assert (tmp_path / "canary").is_dir()


def test_there_are_enough_places() -> None:
    assert len(set(PLACES)) >= 60


@pytest.mark.parametrize("with_weights", [True, False])
def test_pickles_in_every_place_stay_closed(tmp_path: Path, with_weights: bool) -> None:
    folder, canary = write_folder(tmp_path / "model"), tmp_path / "canary"
    for name in PLACES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(pickle.dumps(Bomb(canary)))
    if not with_weights:
        (folder / "model.safetensors").unlink()
    with listening() as opened:
        try:
            read_all(folder)
        except RunError as error:
            assert not with_weights and "a pickle, which can run code when it is opened and never is" in str(error)
        else:
            assert with_weights
    assert {Path(each.partition(" ")[2]).name for each in opened} <= {"config.json", "model.safetensors"}
    assert not canary.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_pickle_under_another_name_is_refused(tmp_path: Path, name: str) -> None:
    folder, canary = write_folder(tmp_path / "model"), tmp_path / "canary"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (folder / name).write_bytes(pickle.dumps(Bomb(canary), protocol))
        with pytest.raises(RunError, match=name):
            read_all(folder)
    assert not canary.exists()


def test_python_files_are_not_looked_at(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    for name in (
        "modeling.py",
        "configuration.py",
        "tokenization.py",
        "__init__.py",
        "conftest.py",
        "sitecustomize.py",
    ):
        (folder / name).write_text(f"import os; os.mkdir({str(tmp_path / 'canary')!r})")
    with listening() as opened:
        read_all(folder)
    assert not [each for each in opened if ".py" in each]
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("key", ["auto_map", "trust_remote_code"])
def test_code_that_a_tokenizer_asks_for_is_refused(tmp_path: Path, key: str) -> None:
    folder = write_folder(tmp_path / "model")
    write_json(folder / "tokenizer_config.json", {key: {"AutoTokenizer": ["tokenization.Evil", None]}})
    with pytest.raises(RunError, match=rf"tokenizer_config\.json: {key} asks for Python code"):
        ModelDirectory.open(folder).json("tokenizer_config.json")


def read_all(folder: Path) -> None:
    """Open the directory and read every tensor."""
    directory = ModelDirectory.open(folder)
    for name in directory.tensors:
        directory.read(name)
