"""The corpus of hostile files: each with a name, its content, and what the refusal has to mention."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from hostile.nvidia import nvidia_pickle
from latent_editor.generators import construction

INIT_KWARGS = {
    "z_dim": 8, "c_dim": 0, "w_dim": 8, "img_resolution": 16, "img_channels": 3, "channel_base": 64, "channel_max": 8,
    "mapping_kwargs": {"num_layers": 2},
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A file, and a regular expression that its refusal matches."""

    name: str
    content: bytes
    says: str


# Pickles by hand.


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def named(module: str, name: str) -> bytes:
    """A global as protocol 4 names it."""
    return text(module) + text(name) + b"\x93"


def call(module: str, name: str, *arguments: bytes) -> bytes:
    return named(module, name) + b"(" + b"".join(arguments) + b"tR"


def raw_pickle(body: bytes) -> bytes:
    return b"\x80\x04" + body + b"."


def binary(data: bytes) -> bytes:
    return b"\x8e" + struct.pack("<Q", len(data)) + data


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def calls(canary: Path) -> Iterator[tuple[str, bytes, str]]:
    """Programs that write the canary when they are run: name, body of a pickle, and what they name."""
    touch, code = f"touch {canary}", f"open({str(canary)!r}, 'w')"
    yield "os.system", call("os", "system", text(touch)), r"os\.system"
    yield "posix.system", call("posix", "system", text(touch)), r"posix\.system"
    yield "subprocess", call("subprocess", "getoutput", text(touch)), r"subprocess\.getoutput"
    for name in ("eval", "exec", "open", "__import__", "compile", "setattr"):
        yield name, call("builtins", name, text(code)), rf"builtins\.{name}"
    yield "python 2 eval", call("__builtin__", "eval", text(code)), r"__builtin__\.eval"
    get = call("builtins", "getattr", call("builtins", "__import__", text("os")), text("system"))
    yield "getattr chain", get + b"(" + text(touch) + b"tR", r"builtins\.getattr"
    yield "dotted name", call("os", "path.os.system", text(touch)), r"os\.path\.os\.system"
    dotted = "_load_from_bytes.__globals__"
    yield "dotted allowed name", call("torch.storage", dotted, text(touch)), r"_load_from_bytes\.__globals__"
    yield "class of a class", call("collections", "OrderedDict.__init__.__globals__"), r"OrderedDict\.__init__"
    yield "instance call", b"(" + text(touch) + b"ios\nsystem\n", r"os\.system"
    yield "object call", b"(cos\nsystem\n" + text(touch) + b"o", r"os\.system"
    yield "newobj", b"cos\nsystem\n(" + text(touch) + b"t\x81", r"os\.system"
    yield "extension", b"\x82\x01", "an extension code"
    yield "persistent id", text("x") + b"Q", "persistent id"
    for module, name in (
        ("functools", "partial"), ("operator", "attrgetter"), ("marshal", "loads"), ("pickle", "loads"),
        ("torch", "load"), ("torch.serialization", "load"), ("runpy", "run_path"), ("importlib", "import_module"),
        ("numpy", "load"), ("numpy", "fromfile"), ("types", "FunctionType"), ("copyreg", "_reconstructor"),
        ("torch_utils.persistence", "_src_to_module"), ("torch.jit", "load"), ("ctypes", "CDLL"),
    ):  # fmt: skip
        yield f"{module}.{name}", call(module, name, text(str(canary))), re.escape(f"{module}.{name}")


def containers(body: bytes, canary: Path) -> Iterator[tuple[str, bytes]]:
    """The same program in each container."""
    program = raw_pickle(body)
    yield "pickle", program
    yield "torch zip", torch_zip(program)
    yield "legacy torch", legacy(program)
    yield "nested", raw_pickle(call("torch.storage", "_load_from_bytes", binary(legacy(program))))
    yield "after a generator", nvidia_file(canary)[:-1] + b"0" + body + b"."


