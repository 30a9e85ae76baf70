"""A graph of ONNX operators, written down operator by operator: values are names, weights are initialisers.

Nothing is traced, so no length and no batch size of an example can be left behind in it. Knows operators (opset 20),
nothing of Transformers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearhead.errors import need

OPSET, IR_VERSION = 20, 10
LARGEST = (1 << 31) - (
    1 << 24
)  # bytes of weights in one file: a protocol buffer ends at 2 GiB, and operators need room
SMALL = 1 << 10  # bytes of what stands in the file in any case
PAGE = 1 << 12  # what stands beside begins at whole pages, so that it can be mapped into memory
Size = int | str  # of a dimension: a number, or the name of one that may vary


@dataclass(frozen=True, slots=True)
class Packed:
    """An ONNX file, and the pieces of the file of weights beside it; none where they stand in the file itself."""

    file: bytes
    beside: Sequence[bytes | memoryview] = ()


class Graph:
    """Operators in their order. The package onnx comes with clearhead's extra of that name."""

    def __init__(self) -> None:
        self.onnx = need("onnx", "onnx")
        self.nodes: list[Any] = []
        self.arrays: dict[str, NDArray[Any]] = {}
        self._known: dict[tuple[int, torch.Size, bool], str] = {}
        self._numbers: dict[tuple[int, ...], str] = {}
        self._kept: list[Tensor] = []

    def op(self, kind: str, *inputs: str, attributes: Mapping[str, Any] | None = None) -> str:
        """One operator with one output; the output's name."""
        return self.ops(kind, inputs, 1, attributes)[0]

    def ops(
        self, kind: str, inputs: Sequence[str], outputs: int, attributes: Mapping[str, Any] | None = None
    ) -> list[str]:
        """One operator with several outputs."""
        names = [f"{kind}_{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), names, **(attributes or {})))
        return names

    def name(self, value: str, output: str) -> str:
        """Give ``value`` the name under which it leaves the graph."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [output]))
        return output

    def weight(self, tensor: Tensor, *, transposed: bool = False) -> str:
        """A weight as it is, or transposed; one that is used twice is stored once."""
        key = (tensor.data_ptr(), tensor.shape, transposed)
        if transposed and (plain := self._known.get((*key[:2], False))) is not None:
            return self.op("Transpose", plain, attributes={"perm": [1, 0]})
        if key not in self._known:
            array = tensor.detach().float().cpu()
            self._kept.append(tensor)
            self._known[key] = self.constant((array.T if transposed else array).contiguous().numpy())
        return self._known[key]

    def integers(self, *values: int) -> str:
        """A constant list of whole numbers."""
        if values not in self._numbers:
            self._numbers[values] = self.constant(np.array(values, dtype=np.int64))
        return self._numbers[values]

    def number(self, value: float) -> str:
        """A constant float."""
        return self.constant(np.array(value, dtype=np.float32))

    def constant(self, array: NDArray[Any]) -> str:
        """A constant of this array's type."""
        name = f"constant_{len(self.arrays)}"
        self.arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
        return name

    def value(self, name: str, kind: str, shape: Sequence[Size]) -> Any:
        """What is known of an input or output: "float", "int64" or "bool", and its dimensions."""
        types = self.onnx.TensorProto
        number = {"float": types.FLOAT, "int64": types.INT64, "bool": types.BOOL}[kind]
        return self.onnx.helper.make_tensor_value_info(name, number, list(shape))

    def packed(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> Packed:
        """The file ``name``.onnx, checked by ONNX's own checker; what does not fit in is for ``name``.onnx.data."""
        large = sum(array.nbytes for array in self.arrays.values()) > LARGEST
        outside = {name: array for name, array in self.arrays.items() if large and array.nbytes > SMALL}
        inside = [self._stored(each) for each in self.arrays if each not in outside]
        known = [self._described(each) for each in outside]  # the checker would look for their file
        checked = self._model(name, [*inputs, *known], outputs, inside)
        self.onnx.checker.check_model(checked, full_check=True)
        if not outside:
            return Packed(checked.SerializeToString())
        pieces: list[bytes | memoryview] = []
        for each, array in outside.items():
            inside.append(self._referred(each, f"{name}.onnx.data", sum(map(len, pieces))))
            pieces += [array.data.cast("B"), bytes(-array.nbytes % PAGE)]
        return Packed(self._model(name, inputs, outputs, inside).SerializeToString(), pieces)

    def _model(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any], weights: Sequence[Any]) -> Any:
        graph = self.onnx.helper.make_graph(self.nodes, name, inputs, outputs, weights)
        opset = self.onnx.helper.make_opsetid("", OPSET)
        model = self.onnx.helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        model.producer_name = "clearhead"
        return model

    def _stored(self, name: str) -> Any:
        return self.onnx.numpy_helper.from_array(self.arrays[name], name)

    def _described(self, name: str) -> Any:
        array = self.arrays[name]
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        return self.onnx.helper.make_tensor_value_info(name, kind, array.shape)

    def _referred(self, name: str, file: str, offset: int) -> Any:
        """A weight that stands in ``file``, from byte ``offset`` on."""
        array, types = self.arrays[name], self.onnx.TensorProto
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor = types(name=name, dims=array.shape, data_type=kind, data_location=types.EXTERNAL)
        for key, value in (("location", file), ("offset", offset), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor
