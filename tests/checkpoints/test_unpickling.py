"""The restricted unpickler: the same values as pickle and torch give, and nothing else."""

from __future__ import annotations

import argparse
import contextlib
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from latent_editor.checkpoints.unpickling import (
    Instance,
    InstanceRecord,
    Limits,
    read_arrays,
    read_pickle,
    read_torch,
)
from latent_editor.core.errors import BadLatent, BadModel

PLAIN = {
    "numbers": [0, 1, -1, 255, 65536, -(2**31), 2**70, 1.5, float("inf"), True, False, None],
    "text": ["", "a", "ü\n\\", "𝄞" * 100, "x" * 1000],
    "bytes": [b"", b"\x00\xff", b"x" * 1000, bytearray(b"abc" * 200)],
    "nested": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, (4, [5, {6: 7}]))),
    "sets": [{1, 2}, frozenset({"a"}), set()],
    "ordered": OrderedDict([("b", 1), ("a", 2)]),
}


def same(got: Any, want: Any) -> bool:
    """Equality that looks into arrays and tensors."""
    if isinstance(want, torch.Tensor):
        return bool(got.dtype == want.dtype and torch.equal(got, want))
    if isinstance(want, np.ndarray):
        return bool(got.dtype == want.dtype and got.shape == want.shape and (got == want).all())
    if isinstance(want, dict):
        return list(got) == list(want) and all(same(got[key], want[key]) for key in want)
    if isinstance(want, (list, tuple)):
        return type(got) is type(want) and len(got) == len(want) and all(map(same, got, want))
    return bool(got == want)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_survive_every_protocol(protocol: int) -> None:
    assert same(read_arrays(pickle.dumps(PLAIN, protocol)), PLAIN)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "<i8", ">i2", "|u1", "|b1", "<c8", "<U3", "|S2"])
def test_arrays_survive_every_protocol(dtype: str, protocol: int) -> None:
    array = np.arange(120).reshape(2, 3, 20).astype(dtype)
    data = {
        "c": array,
        "f": np.asfortranarray(array),
        "scalar": array[1, 2, 3],
        "empty": array[:0],
        "view": array[:, ::2],
    }
    got = read_arrays(pickle.dumps(data, protocol))
    assert same({**got, "scalar": 0}, {**data, "scalar": 0})
    assert got["scalar"] == data["scalar"]
    assert not isinstance(got["scalar"], np.generic)


def test_python_2_wrote_text_for_bytes() -> None:
    data = np.arange(100, dtype="<f4").tobytes()
    head = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I100\nt"
    old = head + b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR"
    old += b"(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nT" + len(data).to_bytes(4, "little") + data + b"tb."
    assert same(read_arrays(old), pickle.loads(old, encoding="latin1"))


def state() -> dict[str, Any]:
    layer = torch.nn.Linear(3, 2)
    base = torch.arange(24.0)
    return {
        "g_ema": layer.state_dict(),
        "parameter": layer.weight,
        "views": [base.view(4, 6)[:, 2], base.view(4, 6).t(), base[5:9]],
        "types": [torch.ones(3).to(t) for t in (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool)],
        "empty": torch.zeros(0, 4),
        "scalar": torch.tensor(2.5),
        "step": 5,
        "size": torch.Size([1, 2]),
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("mmap", [True, False])
def test_torch_files_are_read_as_torch_reads_them(zipped: bool, mmap: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(state(), path, _use_new_zipfile_serialization=zipped)
    want = torch.load(path, weights_only=True)
    got = read_torch(path, mmap=mmap)
    assert same({**got, "size": (1, 2), "parameter": got["parameter"]}, {**want, "size": (1, 2)})


@pytest.mark.parametrize("zipped", [True, False])
def test_what_half_of_the_checkpoints_carry_is_read_too(zipped: bool) -> None:
    file = io.BytesIO()
    args = argparse.Namespace(size=256, path=Path("/data"), inner=argparse.Namespace(a=1))
    content = {"args": args, "loss": np.float64(0.5), "w": torch.eye(2)}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    got = read_torch(file.getvalue())
    assert got["args"] == {"size": 256, "path": "//data", "inner": {"a": 1}}
    assert got["loss"] == 0.5
    assert torch.equal(got["w"], torch.eye(2))


def test_pickled_tensors_share_their_storages(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    base = torch.zeros(10)
    torch.save([base, base[2:]], path)
    one, two = read_torch(path)
    one[2] = 5
    assert two[0] == 5
    assert torch.load(path)[0][2] == 0  # the file stays as it is


@pytest.mark.parametrize("mmap", [True, False])
def test_what_was_read_in_memory_outlives_the_file(mmap: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(torch.arange(1000), path)
    got = read_torch(path, mmap=mmap)
    path.unlink()
    assert torch.equal(got, torch.arange(1000))


def test_the_real_direction_files(shared_folder: Path) -> None:
    folder = shared_folder / "fixtures" / "directions"
    for path in folder.glob("*.pt"):
        assert same(read_torch(path), torch.load(path, map_location="cpu", weights_only=True)), path.name
    got = read_arrays(folder / "ganspace_light_direction.pkl")
    assert got["lat_comp"].shape == (1, 512)
    assert got["edit_start"] == 8


# Names of one's own.


class Thing:
    def __init__(self, x: int) -> None:
        self.x = x


def test_callers_may_allow_names() -> None:
    data = pickle.dumps([Thing(3), Thing(4)])
    with pytest.raises(BadModel, match=r"names .*Thing"):
        read_pickle(data, {})
    got = read_pickle(data, {(__name__, "Thing"): lambda: InstanceRecord("a thing")})
    assert [(thing.name, thing.state) for thing in got] == [("a thing", {"x": 3}), ("a thing", {"x": 4})]
    assert isinstance(got[0], Instance)


def test_errors_are_of_the_wanted_kind(tmp_path: Path) -> None:
    path = tmp_path / "some.pkl"
    path.write_bytes(pickle.dumps(Thing))
    for read in (read_arrays, read_torch):
        with pytest.raises(BadLatent, match=r"^some\.pkl .*Nothing in it was run"):
            read(path, error=BadLatent)
    for missing in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(BadModel, match="folder|does not exist"):
            read_torch(missing)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(max_bytes=100), "the limit is 100"),
        (Limits(max_opcodes=50), "more than 50 instructions"),
        (Limits(max_depth=2), "more than 2 containers"),
        (Limits(max_values=20), "more than 20 values"),
        (Limits(max_text=500), "more than 500"),
    ],
)
def test_limits_hold(limits: Limits, says: str) -> None:
    with pytest.raises(BadModel, match=says):
        read_arrays(pickle.dumps(PLAIN), limits=limits)


def test_time_is_limited() -> None:
    with pytest.raises(BadModel, match="takes more than 0 s"):
        read_arrays(pickle.dumps(list(range(5000))), limits=Limits(max_seconds=0))


@pytest.mark.parametrize("index", range(256))
def test_every_instruction_ends_in_a_value_or_a_refusal(index: int) -> None:
    for before in (b"", b"N", b"(", b"]N", b"}NN", b"((NN", b"ccollections\nOrderedDict\n)"):
        for after in (b"", b"\x00" * 20, b"\xff" * 20, b"a\nb\n", b"1\n"):
            with contextlib.suppress(BadModel):
                read_arrays(b"\x80\x04" + before + bytes([index]) + after + b".")