def torch_zip(data: bytes, members: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("archive/data.pkl", data)
        for name, content in (members or {}).items():
            archive.writestr(f"archive/{name}", content)
    return file.getvalue()


def legacy(program: bytes, keys: bytes = b"].", storages: bytes = b"") -> bytes:
    """The old container of torch.save around a program."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system)]
    return b"".join(head) + program + b"\x80\x02" + keys + storages


def storage_reference(numel: int, key: str = "0") -> bytes:
    return b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + pickle_int(numel) + b"tQ"


def pickle_int(number: int) -> bytes:
    raw = number.to_bytes(10, "little", signed=True)
    return b"\x8a\x0a" + raw


def tensor(storage: bytes, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(pickle_int, values)) + b"t"

    arguments = (storage, pickle_int(0), numbers(shape), numbers(stride), b"\x89", b"N")
    return call("torch._utils", "_rebuild_tensor_v2", *arguments)


# Whole files.


def state() -> dict[str, Tensor]:
    return construction.random("stylegan2", INIT_KWARGS).state_dict()


def nvidia_file(canary: Path, change: Callable[[dict[str, Tensor]], Any] = lambda s: None, **kwargs: Any) -> bytes:
    tensors = state()
    change(tensors)
    return nvidia_pickle(tensors, {**INIT_KWARGS, **kwargs}, canary)


def own_file(change: Callable[[dict[str, Tensor]], Any] = lambda s: None, **metadata: str) -> bytes:
    """A safetensors file of this project."""
    tensors = state()
    change(tensors)
    facts = {"kind": "stylegan2", "init_kwargs": json.dumps(INIT_KWARGS), **metadata}
    return safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()}, facts)


def saved(data: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(data, file, **options)
    return file.getvalue()


def safetensors_file(header: Any, data: bytes = b"") -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def _pop(name: str) -> Callable[[dict[str, Tensor]], Any]:
    return lambda tensors: tensors.pop(name)


def _put(name: str, value: Tensor) -> Callable[[dict[str, Tensor]], Any]:
    return lambda tensors: tensors.update({name: value})


def wrong_weights(canary: Path) -> Iterator[Case]:
    """Files of both formats with tensors that do not fit."""
    changes: tuple[tuple[str, Callable[[dict[str, Tensor]], Any], str], ...] = (
        ("missing layer", _pop("synthesis.b8.conv0.weight"), r"synthesis\.b8\.conv0\.weight.*missing"),
        ("missing mapping", _pop("mapping.fc1.bias"), r"mapping\.fc1\.bias.*missing"),
        ("wrong shape", _put("synthesis.b8.conv0.weight", torch.zeros(3, 3)), r"synthesis\.b8\.conv0\.weight.*shape"),
        ("superfluous", _put("synthesis.b8.conv7", torch.zeros(3)), r"synthesis\.b8\.conv7"),
        ("NaN", _put("mapping.fc0.bias", torch.full([8], torch.nan)), r"mapping\.fc0\.bias.*not finite"),
        ("infinite", _put("synthesis.b4.const", torch.full([8, 4, 4], -torch.inf)), r"b4\.const.*not finite"),
        ("integers", _put("mapping.fc0.bias", torch.zeros(8, dtype=torch.int64)), r"mapping\.fc0\.bias"),
        ("complex", _put("mapping.fc0.bias", torch.zeros(8, dtype=torch.complex64)), r"."),
    )
    for name, change, says in changes:
        yield Case(f"nvidia {name}", nvidia_file(canary, change), says)
        if name != "complex":
            yield Case(f"own {name}", own_file(change), says)
    for key, value in (
        ("img_resolution", 1 << 40), ("img_resolution", 33), ("z_dim", -1), ("w_dim", 1 << 62), ("channel_max", "many"),
        ("img_channels", float("nan")), ("channel_base", 1e308), ("mapping_kwargs", {"num_layers": 1 << 40}),
        ("architecture", "os.system"), ("resample_filter", [1] * 100_000), ("class_name_of_nobody", 1),
    ):  # fmt: skip
        yield Case(f"nvidia argument {key} {str(value)[:12]}", nvidia_file(canary, **{key: value}), r".")
        own = own_file(init_kwargs=json.dumps({**INIT_KWARGS, key: value}))
        yield Case(f"own argument {key} {str(value)[:12]}", own, r".")


def bombs() -> Iterator[Case]:
    """Small files that ask for much."""
    nested = legacy(b"\x80\x02N.")
    for _ in range(1000):
        nested = legacy(raw_pickle(call("torch.storage", "_load_from_bytes", binary(nested))))
    body = call("torch.storage", "_load_from_bytes", binary(nested))
    yield Case("nested 1000 times", raw_pickle(body), r"torch\.storage\._load_from_bytes")
    once = legacy(
        b"\x80\x02" + storage_reference(25_000) + b".",
        b"]" + text("0") + b"a.",
        struct.pack("<Q", 25_000) + _floats(25_000),
    )
    kept = binary(once) + b"q\x00" + named("torch.storage", "_load_from_bytes") + b"q\x01"
    many = kept + b"(" + b"h\x01h\x00\x85R" * 100_000 + b"l"
    yield Case("one nested tensor 100 000 times", raw_pickle(many), "loads more than 5,000 tensors")
    views = torch.zeros(1000).as_strided([1000], [1])
    yield Case(
        "claimed terabyte in a zip", torch_zip(raw_pickle(storage_reference(1 << 38)), {"data/0": b"1234"}), "1,099,"
    )
    huge = tensor(storage_reference(1000), (1 << 20, 1 << 20), (0, 0))
    yield Case("repeated terabyte", torch_zip(raw_pickle(huge), {"data/0": _floats(1000)}), "claims 1,099,511,627,776")
    outside = tensor(storage_reference(1000), (10, 10), (1000, 1))
    yield Case(
        "outside of its storage", torch_zip(raw_pickle(outside), {"data/0": _floats(1000)}), "claims 100 numbers"
    )
    backwards = tensor(storage_reference(1000), (10,), (-1,))
    yield Case(
        "negative stride", torch_zip(raw_pickle(backwards), {"data/0": views.numpy().tobytes()}), "invalid length"
    )
    yield Case("legacy terabyte", legacy(b"\x80\x02" + storage_reference(1 << 38) + b"."), "claims 1,099,511,627,776")
    for name, code in (("bytes", b"\x8e"), ("text", b"\x8d"), ("bytearray", b"\x96")):
        yield Case(f"claimed exabyte of {name}", raw_pickle(code + struct.pack("<Q", 1 << 60)), "truncated|more than")
    yield Case("frame of an exabyte", b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N.", "holds a NoneType")
    yield Case("number of a gigabyte", raw_pickle(b"\x8b" + struct.pack("<i", 1 << 30)), "int of 1,073,741,824 bytes")
    yield Case("negative length", raw_pickle(b"\x8b" + struct.pack("<i", -5)), "int of -5 bytes")
    yield Case("million digits", raw_pickle(b"I" + b"9" * 1_000_000 + b"\n"), "for a number")
    yield Case("memory of 2 ** 32", raw_pickle(b"Nr\xff\xff\xff\xff0j\xfe\xff\xff\xff"), "missing memo entry")
    yield Case("lists in lists", raw_pickle(b"]" * 150_000 + b"a" * 149_999), "nests more than")
    yield Case("tuples in tuples", raw_pickle(b"N" + b"\x85" * 200_000), "nests more than")
    yield Case("many dicts", raw_pickle(b"(" + b"}" * 1_100_000 + b"l"), "instructions")
    yield Case("many marks", raw_pickle(b"(" * 1_100_000), "instructions")
    laughs = b"]q\x00N" + b"a" + b"".join(b"0](h\x00h\x00eq\x00" for _ in range(60))
    yield Case("a billion laughs", raw_pickle(laughs), "represents more than")
    yield Case("list in itself", raw_pickle(b"]q\x00h\x00a"), "contains itself")
    yield Case("dict in itself", raw_pickle(b"}q\x00" + text("a") + b"h\x00s"), "contains itself")
    loop = named("torch_utils.persistence", "_reconstruct_persistent_obj") + b"}q\x00(" + text("type") + text("class")
    loop += text("version") + b"K\x06" + text("class_name") + text("G") + text("state") + b"h\x00u\x85R"
    yield Case("network in itself", raw_pickle(loop), "contains itself")
    yield Case("unhashable key", raw_pickle(b"}]Ns"), "has a list as a key")
    yield Case("deep key", raw_pickle(b"}N" + b"\x85" * 100_000 + b"Ns"), "has a tuple as a key")
    yield Case("empty stack", raw_pickle(b"R"), "empty stack")
    yield Case("call of text", raw_pickle(text("os.system") + b")R"), "calls a str")
    yield Case("attributes of a list", raw_pickle(b"]}b"), "sets attributes of a list")
    yield Case("attributes of a type", raw_pickle(b"ccollections\nOrderedDict\n}b"), "sets attributes of a GlobalRef")
    yield from numpy_bombs()


def numpy_bombs() -> Iterator[Case]:
    array = call("numpy.core.multiarray", "_reconstruct", b"cnumpy\nndarray\n", b"K\x00\x85", b"C\x01b")
    kind = call("numpy", "dtype", text("f8"), b"\x89", b"\x88")
    state_ = b"(K\x01" + pickle_int(1 << 37) + b"\x85" + kind + b"\x89C\x04abcdtb"
    yield Case("numpy terabyte", raw_pickle(array + state_), "claims 1,099,511,627,776 bytes")
    objects = np.array([Call(os.getcwd)], dtype=object)
    yield Case("numpy objects", pickle.dumps(objects, 4), r"NumPy array of objects")
    yield Case("numpy structure", pickle.dumps(np.zeros(2, [("a", "f4")]), 4), "NumPy array")
    yield Case("numpy file of objects", _npy(objects), "NumPy array, not a model")


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _floats(count: int) -> bytes:
    return np.zeros(count, np.float32).tobytes()


def zips() -> Iterator[Case]:
    program = raw_pickle(storage_reference(250_000_000))
    packed = torch_zip(program, {"data/0": bytes(100_000_000)}, zipfile.ZIP_DEFLATED)
    yield Case("zip bomb", packed, "data/0 is compressed|data.pkl is compressed")
    overlapping = bytearray(torch_zip(raw_pickle(b"N"), {f"data/{i}": bytes(1000) for i in range(3)}))
    first = overlapping.find(b"PK\1\2")
    second = overlapping.find(b"PK\1\2", first + 4)
    third = overlapping.find(b"PK\1\2", second + 4)
    overlapping[third + 42 : third + 46] = overlapping[second + 42 : second + 46]
    yield Case("zip with overlapping members", bytes(overlapping), "overlap")
    whole = torch_zip(raw_pickle(b"N"))
    end = whole.rfind(b"PK\5\6")
    yield Case(
        "zip with a million members", whole[: end + 8] + b"\xff\xff\xff\xff" + whole[end + 12 :], "65,535 members"
    )
    yield Case("zip with a directory elsewhere", whole[: end + 16] + b"\xff\xff\xff\x7f" + whole[end + 20 :], "damaged")
    yield Case("zip of something else", _zip_of("word/document.xml"), "not written by torch.save")
    yield Case("TorchScript", torch_zip(raw_pickle(b"N"), {"constants.pkl": b"\x80\x02)."}), "TorchScript")
    yield Case("big endian", torch_zip(raw_pickle(b"N"), {"byteorder": b"big"}), "big-endian")
    yield Case("storage missing", torch_zip(raw_pickle(storage_reference(1))), "storage 0, which is missing")
    yield Case("storage outside", torch_zip(raw_pickle(storage_reference(1, "../../etc/passwd"))), "which is missing")


def _zip_of(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, b"<xml/>")
    return file.getvalue()


def safetensors_cases() -> Iterator[Case]:
    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    two = {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}
    yield Case("safetensors overlap", safetensors_file({"a": one, "b": two}, bytes(12)), "not a readable safetensors")
    yield Case("safetensors gap", safetensors_file({"a": one}, bytes(100)), "not a readable safetensors")
    terabyte = {"dtype": "F32", "shape": [1 << 38], "data_offsets": [0, 1 << 40]}
    yield Case("safetensors terabyte", safetensors_file({"a": terabyte}), "not a readable safetensors")
    lie = {"dtype": "F32", "shape": [1 << 38], "data_offsets": [0, 8]}
    yield Case("safetensors lie", safetensors_file({"a": lie}, bytes(8)), "not a readable safetensors")
    product = {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 8]}
    yield Case("safetensors overflow", safetensors_file({"a": product}, bytes(8)), "not a readable safetensors")
    yield Case("safetensors bad JSON", safetensors_file(b'{"a": {"dtype": "F32", }}'), "not a readable safetensors")
    yield Case("safetensors deep JSON", safetensors_file(b'{"a":' * 200_000), "not a readable safetensors")
    yield Case(
        "safetensors long header", struct.pack("<Q", 1 << 35) + b'{"a":' + bytes(100), "header claims 34,359,738,368"
    )
    long = b"{" + b" " * 50_000_000 + b"}"
    yield Case("safetensors of blanks", safetensors_file(long), "header claims 50,000,002 bytes")
    yield Case(
        "safetensors of others", safetensors.torch.save({"unet.down": torch.zeros(1)}), "of kind None.*unet.down"
    )
    yield Case("safetensors without arguments", own_file(init_kwargs="[1]"), "damaged metadata")
    yield Case("safetensors deep arguments", own_file(init_kwargs="[" * 100_000), "damaged metadata")
    yield Case("safetensors number arguments", own_file(init_kwargs='{"z_dim": 1' + "0" * 5000 + "}"), ".")


def other_files(canary: Path) -> Iterator[Case]:
    """What people drop in by mistake."""
    beginnings = {
        "empty": (b"", "is empty"),
        "zeros": (bytes(5000), "zeros"),
        "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(100), "picture"),
        "JPEG": (b"\xff\xd8\xff\xe0" + bytes(100), "picture"),
        "web page": (b"\n<!DOCTYPE html><html><title>Quota exceeded</title>", "web page"),
        "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS"),
        "gzip": (b"\x1f\x8b\x08" + bytes(50), "gzip"),
        "tar": (b"a".ljust(257, b"\0") + b"ustar" + bytes(300), "tar"),
        "ONNX": (b"\x08\x07\x12\x07pytorch\x1a\x051.9.0" + bytes(50), "ONNX"),
        "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "HDF5"),
        "JSON": (b'{"error": "not found"}', "JSON"),
        "text": (b"Sorry, this link has expired.", "begins with 'Sorry"),
        "noise": (b"\x01\x02\x03\x04\xfe\xfd" * 50, "starts with the bytes 01 02 03 04"),
        "script": (b"#!/bin/sh\ntouch canary\n", "script"),
    }
    for name, (content, says) in beginnings.items():
        yield Case(name, content, says)
    yield Case("diffusion", saved({"state_dict": {"model.diffusion_model.a": torch.zeros(2)}}), "diffusion")
    yield Case("discriminator", nvidia_pickle(state(), INIT_KWARGS, canary, parts=("D",)), "discriminator")
    yield Case("bare state", saved(dict(state())), "without the constructor's arguments")
    yield Case("one tensor", saved(torch.zeros(1, 512)), "one tensor")
    yield Case("optimizer", saved({"state": {}, "param_groups": []}), "holds state, param_groups")
    yield Case("whole module", saved(torch.nn.Linear(2, 2)), r"torch\.nn\.modules\.linear\.Linear")


def cases(canary: Path) -> Iterator[Case]:
    """All of them."""
    for number, (name, body, says) in enumerate(calls(canary)):
        for place, (container, content) in enumerate(containers(body, canary)):
            if place in (0, number % 5):  # every program by itself, and every fifth in each container
                yield Case(f"{name} in {container}", content, says)
    for source in (wrong_weights, other_files):
        yield from source(canary)
    for plain in (bombs, zips, safetensors_cases):
        yield from plain()


def whole_files(canary: Path) -> dict[str, bytes]:
    """Good files of each container, to be truncated."""
    other = {"g_ema": {"input.input": torch.zeros(1, 8, 4, 4), "conv1.conv.weight": torch.zeros(1, 8, 8, 3, 3)}}
    return {
        "nvidia": nvidia_file(canary),
        "own": own_file(),
        "zip": saved(other),
        "legacy": saved(other, _use_new_zipfile_serialization=False),
    }
