"""A save that is cut off at any moment leaves exactly the old state or exactly the new one, and the next save works."""

from __future__ import annotations

import errno
import hashlib
import itertools
import random
from pathlib import Path

import pytest

from clearhead.training import checkpoint, durable
from clearhead.training.course import Best, Course
from clearhead.training.events import Saved, SaveFailed
from clearhead.training.keeper import Keeper, beside
from clearhead.training.tensorfile import tensor_pieces
from clearhead.training.weights import weights_of

from . import toys
from .disk import FallibleDisk, Fate, PowerCut
from .test_checkpoint import same, small

OLD, NEW = 5, 7
MODEL = toys.model(encoder_layers=0, decoder_layers=1)


def keeper(folder: Path) -> Keeper:
    return Keeper(folder, checkpoints=1, attempts=3)


def save(folder: Path, update: int) -> tuple[checkpoint.Checkpoint, Saved | SaveFailed | None]:
    """Weights that are the best so far, and a checkpoint that speaks of them; the one before is removed."""
    course = Course(update=update, best=Best(update, 1.0))
    failed = keeper(folder).keep_weights(course, MODEL)
    whole = small(update, beside(course))
    return whole, failed or keeper(folder).keep_checkpoint(whole)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FallibleDisk:
    """A disk that holds one checkpoint and does not fail yet."""
    return insert_disk(tmp_path / "disk", monkeypatch)


def insert_disk(root: Path, monkeypatch: pytest.MonkeyPatch, at: int = -1) -> FallibleDisk:
    """Put a disk with one checkpoint under the saves to come."""
    root.mkdir()
    monkeypatch.setattr(durable, "os", FallibleDisk(root))
    save(root / "checkpoints", OLD)
    made = FallibleDisk(root, at)
    monkeypatch.setattr(durable, "os", made)
    return made


def test_a_save_goes_through_the_disk_that_fails(disk: FallibleDisk) -> None:
    """The control of the tests below: all kinds of calls are seen, and at the end nothing is unsafe."""
    save(disk.root / "checkpoints", NEW)
    assert {line.partition(" ")[0] for line in disk.log} == {
        "open",
        "write",
        "fsync",
        "rename",
        "mkdir",
        "unlink",
        "rmdir",
    }
    assert disk.calls > 30
    disk.leave(Fate.LOST, disk.root / "afterwards", random.Random(0))
    assert which(disk.root / "afterwards" / "checkpoints") == NEW


@pytest.mark.parametrize("fate", Fate)
def test_a_power_cut_at_any_call_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fate: Fate
) -> None:
    found, chance = [], random.Random(3)
    for number in itertools.count():
        disk = insert_disk(tmp_path / str(number), monkeypatch, at=number)
        try:
            save(disk.root / "checkpoints", NEW)
        except PowerCut:
            found.append(recovered(disk, fate, chance))
        else:
            break
    assert len(found) > 30
    assert set(found) == {OLD, NEW}
    assert fate is Fate.CHANCE or found == sorted(found), "once the new one is there it stays"


def recovered(disk: FallibleDisk, fate: Fate, chance: random.Random) -> int:
    """Which state loads after the cut; the next save must then work and leave nothing behind."""
    left = disk.root if fate is Fate.KILLED else disk.root / "left"
    if fate is not Fate.KILLED:
        disk.leave(fate, left, chance)
    disk.at = -1
    folder = left / "checkpoints"
    update = which(folder)
    durable.os = FallibleDisk(left)  # type: ignore[attr-defined]
    save(folder, NEW)
    assert which(folder) == NEW
    assert not list(folder.rglob(".*")), "leftovers stay for ever"
    return update


def which(folder: Path) -> int:
    """The update of what loads, which must be the old or the new state in all its parts."""
    found = checkpoint.newest(folder)
    assert found.path is not None, found.passed_over
    loaded = checkpoint.load(found.path)
    content = b"".join(bytes(piece) for piece in tensor_pieces(weights_of(MODEL)))
    digest = durable.Digest(hashlib.sha256(content).hexdigest(), len(content))
    assert same(loaded, small(loaded.update, {checkpoint.weights_name(loaded.update): digest}))
    return loaded.update


def test_a_full_disk_at_any_call_costs_nothing_but_that_save(disk: FallibleDisk) -> None:
    folder, failures = disk.root / "checkpoints", 0
    for number in itertools.count():
        disk.full, disk.at, disk.calls = True, number, 0
        _, told = save(folder, NEW)
        assert told is not None
        if told.kind == "saved":
            break
        failures += 1
        assert "No space left" in told.as_dict()["reason"]
        assert not list(folder.rglob(".*")), "what could not be finished is removed"
        checkpoint.verify(folder / checkpoint.name_of(OLD))
        assert checkpoint.newest(folder).passed_over == ()
    assert failures > 15
    assert which(folder) == NEW


def test_an_error_in_reading_back_is_a_failed_save(disk: FallibleDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old checkpoint is removed only after the new one was read back."""
    folder = disk.root / "checkpoints"

    def lies(handle: int, piece: memoryview) -> int:
        if bytes(piece[:2]) == b"{\n":  # state.json and manifest.json
            return int(disk.write(handle, bytes(piece).replace(b"1", b"2")))
        return int(disk.write(handle, piece))

    class Lying:
        write = staticmethod(lies)

        def __getattr__(self, name: str) -> object:
            return getattr(disk, name)

    monkeypatch.setattr(durable, "os", Lying())
    told = keeper(folder).keep_checkpoint(small(NEW))
    assert told.kind == "save-failed"
    assert (folder / checkpoint.name_of(OLD)).is_dir()
    assert checkpoint.newest(folder).path == folder / checkpoint.name_of(OLD)


def test_the_error_of_the_system_is_named(disk: FallibleDisk) -> None:
    disk.full, disk.at = True, 0
    _, told = save(disk.root / "checkpoints", NEW)
    assert told is not None
    assert told.as_dict()["reason"] == f"[Errno {errno.ENOSPC}] No space left on device"
