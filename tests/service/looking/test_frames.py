"""Frames: what comes out is what went in, and numbers stand where the header says."""

from __future__ import annotations

import json
import struct

import numpy as np

from clearhead.service.looking.frames import from_frame, to_frame


def test_there_and_back() -> None:
    arrays = {
        "bytes": np.arange(7, dtype=np.uint8).reshape(7, 1),
        "halves": np.linspace(-2, 2, 6, dtype=np.float16).reshape(2, 3),
        "floats": np.array(3.25, dtype=np.float32),
        "none": np.zeros((0, 5), np.float32),
        "numbers": np.array([1, -2], dtype=np.int32),
    }
    facts, found = from_frame(to_frame({"name": "März ␣"}, arrays))
    assert facts == {"name": "März ␣"}
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


def test_every_array_begins_at_a_multiple_of_eight() -> None:
    frame = to_frame({}, {"a": np.ones(3, np.uint8), "b": np.array([1.0, 2.0], np.float32)})
    (length,) = struct.unpack_from("<I", frame)
    entries = json.loads(frame[4 : 4 + length])["arrays"]
    assert [(4 + length + each["offset"]) % 8 for each in entries] == [0, 0]
    assert struct.unpack_from("<2f", frame, 4 + length + entries[1]["offset"]) == (1.0, 2.0)
