"""What a checkpoint is, whatever file it came in; and which reader a file needs, from its content alone."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from latent_editor import files
from latent_editor.errors import BadModel
from latent_editor.unpickling import Instance, is_legacy_torch, is_zip, read_model_file, shorten

KINDS = ("stylegan2", "stylegan3")
#: In the metadata of this project's own files.
EXTRAS_PREFIX = "extras/"
_MOST_NOTES = 20
#: Tensors of a generator and an encoder; those of e4e take 1.1 GB.
_MOST_TENSOR_BYTES = 3 << 29


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A generator as plain values, read from any file.

    Attributes:
        format: "latent-editor", "nvlabs", "rosinality", "psp" or "tensorflow".
        kind: "stylegan2" or "stylegan3".
        init_kwargs: Arguments of the public constructors, flat or nested.
        state: The tensors, by the names of the public checkpoints (``mapping.…``, ``synthesis.…``).
        extras: Tensors of other parts in the same file, by part: such as "encoder".
        notes: What was left out or refused, in words.
    """

    format: str
    kind: str
    init_kwargs: dict[str, Any]
    state: dict[str, Tensor]
    extras: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def recognise(path: str | Path) -> str:
    """The format of a checkpoint, from its content, never from its name.

    Raises:
        BadModel: it is none; the message says what it looks like instead.
    """
    return _recognise(Path(path))[0]


def read_checkpoint(path: str | Path, *, own: bool = True) -> Checkpoint:
    """Reads a checkpoint of any format. Nothing in it is run.

    Args:
        path: The file.
        own: Whether the tensors get memory of their own. Otherwise they share the file's, which is enough to look at
            it and must not outlive it.

    Raises:
        BadModel: it is none, is damaged, or asks for something that no checkpoint needs.
    """
    path = Path(path)
    format_, data = _recognise(path)
    checkpoint = _READERS[format_](path, data)
    return _owned(path, checkpoint) if own else checkpoint


def _owned(path: Path, checkpoint: Checkpoint) -> Checkpoint:
    """With tensors in memory of their own, not in the file's."""
    parts = [checkpoint.state, *checkpoint.extras.values()]
    size = sum(tensor.nbytes for part in parts for tensor in part.values())
    if size > _MOST_TENSOR_BYTES:
        raise BadModel(f"{path.name} has tensors of {size:,} bytes; at most {_MOST_TENSOR_BYTES:,} are read.")
    state = {name: tensor.detach().clone() for name, tensor in checkpoint.state.items()}
    extras = {p: {n: t.detach().clone() for n, t in part.items()} for p, part in checkpoint.extras.items()}
    return replace(checkpoint, state=state, extras=extras)


def _recognise(path: Path) -> tuple[str, Any]:
    """The format, and the file's plain content where that was needed to tell."""
    head = _head(path)
    if _is_safetensors(head):
        return "latent-editor", None
    looks = _looks_like(head)
    if looks is not None:
        raise BadModel(f"{path.name} {looks}. Choose a checkpoint of StyleGAN2 or StyleGAN3.")
    from latent_editor.generators.nvlabs_pickle import NAMES, wanted_part

    data = read_model_file(path, NAMES, select=wanted_part)
    return _format_of(path.name, data), data


def _head(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise BadModel(f"{path.name} is a folder without a model in it. Choose a model's file.")
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as e:
        raise BadModel(f"{path.name} cannot be opened ({e.strerror}). Choose another file.") from e
    if not head:
        raise BadModel(f"{path.name} is empty. Get the file again: its download was probably interrupted.")
    return head


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 9 and struct.unpack("<Q", head[:8])[0] < 1 << 40 and head[8:].lstrip()[:1] == b"{"


#: How well-known files begin, and what to say about them.
_BEGINNINGS = (
    (b"\x89PNG", "is a picture (PNG), not a model"),
    (b"\xff\xd8\xff", "is a picture (JPEG), not a model"),
    (b"GIF8", "is a picture (GIF), not a model"),
    (b"BM", "is a picture (BMP), not a model"),
    (b"version https://git-lfs", "is a pointer of git-lfs, not the file itself; run `git lfs pull` to get it"),
    (b"\x1f\x8b", "is compressed (gzip); unpack it first"),
    (b"BZh", "is compressed (bzip2); unpack it first"),
    (b"\xfd7zXZ", "is compressed (xz); unpack it first"),
    (b"7z\xbc\xaf", "is an archive (7z); unpack it first"),
    (b"Rar!", "is an archive (RAR); unpack it first"),
    (b"%PDF", "is a PDF document, not a model"),
    (b"\x7fELF", "is a program, not a model"),
    (b"MZ", "is a program, not a model"),
    (b"#!", "is a script, not a model"),
    (b"\x89HDF", "is an HDF5 file, such as Keras writes; StyleGAN checkpoints are none"),
    (b"\x93NUMPY", "is a numpy array, not a model; `latent-editor directions import` reads directions"),
    (b"GGUF", "is a language model (GGUF), not a StyleGAN"),
)


def _looks_like(head: bytes) -> str | None:
    """What a file that begins like this is, unless it may be a checkpoint."""
    for beginning, what in _BEGINNINGS:
        if head.startswith(beginning):
            return what
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "is a picture (WebP), not a model"
    if head[257:262] == b"ustar":
        return "is an archive (tar); unpack it first"
    if head[4:8] == b"ftyp":
        return "is a film or a picture (MP4, HEIC), not a model"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<script", b"<?xml")) or b"<html" in start:
        return "is a web page, not a model: the download got an error or a question instead of the file"
    if b"onnx" in head[:256] or (b"pytorch" in head[:64] and head[:1] == b"\x08"):
        return "is an ONNX program, which holds a frozen network"
    if head[:1] == b"\x80" or is_zip(head) or is_legacy_torch(head):
        return None
    if start.startswith((b"{", b"[")):
        return "is a text (JSON), not a model"
    if head[:1] in b"(]}cl)" and b"\n" in head[:300]:
        return None  # may be a pickle in words
    if _is_text(head):
        return f"is a text that begins with {shorten(head[:40].decode('ascii', 'replace').strip())!r}, not a model"
    if not any(head):
        return "begins with zeros: its download was probably interrupted"
    return f"begins with the bytes {head[:8].hex(' ')}, which no checkpoint does"


def _is_text(head: bytes) -> bool:
    return all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head[:512])


def _format_of(name: str, data: Any) -> str:
    """The format of a pickle's plain content."""
    parts = data if isinstance(data, (list, tuple)) else (data,)
    if any(isinstance(part, Instance) and part.name == "dnnlib.tflib.network.Network" for part in parts):
        return "tensorflow"
    if isinstance(data, Instance):
        return "nvlabs"
    if isinstance(data, Mapping):
        if isinstance(data.get("G_ema", data.get("G")), Instance):
            return "nvlabs"
        state = data.get("state_dict")
        if isinstance(state, Mapping) and any(str(key).startswith("decoder.") for key in state):
            return "psp"
        for states in (*data.values(), data):
            names = {str(key).removeprefix("module.") for key in states} if isinstance(states, Mapping) else set()
            if {"input.input", "conv1.conv.weight"} <= names:
                return "rosinality"
    raise BadModel(f"{name} {_what_else(data)}. Expected a generator of StyleGAN2 or StyleGAN3.")


def _what_else(data: Any) -> str:
    """What plain content that is no generator looks like."""
    if isinstance(data, Tensor):
        return f"holds one tensor {list(data.shape)[:8]}; `latent-editor directions import` reads directions"
    if not isinstance(data, Mapping):
        return f"holds a {type(data).__name__}, not a network"
    if isinstance(data.get("D"), Instance):
        return "holds a discriminator (D) and no generator (G_ema or G)"
    state = data.get("state_dict")
    names = [str(key) for key in (state if isinstance(state, Mapping) else data)]
    for words, what in _NETWORKS:
        if any(word in name for name in names for word in words):
            return what
    listed = ", ".join(shorten(name, 40) for name in names[:6])
    return f"holds {listed or 'nothing'}{' …' if len(names) > 6 else ''}"


_NETWORKS = (
    (("model.diffusion_model", "time_embed", "unet", "down_blocks."), "is a diffusion model, which has no W space"),
    (("lora_",), "is a LoRA of a diffusion model, which has no W space"),
    (("final_linear", "b4.out", "epilogue"), "holds a discriminator, not a generator"),
    (("visual.transformer", "text_model.encoder"), "is a CLIP, not a generator"),
    (("mapping.fc0", "synthesis.b4"), "holds the weights of NVIDIA's network without its constructor's arguments"),
    (("encoder.body", "input_layer"), "holds an encoder without the generator it belongs to"),
    (("comp", "lat_comp"), "holds directions; `latent-editor directions import` reads them"),
)


def read_own(path: Path, data: Any = None) -> Checkpoint:
    """Reads what :func:`latent_editor.generators.save_generator` and ``latent-editor convert`` wrote."""
    tensors, metadata = files.read_tensors(path, max_bytes=_MOST_TENSOR_BYTES)
    kind = metadata.get("kind")
    if kind not in KINDS:
        names = ", ".join(shorten(name, 40) for name in sorted(tensors)[:4]) or "no tensors"
        raise BadModel(
            f"{path.name} is a safetensors file of kind {kind!r}; expected 'stylegan2' or 'stylegan3'. It has {names}. "
            "Make it with `latent-editor convert` from the original checkpoint."
        )
    try:
        init_kwargs = json.loads(metadata["init_kwargs"])
        if not isinstance(init_kwargs, dict):
            raise ValueError("the constructor's arguments are no dict")
        notes = tuple(shorten(str(note), 200) for note in list(json.loads(metadata.get("notes", "[]")))[:_MOST_NOTES])
    except (KeyError, ValueError, TypeError, RecursionError) as e:
        raise BadModel(f"{path.name} has a damaged description ({e!r}). Get the file again.") from e
    state: dict[str, Tensor] = {}
    extras: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(EXTRAS_PREFIX):
            part, _, inner = name.removeprefix(EXTRAS_PREFIX).partition("/")
            extras.setdefault(part, {})[inner] = tensor
        else:
            state[name] = tensor
    return Checkpoint("latent-editor", str(kind), init_kwargs, state, extras, notes)


def _read_nvlabs(path: Path, data: Any) -> Checkpoint:
    from latent_editor.generators.nvlabs_pickle import read_nvlabs

    return read_nvlabs(path, data)


def _read_rosinality(path: Path, data: Any) -> Checkpoint:
    from latent_editor.generators.rosinality import read_rosinality

    return read_rosinality(path, data)


def _read_psp(path: Path, data: Any) -> Checkpoint:
    from latent_editor.generators.psp import read_psp

    return read_psp(path, data)


def _read_tensorflow(path: Path, data: Any) -> Checkpoint:
    from latent_editor.generators.tensorflow import read_tensorflow

    return read_tensorflow(path, data)


_READERS: dict[str, Callable[[Path, Any], Checkpoint]] = {
    "latent-editor": read_own,
    "nvlabs": _read_nvlabs,
    "rosinality": _read_rosinality,
    "psp": _read_psp,
    "tensorflow": _read_tensorflow,
}
