"""Recognizes common files that are not checkpoints, for helpful error messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from latent_editor.checkpoints.unpickling import Instance, is_legacy_torch, is_zip, shorten

#: Magic numbers of common file formats, and what to say about them.
_MAGIC_NUMBERS = (
    (b"\x89PNG", "is a picture (PNG), not a model"),
    (b"\xff\xd8\xff", "is a picture (JPEG), not a model"),
    (b"GIF8", "is a picture (GIF), not a model"),
    (b"BM", "is a picture (BMP), not a model"),
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself; run `git lfs pull` to get it"),
    (b"\x1f\x8b", "is compressed (gzip); unpack it first"),
    (b"BZh", "is compressed (bzip2); unpack it first"),
    (b"\xfd7zXZ", "is compressed (xz); unpack it first"),
    (b"7z\xbc\xaf", "is an archive (7z); unpack it first"),
    (b"Rar!", "is an archive (RAR); unpack it first"),
    (b"%PDF", "is a PDF document, not a model"),
    (b"\x7fELF", "is a program, not a model"),
    (b"MZ", "is a program, not a model"),
    (b"#!", "is a script, not a model"),
    (b"\x89HDF", "is an HDF5 file (Keras), not a StyleGAN checkpoint"),
    (b"\x93NUMPY", "is a NumPy array, not a model; `latent-editor directions import` reads directions"),
    (b"GGUF", "is a language model (GGUF), not a StyleGAN"),
)


def identify_header(head: bytes) -> str | None:
    """Describes the file that starts with ``head``; None if it may be a checkpoint."""
    for beginning, what in _MAGIC_NUMBERS:
        if head.startswith(beginning):
            return what
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "is a picture (WebP), not a model"
    if head[257:262] == b"ustar":
        return "is an archive (tar); unpack it first"
    if head[4:8] == b"ftyp":
        return "is a video or picture (MP4, HEIC), not a model"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<script", b"<?xml")) or b"<html" in start:
        return "is a web page, not a model: the download got an error or confirmation page instead of the file"
    if b"onnx" in head[:256] or (b"pytorch" in head[:64] and head[:1] == b"\x08"):
        return "is an ONNX model, which cannot be edited"
    if head[:1] == b"\x80" or is_zip(head) or is_legacy_torch(head):
        return None
    if start.startswith((b"{", b"[")):
        return "is a JSON file, not a model"
    if head[:1] in b"(]}cl)" and b"\n" in head[:300]:
        return None  # may be a text-mode pickle
    if _is_text(head):
        return f"is a text file that begins with {shorten(head[:40].decode('ascii', 'replace').strip())!r}, not a model"
    if not any(head):
        return "starts with zeros: its download was probably interrupted"
    return f"starts with the bytes {head[:8].hex(' ')}, which no known checkpoint format does"


def _is_text(head: bytes) -> bool:
    return all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head[:512])


def describe_content(data: Any) -> str:
    """Describes the content of a file that holds no generator."""
    if isinstance(data, Tensor):
        return f"holds one tensor {list(data.shape)[:8]}; `latent-editor directions import` reads directions"
    if not isinstance(data, Mapping):
        return f"holds a {type(data).__name__}, not a network"
    if isinstance(data.get("D"), Instance):
        return "holds a discriminator (D) but no generator (G_ema or G)"
    state = data.get("state_dict")
    names = [str(key) for key in (state if isinstance(state, Mapping) else data)]
    for words, what in _NETWORKS:
        if any(word in name for name in names for word in words):
            return what
    listed = ", ".join(shorten(name, 40) for name in names[:6])
    return f"holds {listed or 'nothing'}{' …' if len(names) > 6 else ''}"


_NETWORKS = (
    (("model.diffusion_model", "time_embed", "unet", "down_blocks."), "is a diffusion model, which has no W space"),
    (("lora_",), "is a LoRA for a diffusion model, which has no W space"),
    (("final_linear", "b4.out", "epilogue"), "holds a discriminator, not a generator"),
    (("visual.transformer", "text_model.encoder"), "is a CLIP model, not a generator"),
    (("mapping.fc0", "synthesis.b4"), "holds NVIDIA weights without the constructor's arguments"),
    (("encoder.body", "input_layer"), "holds an encoder without its generator"),
    (("comp", "lat_comp"), "holds directions; `latent-editor directions import` reads them"),
)
