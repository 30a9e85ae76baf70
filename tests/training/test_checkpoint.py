"""Checkpoints: what was saved is what is loaded, and nothing that differs from it by one bit is loaded at all."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from clearhead.errors import RunError
from clearhead.training import checkpoint
from clearhead.training.checkpoint import Checkpoint, load, name_of, newest, save, verify, weights_name
from clearhead.training.durable import Digest, digest_of, replace_file
from clearhead.training.tensorfile import read_tensors, tensor_pieces


def small(update: int = 7, beside: dict[str, Digest] | None = None) -> Checkpoint:
    """A checkpoint whose every value depends on ``update``."""
    chance = torch.Generator().manual_seed(update)
    weights = {"b": torch.randn(3, 2, generator=chance), "a": torch.randn(5, generator=chance).to(torch.bfloat16)}
    optimizer = {"b/exp_avg": torch.randn(3, 2, generator=chance), "b/step": torch.tensor(float(update))}
    states = {"cpu": torch.randint(0, 256, (16,), generator=chance).to(torch.uint8)}
    return Checkpoint(update, weights, optimizer, states, {"score": 1 / update, "place": [1, update]}, beside or {})


def same(found: Checkpoint, expected: Checkpoint) -> bool:
    tensors = all(
        getattr(found, part).keys() == getattr(expected, part).keys()
        and all(
            tensor.dtype == getattr(expected, part)[name].dtype and torch.equal(tensor, getattr(expected, part)[name])
            for name, tensor in getattr(found, part).items()
        )
        for part in checkpoint.TENSORS
    )
    return tensors and (found.update, found.state, found.beside) == (expected.update, expected.state, expected.beside)


def weights_file(folder: Path, update: int) -> dict[str, Digest]:
    path = folder / weights_name(update)
    path.parent.mkdir(parents=True, exist_ok=True)
    return {weights_name(update): replace_file(path, tensor_pieces(small(update).model))}


def test_what_was_saved_is_what_is_loaded(tmp_path: Path) -> None:
    path = save(tmp_path / "checkpoints", small())
    assert path == tmp_path / "checkpoints" / "update-00000007"
    assert same(load(path), small())
    assert {file.name for file in path.iterdir()} == checkpoint.FILES | {"manifest.json"}
    assert not list(path.parent.glob(".*"))


def test_the_safetensors_library_reads_the_very_tensors(tmp_path: Path) -> None:
    """Names, dtypes, shapes and bytes, also of empty and zero-dimensional tensors and of views with strides."""
    tensors = {
        "matrix": torch.randn(4, 6)[:, ::2],
        "umlaut ä": torch.arange(3),
        "none": torch.empty(0, 4),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "flags": torch.tensor([True, False]),
    }
    replace_file(tmp_path / "mine.safetensors", tensor_pieces(tensors))
    found = load_file(tmp_path / "mine.safetensors")
    assert found.keys() == tensors.keys()
    assert all(
        found[name].dtype == tensor.dtype and torch.equal(found[name], tensor) for name, tensor in tensors.items()
    )
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "theirs.safetensors")
    assert (tmp_path / "theirs.safetensors").stat().st_size == (tmp_path / "mine.safetensors").stat().st_size


def test_saving_over_the_file_that_was_loaded_from_keeps_the_values(tmp_path: Path) -> None:
    """The library maps files into memory; overwriting in place would write zeros (safetensors issue 762)."""
    path = tmp_path / "weights.safetensors"
    expected = small().model["b"].clone()
    replace_file(path, tensor_pieces(small().model))
    mapped = read_tensors(path)
    replace_file(path, tensor_pieces(mapped))
    assert torch.equal(mapped["b"], expected)
    assert torch.equal(read_tensors(path)["b"], expected)


def flipped(path: Path, place: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.parametrize("name", sorted(checkpoint.FILES | {"manifest.json"}))
def test_a_flipped_bit_in_any_byte_is_detected_and_the_file_named(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, small(beside=weights_file(tmp_path, 5)))
    content, chance = (path / name).read_bytes(), random.Random(1)
    for place in range(len(content)):
        flipped(path / name, place, chance.randrange(8))
        with pytest.raises(RunError, match=rf"{path.name}/{name}"):
            verify(path)
        (path / name).write_bytes(content)
    assert same(load(path), small(beside=weights_file(tmp_path, 5)))


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(checkpoint.FILES | {"manifest.json"}))
def test_every_single_bit(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, small())
    content = (path / name).read_bytes()
    for place in range(len(content) * 8):
        flipped(path / name, place // 8, place % 8)
        with pytest.raises(RunError, match=name):
            verify(path)
        (path / name).write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def lengthened(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def another(path: Path) -> None:
    """The file of the same name from another checkpoint."""
    shutil.copy(path.parent.parent / name_of(3) / path.name, path)


@pytest.mark.parametrize("harm", [cut_short, emptied, lengthened, another, Path.unlink])
@pytest.mark.parametrize("name", sorted(checkpoint.FILES | {"manifest.json"}))
def test_the_newest_complete_one_is_taken_and_it_is_said_what_was_passed_over(
    tmp_path: Path, name: str, harm: Callable[[Path], None]
) -> None:
    save(tmp_path, small(3))
    older, damaged = save(tmp_path, small(5)), save(tmp_path, small(7))
    harm(damaged / name)
    found = newest(tmp_path)
    assert found.path == older
    (reason,) = found.passed_over
    assert reason.startswith("update-00000007: ")
    assert name in reason
    assert same(load(older), small(5))


def test_a_folder_under_another_s_name_is_refused(tmp_path: Path) -> None:
    save(tmp_path, small(5)).rename(tmp_path / name_of(9))
    found = newest(tmp_path)
    assert found.path is None
    assert "misnamed" in found.passed_over[0]


def test_a_checkpoint_is_complete_only_with_the_weights_files_it_speaks_of(tmp_path: Path) -> None:
    first = save(tmp_path, small(5, weights_file(tmp_path, 4)))
    save(tmp_path, small(7, weights_file(tmp_path, 6)))
    flipped(tmp_path / weights_name(6), 100, 3)
    found = newest(tmp_path)
    assert found.path == first
    assert weights_name(6) in found.passed_over[0]


def test_nothing_is_a_checkpoint_that_lies_outside_the_folder(tmp_path: Path) -> None:
    """A manifest with a valid checksum of its own cannot make us read elsewhere."""
    with pytest.raises(RunError, match="list of files is not as expected"):
        save(tmp_path, small(5, {"weights/../../secret.safetensors": Digest("0" * 64, 3)}))
    assert not list(tmp_path.iterdir()), "what does not read back is removed"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"files": 3}', b"\xff", b"[" * 100_000, b'{"update": 5}'])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: bytes) -> None:
    path = save(tmp_path, small(5))
    (path / "manifest.json").write_bytes(text)
    with pytest.raises(RunError, match=r"manifest\.json is damaged"):
        verify(path)


def test_leftovers_are_no_checkpoints_and_go_with_the_next_save(tmp_path: Path) -> None:
    for name in (".new-update-00000009", ".old-update-00000001"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.safetensors").write_bytes(b"half")
    assert newest(tmp_path).path is None
    assert newest(tmp_path).passed_over == ()
    save(tmp_path, small())
    assert [entry.name for entry in tmp_path.iterdir()] == [name_of(7)]


def test_old_ones_go_newer_damaged_ones_too(tmp_path: Path) -> None:
    paths = [save(tmp_path, small(update)) for update in (3, 5, 7, 9)]
    checkpoint.retire(tmp_path, 7, 2)
    assert [path.name for path in paths if path.exists()] == [name_of(5), name_of(7)]


def test_weights_files_stay_as_long_as_somebody_speaks_of_them(tmp_path: Path) -> None:
    for update in (1, 2, 3, 4):
        weights_file(tmp_path, update)
    save(tmp_path, small(5, weights_file(tmp_path, 2)))
    checkpoint.sweep(tmp_path, frozenset({weights_name(4)}))
    assert sorted(path.name for path in (tmp_path / "weights").iterdir()) == [
        f"{name_of(2)}.safetensors",
        f"{name_of(4)}.safetensors",
    ]


def test_a_digest_is_that_of_the_file(tmp_path: Path) -> None:
    big = torch.arange(3_000_000, dtype=torch.int64)  # more than one piece
    digest = replace_file(tmp_path / "big.safetensors", tensor_pieces({"big": big}))
    assert digest == digest_of(tmp_path / "big.safetensors")
    assert torch.equal(read_tensors(tmp_path / "big.safetensors", digest)["big"], big)
