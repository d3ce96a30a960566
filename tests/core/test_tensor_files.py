"""Files of tensors: round trips, atomic writes, hostile input."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

import pytest
import torch

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadLatent, BadModel


def test_tensors_and_metadata_survive(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(2, 3),
        "b.c": torch.arange(4),
        "half": torch.randn(3).half(),
        "view": torch.randn(4, 4)[:, ::2].t(),
        "scalar": torch.tensor(3.5),
    }
    path = tmp_path / "some" / "folder" / "t.safetensors"
    tensor_files.write_tensors(path, tensors, {"kind": "test", "ü": "ß"})
    got, metadata = tensor_files.read_tensors(path)
    assert metadata == {"kind": "test", "ü": "ß"}
    assert set(got) == set(tensors)
    for name, tensor in tensors.items():
        assert got[name].dtype == tensor.dtype
        assert torch.equal(got[name], tensor)


def test_metadata_may_be_absent(tmp_path: Path) -> None:
    tensor_files.write_tensors(tmp_path / "t", {"a": torch.zeros(1)})
    assert tensor_files.read_tensors(tmp_path / "t")[1] == {}


def test_what_was_read_can_be_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "t"
    tensor_files.write_tensors(path, {"a": torch.zeros(1000)})
    tensors, _ = tensor_files.read_tensors(path)
    tensor_files.write_tensors(path, {"a": torch.ones(1000)})
    assert tensors["a"].sum() == 0
    assert tensor_files.read_tensors(path)[0]["a"].sum() == 1000


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"not a safetensors file at all",
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"\xff\xfe",
        struct.pack("<Q", 61) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,99999999]}}',
        b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    ],
    ids=["empty", "one byte", "text", "huge header", "list", "not utf-8", "offsets beyond the end", "pickle"],
)
def test_damaged_files_are_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadModel, match="bad.safetensors is not a readable safetensors file"):
        tensor_files.read_tensors(path)


def test_the_error_is_the_callers(tmp_path: Path) -> None:
    with pytest.raises(BadLatent, match="gone does not exist"):
        tensor_files.read_tensors(tmp_path / "gone", error=BadLatent)
    with pytest.raises(BadModel):
        tensor_files.read_tensors(tmp_path)


def test_the_size_is_limited(tmp_path: Path) -> None:
    tensor_files.write_tensors(tmp_path / "t", {"a": torch.zeros(1000)})
    with pytest.raises(BadModel, match="the limit is 1,000"):
        tensor_files.read_tensors(tmp_path / "t", max_bytes=1000)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t"
    tensor_files.write_bytes(path, b"old")

    def fail(source: str, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        tensor_files.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["t"]


def test_written_files_have_the_usual_rights(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    tensor_files.write_bytes(tmp_path / "ours", b"x")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
