"""A model directory is read as it is, or refused in one sentence that names the file, before anything is allocated."""

from __future__ import annotations

import json
import os
import resource
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from clearhead.errors import RunError
from clearhead.pretrained.directory import ModelDirectory

from .folders import TENSORS, header_of, write_folder, write_header, write_index, write_json, write_shards

Change = Callable[[Path], None]
WEIGHTS = "model.safetensors"


@pytest.mark.parametrize("write", [write_folder, write_shards])
def test_every_tensor_comes_out_bit_by_bit(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    directory = ModelDirectory.open(write(tmp_path / "model"))
    assert directory.config == {"model_type": "none"}
    assert set(directory.tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        info = directory.tensors[name]
        assert (info.shape, info.dtype, info.numel) == (tuple(tensor.shape), tensor.dtype, tensor.numel())
        found = directory.read(name)
        assert found.dtype == tensor.dtype
        assert torch.equal(found, tensor)


def test_what_was_read_is_memory_of_its_own(tmp_path: Path) -> None:
    """Writing to a tensor changes neither the file nor the next reading; writing the file changes no tensor."""
    directory = ModelDirectory.open(write_folder(tmp_path / "model"))
    first = directory.read("a.weight")
    first.zero_()
    second = directory.read("a.weight")
    assert torch.equal(second, TENSORS["a.weight"])
    (tmp_path / "model" / WEIGHTS).write_bytes(b"\0" * 4096)
    assert torch.equal(second, TENSORS["a.weight"])


def test_one_file_of_another_name_is_found(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / WEIGHTS).rename(folder / "weights.safetensors")
    assert set(ModelDirectory.open(folder).tensors) == set(TENSORS)


def test_an_unknown_tensor_is_refused(tmp_path: Path) -> None:
    directory = ModelDirectory.open(write_folder(tmp_path / "model"))
    with pytest.raises(RunError, match=r"there is no tensor 'g' in its safetensors files"):
        directory.read("g")


def test_a_file_that_shrank_since_is_noticed(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    directory = ModelDirectory.open(folder)
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-40])
    with pytest.raises(RunError, match="cut short while it was read"):
        [directory.read(name) for name in TENSORS]


def test_texts_are_read_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / "vocab.txt").write_bytes("a\r\nß\n".encode())
    (folder / "merges.txt").write_bytes(b"a \xff")
    directory = ModelDirectory.open(folder)
    assert (directory.has("vocab.txt"), directory.has("spiece.model")) == (True, False)
    assert directory.text("vocab.txt") == "a\r\nß\n"
    with pytest.raises(RunError, match=r"merges\.txt: expected UTF-8, but byte 2"):
        directory.text("merges.txt")
    with pytest.raises(RunError, match=r"has no spiece\.model"):
        directory.bytes("spiece.model")
    monkeypatch.setattr("clearhead.pretrained.directory.LARGEST_TEXT", 3)
    with pytest.raises(RunError, match="expected at most 3 bytes"):
        directory.bytes("vocab.txt")


def remove(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def write(name: str, content: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content) and None


def instead(name: str, content: bytes) -> Change:
    """A file with ``content`` where the weights were."""

    def change(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        (folder / name).write_bytes(content)

    return change


def cut(count: int) -> Change:
    return lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:count]) and None


def header(edit: Callable[[dict[str, Any]], object]) -> Change:
    def change(folder: Path) -> None:
        table = header_of(folder / WEIGHTS)
        edit(table)
        write_header(folder / WEIGHTS, json.dumps(table).encode())

    return change


def entry(name: str, **changes: object) -> Change:
    return header(lambda table: table[name].update(changes))


def config(**changes: object) -> Change:
    return lambda folder: write_json(folder / "config.json", {"model_type": "bert"} | changes)


MANY = ",".join(f'"k{n}":0' for n in range(50_000))

