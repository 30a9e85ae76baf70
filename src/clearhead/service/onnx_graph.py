"""A graph of ONNX operators, written down operator by operator: values are names, weights are initialisers.

Nothing is traced, so no length and no batch size of an example can be left behind in it. Knows operators (opset 20),
nothing of Transformers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearhead.errors import ConfigurationError, need

OPSET, IR_VERSION = 20, 10
LARGEST = (1 << 31) - 1  # bytes of one file: a protocol buffer's limit
Size = int | str  # of a dimension: a number, or the name of one that may vary


class Graph:
    """Operators in their order. ``extra`` is the extra of clearhead that brings the package onnx."""

    def __init__(self) -> None:
        self.onnx = need("onnx", "onnx")
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
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
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def value(self, name: str, kind: str, shape: Sequence[Size]) -> Any:
        """What is known of an input or output: "float", "int64" or "bool", and its dimensions."""
        types = self.onnx.TensorProto
        number = {"float": types.FLOAT, "int64": types.INT64, "bool": types.BOOL}[kind]
        return self.onnx.helper.make_tensor_value_info(name, number, list(shape))

    def file(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> bytes:
        """The model's file, checked by ONNX's own checker.

        Raises:
            ConfigurationError: it is larger than such a file can be.
        """
        size = sum(len(each.raw_data) for each in self.initializers)
        if size > LARGEST:
            raise ConfigurationError(f"an ONNX file holds at most 2 GiB of weights, this model has {size / 2**30:.1f}")
        graph = self.onnx.helper.make_graph(self.nodes, name, inputs, outputs, self.initializers)
        opset = self.onnx.helper.make_opsetid("", OPSET)
        model = self.onnx.helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        model.producer_name = "clearhead"
        self.onnx.checker.check_model(model, full_check=True)
        written: bytes = model.SerializeToString()
        return written
