"""A run folder that is none, is damaged, or lies: refused with the file's name before anything is allocated from it."""

from __future__ import annotations

import json
import shutil
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clearhead.errors import ClearheadError, RunError
from clearhead.service.load import load
from clearhead.strict_json import MAX_BYTES, parse_json

Change = Callable[[Path], Any]


def refusal(run: Path) -> str:
    with pytest.raises(ClearheadError) as caught:
        load(run)
    return str(caught.value)


def edit_config(run: Path, **changes: Any) -> None:
    path = run / "config.json"
    table = json.loads(path.read_text())
    for key, value in changes.items():
        *tables, last = key.split("__")
        inner = table
        for name in tables:
            inner = inner[name]
        inner[last] = value
    path.write_text(json.dumps(table))


def write(name: str, content: bytes) -> Change:
    return lambda run: (run / name).write_bytes(content)


def cut(name: str, keep: int) -> Change:
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:keep])


def flip(name: str, place: int) -> Change:
    def change(run: Path) -> None:
        content = bytearray((run / name).read_bytes())
        content[place] ^= 1
        (run / name).write_bytes(bytes(content))

    return change


def config(**changes: Any) -> Change:
    return lambda run: edit_config(run, **changes)


def test_an_empty_folder_is_no_run(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path} is not a run folder: it has no recipe.toml"


def test_a_missing_folder_is_no_run(tmp_path: Path) -> None:
    assert refusal(tmp_path / "x") == f"{tmp_path / 'x'} is not a run folder: there is no such folder"


def test_a_file_is_no_run(finished: Path) -> None:
    assert "is not a run folder" in refusal(finished / "config.json")


def test_an_unfinished_run_says_how_to_finish_it(run: Path) -> None:
    (run / "model.safetensors").unlink()
    assert "has no model.safetensors: its training is not finished; go on with --resume" in refusal(run)


def test_a_moved_run_loads(run: Path, tmp_path: Path) -> None:
    run.rename(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "elsewhere" / "corpus")
    shutil.rmtree(tmp_path / "elsewhere" / "checkpoints")
    assert load(tmp_path / "elsewhere").predict(["1"])[0].text == "eins"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: (run / "config.json").unlink(), "has no config.json"),
        (lambda run: (run / "tokenizer" / "source.json").unlink(), "source.json"),
        (write("tokenizer/target.json", b"{}"), "target.json is not a readable tokenizer file"),
        (write("config.json", b"{"), "config.json: this is not valid JSON"),
        (write("config.json", b"[" * 100_000), "nested at most 32 deep"),
        (write("config.json", b'{"a": "' + b"x" * MAX_BYTES + b'"}'), "the file is larger"),
        (write("config.json", b'{"task": "translation", "task": "x"}'), "the key 'task' stands twice"),
        (write("config.json", b'{"a": NaN}'), "NaN is not a JSON number"),
        (write("config.json", b'"text"'), "expected a JSON object, got str"),
        (write("config.json", b"\xff"), "byte 0 is not valid UTF-8"),
        (config(format="another"), "config.json: format: expected one of 'clearhead-run', got \"another\""),
        (config(format_version=2), "has format 2, but this clearhead reads up to 1"),
        (config(surprise=1), "config.json: unknown key surprise"),
        (config(model__widht=1), "config.json: unknown key model.widht (did you mean 'width'?)"),
        (config(model__width=1 << 40), "config.json: model.width: expected a number ≤ 1048576"),
        (config(model__encoder_layers=10**9), "config.json: model.encoder_layers: expected a number ≤ 1024"),
        (config(model__width=1 << 20, model__feedforward=1 << 20), "numbers, but by config.json this model has"),
        (config(model__encoder_layers=1024), "numbers, but by config.json this model has"),
        (config(model__max_positions=1 << 20, model__width=1 << 20), "numbers, but by config.json this model has"),
        (config(model__source_vocabulary=9), "by config.json the vocabularies have 9 and"),
        (config(weights_sha256="0" * 64), "model.safetensors is damaged: expected SHA-256 000000000000…"),
        (config(weights_sha256="short"), "config.json: weights_sha256"),
        (flip("model.safetensors", -1), "model.safetensors is damaged: expected SHA-256"),
        (cut("model.safetensors", 4), "damaged: its header should take"),
        (cut("model.safetensors", 1000), "model.safetensors"),
        (cut("model.safetensors", -8), "model.safetensors is damaged: its tensors should take"),
        (write("model.safetensors", b""), "model.safetensors is damaged"),
        (
            write("model.safetensors", struct.pack("<Q", 1 << 62)),
            "model.safetensors is damaged: its header should take",
        ),
        (write("model.safetensors", struct.pack("<Q", 2) + b"[]"), "expected a JSON object, got list"),
        (write("model.safetensors", struct.pack("<Q", 8) + b'{"a": 1}'), "the entry of 'a' in its header is malformed"),
    ],
)
def test_damage_is_refused_with_the_file_named(run: Path, change: Change, said: str) -> None:
    change(run)
    tracemalloc.start()
    sentence = refusal(run)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert said in sentence
    assert "\n" not in sentence
    assert peak < 64 << 20


def write_tensors(run: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Rewrite the header of the weights file after ``edit``, and let config.json trust it."""
    path = run / "model.safetensors"
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    edit(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    table = json.loads((run / "config.json").read_text())
    del table["weights_sha256"]
    (run / "config.json").write_text(json.dumps(table))


NAME = "decoder.norm.weight"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda header: header.update({"foreign": header.pop(NAME)}), f"the model has a weight '{NAME}' which"),
        (lambda header: header[NAME].update(shape=[4, 8]), f"{NAME} should have shape [32] by config.json"),
        (lambda header: header[NAME].update(dtype="I64"), f"{NAME} takes 128 bytes, which is not its shape's"),
        (lambda header: header[NAME].update(dtype="I32"), f"{NAME} should be one of F64, F32, F16, BF16"),
        (lambda header: header[NAME].update(dtype=["F32"]), f"{NAME} should be one of"),
        (lambda header: header[NAME].update(data_offsets=[0, 128]), "overlap or leave a hole"),
        (lambda header: header[NAME].update(data_offsets=[0, 1 << 60]), "which is not its shape's"),
        (lambda header: header[NAME].update(data_offsets=[-128, 0]), "should be two whole numbers"),
        (lambda header: header[NAME].update(data_offsets="x"), "should be two whole numbers"),
        (lambda header: header[NAME].update(extra=1), "in its header is malformed"),
    ],
)
def test_a_lying_weights_header_is_refused(run: Path, edit: Callable[[dict[str, Any]], Any], said: str) -> None:
    write_tensors(run, edit)
    assert said in refusal(run)


def test_an_untouched_header_still_loads(run: Path) -> None:
    """The negative control of the test above."""
    write_tensors(run, lambda header: None)
    load(run)


@pytest.mark.parametrize("text", ['{"a": "[[[["}', '{"a": "]]]]"}', '{"a": "\\"[["}'])
def test_brackets_in_strings_do_not_count_as_depth(text: str) -> None:
    assert parse_json(text.encode(), "x")


def test_depth_cannot_be_hidden_behind_strings() -> None:
    with pytest.raises(RunError, match="nested at most"):
        parse_json(b'{"a":' + b'["]",' * 40 + b"1" + b"]" * 40 + b"}", "x")