BROKEN = [
    (remove("config.json"), "is not a model directory: it has no config.json"),
    (remove(WEIGHTS), "has no weights: expected model.safetensors"),
    (instead("pytorch_model.bin", b"x"), "has its weights only in pytorch_model.bin, a pickle, which can run code"),
    (instead("model.ckpt", b"x"), "in model.ckpt, a pickle"),
    (instead("tf_model.h5", b"x"), "has its weights only in tf_model.h5; expected model.safetensors"),
    (write("config.json", b"{"), "config.json: this is not valid JSON"),
    (write("config.json", b"[1]"), "config.json: expected a JSON object, got list"),
    (write("config.json", b'{"a":' * 100_000), "nested at most 32 deep"),
    (write("config.json", b"[" * 3_000_000), "nested at most 32 deep"),
    (write("config.json", b'"' + b'\\"' * 2_000_000), "this is not valid JSON"),
    (write("config.json", b'{"a": 1, "a": 2}'), "the key 'a' stands twice"),
    (write("config.json", f'{{{MANY},"k49999":1}}'.encode()), "the key 'k49999' stands twice"),
    (write("config.json", b'{"a": NaN}'), "NaN is not a JSON number"),
    (write("config.json", b'{"a": -Infinity}'), "-Infinity is not a JSON number"),
    (write("config.json", b'{"a": 1e999}'), "1e999 is too large for a number"),
    (write("config.json", b'{"a": ' + b"9" * 100_000 + b"}"), "this is not valid JSON"),
    (write("config.json", b'{"a": "\xff"}'), "byte 7 is not valid UTF-8"),
    (write("config.json", b'{"a": "' + b"x" * (4 << 20) + b'"}'), "the file is larger"),
    (config(auto_map={"AutoModel": "evil.Model"}), "config.json: auto_map asks for Python code"),
    (config(trust_remote_code=True), "config.json: trust_remote_code asks for Python code"),
    (cut(0), "model.safetensors is damaged: its header should take"),
    (cut(5), "model.safetensors is damaged: its header should take"),
    (cut(100), "model.safetensors is damaged: its header should take"),
    (cut(-1), "model.safetensors is damaged: its tensors should take"),
    (write(WEIGHTS, struct.pack("<Q", (1 << 64) - 1) + b"{}"), "its header should take 18446744073709551615 bytes"),
    (write(WEIGHTS, struct.pack("<Q", 17 << 20) + b" " * (18 << 20)), "its header should take 17825792 bytes"),
    (write(WEIGHTS, struct.pack("<Q", 4 << 20) + b"[" * (4 << 20)), "nested at most 32 deep"),
    (write(WEIGHTS, struct.pack("<Q", 4 << 20) + b"[]" * (2 << 20)), "(its header): this is not valid JSON"),
    (write(WEIGHTS, b"\x80\x05\x95" + b"x" * 100), "model.safetensors is damaged: its header should take"),
    (header(lambda table: table.update(a=1)), "the entry of 'a' in its header is malformed"),
    (header(lambda table: table["d.ids"].update(extra=1)), "the entry of 'd.ids' in its header is malformed"),
    (header(lambda table: table.update(__metadata__=[1])), "its metadata should be names with texts"),
    (header(lambda table: table.pop("a.weight")), "its tensors overlap or leave a hole"),
    (entry("a.weight", dtype="F8_E4M3"), "a.weight should be one of F64, F32, F16, BF16, I64"),
    (entry("a.weight", dtype=["F32"]), "a.weight should be one of"),
    (entry("a.weight", shape=[1 << 40, 1 << 40]), "the shape of 'a.weight' should be a few whole numbers"),
    (entry("a.weight", shape=[1 << 32, 1 << 32, 0]), "the shape of 'a.weight' should be a few whole numbers"),
    (entry("a.weight", shape=[1] * 9), "the shape of 'a.weight' should be a few whole numbers"),
    (entry("a.weight", shape=[-3, -5]), "the shape of 'a.weight' should be a few whole numbers"),
    (entry("a.weight", shape=[3.0, 5]), "the shape of 'a.weight' should be a few whole numbers"),
    (entry("a.weight", shape=[True, 15]), "the shape of 'a.weight' should be a few whole numbers"),
    (entry("a.weight", shape=15), "the shape of 'a.weight' should be a few whole numbers"),
    (entry("a.weight", shape=[3, 6]), "a.weight takes 60 bytes, which is not its shape's"),
    (entry("a.weight", data_offsets=[0, 60]), "its tensors overlap or leave a hole"),
    (entry("a.weight", data_offsets=[1 << 50, (1 << 50) + 60]), "its tensors overlap or leave a hole"),
    (entry("a.weight", data_offsets=[-60, 0]), "the offsets of 'a.weight' should be two whole numbers"),
    (entry("a.weight", data_offsets=[60]), "the offsets of 'a.weight' should be two whole numbers"),
    (entry("a.weight", data_offsets=["0"] * 100_000), "the offsets of 'a.weight' should be two whole numbers"),
]


