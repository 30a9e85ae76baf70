"""An inspection as plain data: text and arrays, without model or graph; to JSON, to a binary frame, and back from it.

The frame is a safetensors file: eight bytes with the length of a JSON header, the header, the raw arrays. What is not
an array stands in the header's metadata. So any reader of safetensors reads it, in any language, and nothing in it
runs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearhead.errors import ConfigurationError, DataError, nearest
from clearhead.inspection.stream import LAST

if TYPE_CHECKING:
    from clearhead.inspection.inspection import Inspection

KIND = ("clearhead-inspection", 1)  # format and its version
DIGITS = 6
PLAIN = ("weights",)
Array = NDArray[Any]
Part = Callable[["Inspection", str], dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Labels:
    """The tokens of a map's rows (who looks) and columns (at what)."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What one attention is: "self" or "cross", its size, the heads that are shown, whether its map is whole."""

    kind: str
    queries: int
    keys: int
    heads: list[int]
    full: bool
    rows: list[str]
    columns: list[str]


def _map_or_summary(seen: Inspection, name: str) -> dict[str, Tensor]:
    if seen.is_full(name):
        return {"weights": seen.weights(name)}
    chosen, summary = seen.shown(name), seen.summary(name)
    fields = ("log_normalizer", "entropy", "received", "top_weights", "top_indices", "mean_distance")
    return {f"summary/{field}": getattr(summary, field)[0, chosen] for field in fields}


PARTS: dict[str, Part] = {  # what one attention can be asked for; heads come first
    "weights": _map_or_summary,
    "scores": lambda seen, name: {"scores": seen.scores(name)} if seen.is_full(name) else {},
    "q": lambda seen, name: {"q": seen[name].q[0, seen.shown(name)]},
    "k": lambda seen, name: {"k": seen[name].k[0]},
    "v": lambda seen, name: {"v": seen[name].v[0]},
    "mixed": lambda seen, name: {"mixed": seen[name].mixed[0, seen.shown(name)]},
    "additions": lambda seen, name: {"additions": seen.additions(name)},
}
OF_MODEL = ("residual", "logits")


@dataclass(frozen=True, eq=False)
class PlainInspection:
    """Tokens, facts of every attention, and arrays by name: ``attentions/decoder.3.cross/weights`` (h, T, S),
    ``residual/decoder.3`` (T, W), ``logits`` (T, V)."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    fed: tuple[str, ...]
    attentions: dict[str, Facts]
    arrays: dict[str, Array]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: numbers rounded to 6 digits; what is no finite number is None."""
        table: dict[str, Any] = self._texts()
        for name, array in self.arrays.items():
            *path, last = name.split("/")
            place = table
            for step in path:
                place = place.setdefault(step, {})
            place[last] = _listed(array)
        return table

    def to_frame(self) -> bytes:
        """As bytes of a safetensors file; the texts stand as JSON under ``inspection`` in its metadata."""
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in self.arrays.items()}
        texts = json.dumps(self._texts())
        return safetensors.torch.save(tensors, metadata={"inspection": texts})

    @classmethod
    def from_frame(cls, frame: bytes) -> PlainInspection:
        """What ``to_frame`` made.

        Raises:
            DataError: these are no such bytes, or of a newer version.
        """
        try:
            arrays = {name: tensor.numpy() for name, tensor in safetensors.torch.load(frame).items()}
            length = int.from_bytes(frame[:8], "little")
            texts = json.loads(json.loads(frame[8 : 8 + length])["__metadata__"]["inspection"])
            said = texts["format"], texts["version"]
            facts = {name: Facts(**table) for name, table in texts["attentions"].items()} if said == KIND else {}
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"expected the frame of an inspection, got {len(frame)} bytes of another kind ({error})"
            ) from error
        if said != KIND:
            raise DataError(f"expected a frame of {KIND[0]}, version {KIND[1]}, got {said[0]}, version {said[1]}")
        return cls(tuple(texts["source"]), tuple(texts["target"]), tuple(texts["fed"]), facts, arrays)

    def _texts(self) -> dict[str, Any]:
        return {
            "format": KIND[0],
            "version": KIND[1],
            "source": list(self.source),
            "target": list(self.target),
            "fed": list(self.fed),
            "attentions": {name: asdict(facts) for name, facts in self.attentions.items()},
        }


def plain(seen: Inspection, parts: Collection[str]) -> PlainInspection:
    """The chosen parts of an inspection as arrays on the processor, float32 (indices int64)."""
    for part in parts:
        if part not in PARTS and part not in OF_MODEL:
            known = [*PARTS, *OF_MODEL]
            raise ConfigurationError(f"parts: there is no {part!r}{nearest(part, known)}; there are {', '.join(known)}")
    arrays: dict[str, Array] = {}
    for name in seen.attentions:
        for part in PARTS.keys() & set(parts):
            arrays |= {f"attentions/{name}/{key}": _array(tensor) for key, tensor in PARTS[part](seen, name).items()}
    if "residual" in parts:
        stations = (
            name for name in seen.residual if not name.endswith(f".{LAST}")
        )  # where the block's own name stands
        arrays |= {f"residual/{name}": _array(seen.residual[name]) for name in stations}
    if "logits" in parts:
        arrays["logits"] = _array(seen.logits)
    facts = {name: _facts(seen, name) for name in seen.attentions}
    return PlainInspection(seen.source, seen.target, seen.fed or seen.target, facts, dict(sorted(arrays.items())))


def _facts(seen: Inspection, name: str) -> Facts:
    record, labels = seen[name], seen.tokens(name)
    return Facts(
        record.kind,
        record.queries,
        record.keys,
        seen.shown(name),
        seen.is_full(name),
        list(labels.rows),
        list(labels.columns),
    )


def _array(tensor: Tensor) -> Array:
    array: Array = (tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().numpy().copy()
    return array


def _listed(array: Array) -> Any:
    """Nested lists of rounded numbers; None for NaN and infinities, which JSON does not know."""
    if array.dtype.kind != "f":
        return array.tolist()
    rounded = np.round(array.astype(np.float64), DIGITS)
    return rounded.tolist() if np.isfinite(rounded).all() else _without_infinities(rounded.tolist())


def _without_infinities(values: Any) -> Any:
    if isinstance(values, list):
        return [_without_infinities(value) for value in values]
    return values if math.isfinite(values) else None
