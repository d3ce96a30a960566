"""Runs graph models of TensorFlow.js (``NAME.json`` and ``NAME.bin``) in PyTorch: only the operations of face readers.

Tensors keep TensorFlow's order, NHWC; convolutions permute for themselves.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

DTYPES = {"float32": np.float32, "int32": np.int32, "float16": np.float16, "uint8": np.uint8, "uint16": np.uint16}


class GraphModel:
    """One model, ready to be called with float32 [N, H, W, C]."""

    def __init__(self, file: Path) -> None:
        model = json.loads(file.read_text(encoding="utf-8"))
        self.nodes = model["modelTopology"]["node"]
        self.weights = _read_weights(file, model["weightsManifest"])
        placeholders = [node for node in self.nodes if node["op"] == "Placeholder"]
        self.input = placeholders[0]["name"]
        shape = [int(d["size"]) for d in placeholders[0]["attr"]["shape"]["shape"]["dim"]]
        self.size_px, self.channels = shape[1], shape[3]

    @torch.inference_mode()
    def __call__(self, x: Tensor, *outputs: str) -> list[Tensor]:
        """The values of the named nodes; without names, of the last one."""
        values = {**self.weights, self.input: x}
        waiting = [node for node in self.nodes if node["name"] not in values]
        while waiting:  # nodes may be listed in any order
            ready = [n for n in waiting if all(_name(i) in values for i in n["input"])]
            assert ready, f"nodes without inputs: {[n['name'] for n in waiting][:3]}"
            for node in ready:
                values[node["name"]] = _run(node, [values[_name(i)] for i in node["input"]])
            waiting = [node for node in waiting if node["name"] not in values]
        return [values[name] for name in outputs or (self.nodes[-1]["name"],)]


def _name(source: str) -> str:
    return source.lstrip("^").partition(":")[0]


def _read_weights(file: Path, manifest: list[dict[str, Any]]) -> dict[str, Tensor]:
    found = {}
    for group in manifest:
        data, at = b"".join((file.parent / path).read_bytes() for path in group["paths"]), 0
        for weight in group["weights"]:
            quantization = weight.get("quantization", {})
            dtype = np.dtype(DTYPES[quantization.get("dtype", weight["dtype"])])
            count = int(np.prod(weight["shape"]))
            array = np.frombuffer(data, dtype, count, at).reshape(weight["shape"])
            at += count * dtype.itemsize
            if "scale" in quantization:
                array = array * quantization["scale"] + quantization["min"]
            found[weight["name"]] = torch.from_numpy(array.astype(DTYPES[weight["dtype"]]))
    return found


def _run(node: dict[str, Any], x: list[Tensor]) -> Tensor:
    op, attr = node["op"], node.get("attr", {})
    if op in SIMPLE:
        return SIMPLE[op](*x)
    if op in ("Mean", "Max", "Sum"):
        reduce = {"Mean": torch.mean, "Max": torch.amax, "Sum": torch.sum}[op]
        return reduce(x[0], dim=x[1].flatten().tolist(), keepdim=bool(attr.get("keep_dims", {}).get("b")))
    if op == "Squeeze":
        return x[0].squeeze(tuple(int(i) for i in attr["squeeze_dims"]["list"]["i"]))
    if op == "MaxPool":
        kernel, stride = _sides(attr, "ksize"), _sides(attr, "strides")
        padded = _padded(x[0].permute(0, 3, 1, 2), attr, kernel, stride, -torch.inf)
        return F.max_pool2d(padded, kernel, stride).permute(0, 2, 3, 1)
    if "MatMul" in op:
        return _fused(x[0] @ x[1], x[2:], attr)
    if "Conv2" in op:
        return _fused(_convolved(x[0], x[1], attr, depthwise="Depthwise" in op), x[2:], attr)
    raise NotImplementedError(f"{op} ({node['name']})")


SIMPLE: dict[str, Callable[..., Tensor]] = {
    "Add": torch.add,
    "AddV2": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Minimum": torch.minimum,
    "Maximum": torch.maximum,
    "Relu": torch.relu,
    "Abs": torch.abs,
    "Square": torch.square,
    "Rsqrt": torch.rsqrt,
    "Sigmoid": torch.sigmoid,
    "Identity": lambda x: x,
    "Softmax": lambda x: x.softmax(dim=-1),
    "Reshape": lambda x, shape: x.reshape(shape.tolist()),
    "Pad": lambda x, p: F.pad(x, p.flip(0).flatten().tolist()),
}


def _fused(y: Tensor, extra: list[Tensor], attr: dict[str, Any]) -> Tensor:
    """Adds the bias and applies the activation that TensorFlow.js fused into an operation."""
    names = [base64.b64decode(s).decode() for s in attr.get("fused_ops", {}).get("list", {}).get("s", [])]
    if "BiasAdd" in names:
        y = y + extra[0]
    if "Relu" in names:
        y = y.relu()
    assert set(names) <= {"BiasAdd", "Relu"}, names
    return y


def _convolved(x: Tensor, weight: Tensor, attr: dict[str, Any], *, depthwise: bool) -> Tensor:
    stride, kernel = _sides(attr, "strides"), (weight.shape[0], weight.shape[1])
    padded = _padded(x.permute(0, 3, 1, 2), attr, kernel, stride, 0.0)
    # [kh, kw, I, M] → [I·M, 1, kh, kw], and [kh, kw, I, O] → [O, I, kh, kw]
    weight = weight.permute(2, 3, 0, 1).flatten(0, 1)[:, None] if depthwise else weight.permute(3, 2, 0, 1)
    return F.conv2d(padded, weight, stride=stride, groups=x.shape[3] if depthwise else 1).permute(0, 2, 3, 1)


def _sides(attr: dict[str, Any], key: str) -> tuple[int, int]:
    values = [int(i) for i in attr[key]["list"]["i"]]
    return values[1], values[2]


def _padded(x: Tensor, attr: dict[str, Any], kernel: tuple[int, int], stride: tuple[int, int], value: float) -> Tensor:
    """TensorFlow's padding SAME: as many outputs as ⌈inputs / stride⌉, an odd pixel at the end."""
    if base64.b64decode(attr["padding"]["s"]) != b"SAME":
        return x
    total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    return F.pad(x, (total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2), value=value)