@pytest.mark.parametrize(("change", "said"), BROKEN, ids=[said[:50] for _, said in BROKEN])
def test_what_is_broken_is_refused_at_once_in_one_sentence(tmp_path: Path, change: Change, said: str) -> None:
    folder = write_folder(tmp_path / "model")
    change(folder)
    sentence, peak = refusal(folder)
    assert said in sentence
    assert str(folder) in sentence
    assert "\n" not in sentence
    assert len(sentence) < 600
    assert peak < 256 << 20


def refusal(folder: Path) -> tuple[str, int]:
    """The sentence, and by how many bytes the most that this process ever held has grown."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RunError) as caught:
        ModelDirectory.open(folder)
    return str(caught.value), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10


FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
PLACES = {name: FIRST if name in ("a.weight", "b.bias") else SECOND for name in TENSORS}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove(SECOND), f"has no {SECOND}, which model.safetensors.index.json names"),
        (lambda folder: write_index(folder, {}), "expected 'weight_map' with the file of each tensor"),
        (lambda folder: write_index(folder, {"a": 1}), "expected 'weight_map' with the file of each tensor"),
        (lambda folder: write_index(folder, PLACES | {"g": FIRST}), f"'g' should be in {FIRST}, which does not hold"),
        (lambda folder: write_index(folder, PLACES | {"a.weight": SECOND}), "but by model.safetensors.index.json that"),
        (lambda folder: write_index(folder, PLACES | {"g": "model.bin"}), "safetensors files only, got 'model.bin'"),
        (lambda folder: write_index(folder, PLACES | {"g": "../x.safetensors"}), "expected the plain name of a file"),
        (lambda folder: write_index(folder, PLACES | {"g": "/x.safetensors"}), "expected the plain name of a file"),
        (lambda folder: write_index(folder, PLACES | {"g": "a/x.safetensors"}), "expected the plain name of a file"),
        (lambda folder: write_index(folder, PLACES | {"g": "a\0.safetensors"}), "expected the plain name of a file"),
        (lambda folder: write_index(folder, {f"{n}": f"{n}.safetensors" for n in range(1025)}), "at most 1024 files"),
        (remove("model.safetensors.index.json"), "has 2 safetensors files"),
    ],
)
def test_an_index_that_lies_is_refused(tmp_path: Path, change: Change, said: str) -> None:
    folder = write_shards(tmp_path / "model")
    change(folder)
    assert said in refusal(folder)[0]


@pytest.mark.parametrize("name", ["config.json", WEIGHTS, "model.safetensors.index.json"])
def test_no_link_leads_out(tmp_path: Path, name: str) -> None:
    """Neither is what lies outside read, nor does the sentence tell anything of it."""
    folder = write_folder(tmp_path / "model")
    outside = tmp_path / "outside"
    outside.write_text('{"secret": 1}')
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(outside)
    assert "is a link that leads out of the folder" in refusal(folder)[0]


def test_a_link_inside_is_followed(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    (folder / WEIGHTS).rename(folder / "blob")
    (folder / WEIGHTS).symlink_to("blob")
    (tmp_path / "alias").symlink_to(folder)
    assert set(ModelDirectory.open(tmp_path / "alias").tensors) == set(TENSORS)


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, name: str) -> None:
    """A pipe would keep whoever opens it waiting for ever."""
    folder = write_folder(tmp_path / "model")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert f"{name} should be a regular file" in refusal(folder)[0]


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/etc/passwd", "a\\b", "c:a", "a\nb", "x" * 300 + "/"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    directory = ModelDirectory.open(write_folder(tmp_path / "model"))
    with pytest.raises(RunError, match="expected the plain name of a file in this folder"):
        directory.has(name)
