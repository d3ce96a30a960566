"""Encodes images and latents as files with provenance metadata, and decodes latents."""

from __future__ import annotations

import io
import re
import tempfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from latent_editor.core.values import Edit, Latent, Photo
from latent_editor.version import __version__

#: IPTC digital source types: AI-generated, and a photograph with an AI-generated part.
_SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="{source}"/></rdf:RDF></x:xmpmeta>'
)


def jpeg_bytes(image: Image.Image, *, quality: int = 90) -> bytes:
    """Encodes an RGB image as JPEG, fast, for display only."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def description(about: str, model: str, edits: Sequence[Edit] = ()) -> str:
    """Describes an image and its edits in a sentence or two; edits without effect are omitted."""
    changes = ", ".join(f"{e.direction.name} {e.strength:+.2f}" for e in edits if e.strength and not e.muted)
    return f"{about}, made by the model {model}." + (f" Changed: {changes}." if changes else "")


def xmp(*, part: bool = False) -> str:
    """An XMP packet with the IPTC digital source type: fully AI-generated, or only in ``part``."""
    return _XMP.format(source=_COMPOSITE if part else _SYNTHETIC)


def png_bytes(image: Image.Image, *, model: str, edits: Sequence[Edit] = (), photo: Photo | None = None) -> bytes:
    """Encodes an image as PNG with provenance metadata.

    Args:
        image: RGB.
        model: Name of the generator.
        edits: The applied edits; those without effect are omitted.
        photo: The photograph that the face was pasted into, whose EXIF block and ICC profile are kept; None if the
            whole image is synthetic.
    """
    about = "A photograph with a synthetic face" if photo else "A synthetic picture"
    info = PngInfo()
    info.add_text("Software", f"Latent Editor {__version__}")
    info.add_itxt("Description", description(about, model, edits))
    info.add_text("Synthetic", "part" if photo else "all")
    info.add_itxt("Model", model)
    info.add_itxt("XML:com.adobe.xmp", xmp(part=photo is not None))
    out = io.BytesIO()
    extra = {k: v for k, v in {"icc_profile": photo.icc_profile, "exif": photo.exif}.items() if v} if photo else {}
    image.save(out, "PNG", pnginfo=info, compress_level=4, **extra)  # half the time of 6, 3 % larger
    return out.getvalue()


def latent_bytes(latent: Latent) -> bytes:
    """The bytes that :meth:`Latent.save` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "face.latent"
        latent.save(path)
        return path.read_bytes()


def latent_from_bytes(data: bytes, name: str = "face.latent") -> Latent:
    """Decodes the bytes that :meth:`Latent.save` writes.

    Args:
        data: The file content.
        name: The file name, for messages.

    Raises:
        BadLatent: not a latent.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file_name(name, "")
        path.write_bytes(data)
        return Latent.load(path)


def file_name(name: str, ending: str) -> str:
    """A name that is valid in every file system: ``file_name("Zoë/1.jpg", " edited.png") == "Zoe 1 edited.png"``.

    Args:
        name: Any name; its suffix is replaced by ``ending`` unless that is empty.
        ending: Appended text, starting with a space or dot.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    if ending:
        plain = re.sub(r"\.\w{1,6}$", "", plain)
    plain = re.sub(r"[^\w.-]+", " ", plain).strip(" .-_")[:60].strip(" .-_")
    return (plain or "face") + ending
