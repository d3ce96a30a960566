"""Opening the pictures of strangers: upright, 8 bit RGB, and never a surprise."""

from __future__ import annotations

import io
import math
import struct
import threading
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError, features

from latent_editor.core.errors import BadImage
from latent_editor.core.values import Photo

#: Formats that are tried. Pillow reads many more, through code that few people look at.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

#: Photos of more pixels are reduced to this many: a face of the largest model still has pixels to spare.
WORKING_PIXELS = 24_000_000

#: Files that decode to more pixels are refused; a JPEG can be reduced while it is decoded, others cannot.
DECODED_PIXELS = 80_000_000

#: Files that claim more pixels are refused unread: Pillow's own limit against decompression bombs.
MAX_PIXELS = 178_956_970

MAX_BYTES = 256 << 20
MIN_SIDE_PX = 16

#: What transparent pixels become.
BACKDROP = (128, 128, 128)

_ORIENTATION = 0x0112
#: Where EXIF tells width and height: at the top, and among the details.
_SIZE_TAGS, _DETAILS, _DETAIL_SIZE_TAGS = (0x0100, 0x0101), 0x8769, (0xA002, 0xA003)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SAVE_AS = "Save the picture as JPEG or PNG and try again"

#: Whatever a damaged file makes Pillow raise.
_DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError,
    ZeroDivisionError, AssertionError, RuntimeError, struct.error, MemoryError,
)  # fmt: skip

# One picture is decoded at a time: that bounds the memory, and hiding warnings is not safe between threads.
_DECODING = threading.Lock()


def open_photo(
    source: str | Path | bytes | BinaryIO | Image.Image,
    *,
    working_pixels: int = WORKING_PIXELS,
    max_pixels: int = MAX_PIXELS,
) -> Photo:
    """Opens a picture, whatever it is, as upright 8-bit RGB.

    EXIF orientation is applied; 16 bits are scaled to 8; transparency is put on grey; of an animation the first frame
    is taken; a picture of more than ``working_pixels`` is reduced to that. The content decides on the format, not the
    file's name.

    Args:
        source: A path, the bytes of a file, an open binary file, or a Pillow image.
        working_pixels: Reduce larger pictures to about this many pixels.
        max_pixels: Refuse pictures that claim more, without decoding them.

    Returns:
        The photo, with the EXIF block (orientation reset, no thumbnail), for RGB pictures the colour profile of the
        file, and where it is transparent its pixels as they are.

    Raises:
        BadImage: missing, empty, not an image, of a format not supported, truncated, damaged, too small, too large.
    """
    name = _name_of(source)
    with _DECODING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if isinstance(source, Image.Image):
                return _photo(source, name, working_pixels, max_pixels)
            data = _bytes_of(source, name)
            with _opened(data, name, max_pixels) as image:
                return _photo(image, name, working_pixels, max_pixels)
        except BadImage:
            raise
        except Image.DecompressionBombError as e:
            raise BadImage(_too_large(name, str(e))) from e
        except _DECODER_ERRORS as e:
            raise BadImage(
                f"{name} begins like an image and cannot be decoded ({_short(e)}): it is truncated or damaged. "
                f"Expected a whole {', '.join(FORMATS)} file. Download or copy it again, or choose another photo."
            ) from e


def _name_of(source: object) -> str:
    if isinstance(source, str | Path):
        return Path(source).name or "photo"
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    return Path(name).name or "photo" if isinstance(name, str) else "photo"


def _bytes_of(source: str | Path | bytes | BinaryIO, name: str) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif isinstance(source, str | Path):
        path = Path(source)
        try:
            # A device or a pipe could be read for ever.
            if not path.is_file():
                what = "is a folder or device" if path.exists() else "does not exist"
                raise BadImage(f"{name} {what}; expected an image file. Check the path.")
            with path.open("rb") as f:
                data = f.read(MAX_BYTES + 1)
        except (OSError, ValueError) as e:
            if isinstance(e, BadImage):
                raise
            raise BadImage(f"{name} cannot be read ({_short(e)}). Check the path and its permissions.") from e
    elif hasattr(source, "read"):
        data = source.read(MAX_BYTES + 1)
        if not isinstance(data, bytes):
            raise BadImage(f"{name} was opened as text; expected a binary file. Open it with mode 'rb'.")
    else:
        raise BadImage(f"Got {type(source).__name__}; expected a path, bytes, a binary file or a Pillow image.")
    if not data:
        raise BadImage(f"{name} is empty (zero bytes); expected an image file. Copy or download it again.")
    if len(data) > MAX_BYTES:
        raise BadImage(f"{name} has more than {MAX_BYTES >> 20} MB; expected a photo. {_SAVE_AS}.")
    return data


def _opened(data: bytes, name: str, max_pixels: int) -> Image.Image:
    """Opens without decoding."""
    available = [f for f in FORMATS if f not in ("WEBP", "AVIF") or features.check(f.lower())]
    try:
        return Image.open(io.BytesIO(data), formats=available)
    except UnidentifiedImageError as e:
        raise BadImage(
            f"{name} is {_kind(data)}, not an image that can be opened; expected {', '.join(available)}. {_SAVE_AS}."
        ) from e


def _photo(image: Image.Image, name: str, working_pixels: int, max_pixels: int) -> Photo:
    width, height = image.size
    if width * height > max_pixels:
        raise BadImage(
            _too_large(name, f"{width} × {height} pixels, at most {max_pixels / 1e6:.0f} million are opened")
        )
    if min(width, height) < MIN_SIDE_PX:
        raise BadImage(
            f"{name} has {width} × {height} pixels; expected at least {MIN_SIDE_PX} each way. Choose a larger photo."
        )
    scale = math.sqrt(min(1.0, working_pixels / (width * height)))
    if scale < 1:
        # A JPEG is decoded at a half, quarter or eighth, but never below what is asked for.
        image.draft(None, (math.ceil(width * scale), math.ceil(height * scale)))
    if image.width * image.height > DECODED_PIXELS:
        raise BadImage(_too_large(name, f"{width} × {height} pixels as {image.format or 'a bitmap'}"))
    image.load()
    rgb, still_rgb = _rgb(image)
    size = (max(1, round(width * scale)), max(1, round(height * scale))) if scale < 1 else image.size
    orientation, exif = _exif(image, size)

    def upright(picture: Image.Image) -> Image.Image:
        if scale < 1:
            picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        if orientation in _TURNS:
            picture = picture.transpose(_TURNS[orientation])
        if picture is image:
            picture = image.copy()  # the photo must not change when the caller's image does
        picture.info = {}
        return picture

    rgba = image.convert("RGBA") if image.has_transparency_data else None
    if rgba is not None and rgba.getchannel("A").getextrema() == (255, 255):
        rgba = None
    profile = image.info.get("icc_profile")
    profile = profile if still_rgb and isinstance(profile, bytes) and profile else None
    return Photo(upright(rgb), name, exif, profile, None if rgba is None else upright(rgba))


def _exif(image: Image.Image, size: tuple[int, int]) -> tuple[int, bytes | None]:
    """The orientation, 1 where there is none or nonsense, and the upright photo's EXIF block, None where it is broken.

    The thumbnail, which would show the face as it was, is left out.

    Args:
        image: As it was opened.
        size: Width and height that it is kept at, before it is turned upright.
    """
    try:
        exif = image.getexif()
        orientation = exif.get(_ORIENTATION, 1)
        if not isinstance(orientation, int) or not 1 <= orientation <= 8:
            orientation = 1
    except _DECODER_ERRORS:
        return 1, None
    try:
        if not len(exif):
            return orientation, None
        exif[_ORIENTATION] = 1
        wide, high = size if orientation < 5 else size[::-1]
        for tags, names in ((exif, _SIZE_TAGS), (exif.get_ifd(_DETAILS), _DETAIL_SIZE_TAGS)):
            tags.update({name: value for name, value in zip(names, (wide, high), strict=True) if name in tags})
        block = exif.tobytes()
        return orientation, block if len(block) < 65_533 else None  # what fits into a JPEG
    except _DECODER_ERRORS:
        return orientation, None


def _rgb(image: Image.Image) -> tuple[Image.Image, bool]:
    """The picture as RGB, and whether a colour profile of the file still describes it."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image, True
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB"), False
    if image.mode == "CMYK":
        return _from_cmyk(image), False
    if image.has_transparency_data:
        over = image.convert("RGBA")
        under = Image.new("RGBA", over.size, (*BACKDROP, 255))
        under.alpha_composite(over)
        return under.convert("RGB"), image.mode in ("RGB", "RGBA", "P")
    return image.convert("RGB"), image.mode == "P"


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Grey values of more than 8 bits → uint8, scaled by the range that they are stored in, never clipped."""
    if values.dtype.itemsize == 2 and values.dtype.kind == "u":
        return np.round(values.astype(np.float32) / 257).astype(np.uint8)
    # 32 bits do not tell their range: the smallest usual one that holds all values.
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    values = values - min(float(values.min()), 0.0)
    high = float(values.max())
    usual = (1.0, 255.0, 65535.0) if high % 1 else (255.0, 65535.0)
    full = next((f for f in usual if high <= f), high)
    return np.round(values * (255.0 / full)).astype(np.uint8)


def _from_cmyk(image: Image.Image) -> Image.Image:
    """By the file's own profile where it has a good one, else by the plain formula."""
    profile = image.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            assert converted is not None  # only with inPlace=True
            return converted
        except (ImageCms.PyCMSError, *_DECODER_ERRORS):
            pass
    return image.convert("RGB")


def _too_large(name: str, what: str) -> str:
    return (
        f"{name} is too large ({what}). Expected a photo; reduce it to less than 60 megapixels as JPEG and try again."
    )


def _short(e: BaseException) -> str:
    return (str(e) or type(e).__name__).splitlines()[0][:120]


def _kind(data: bytes) -> str:
    """What a file that is no readable image is, for the message."""
    head = data[:512]
    if head[4:8] == b"ftyp":
        return "a HEIC photo" if head[8:12] in (b"heic", b"heix", b"mif1", b"hevc", b"msf1") else "a video or AVIF"
    signs = {
        b"%PDF": "a PDF", b"PK\x03\x04": "a ZIP archive", b"\x1f\x8b": "an archive", b"8BPS": "a Photoshop file",
        b"\x80": "a binary file", b"GIF": "a damaged GIF", b"\xff\xd8": "a damaged JPEG", b"\x89PNG": "a damaged PNG",
        b"RIFF": "a video, sound or damaged WebP",
    }  # fmt: skip
    for sign, kind in signs.items():
        if head.startswith(sign):
            return kind
    text = head.lstrip().lower()
    if b"<svg" in text:
        return "an SVG drawing"
    if text.startswith((b"<!doctype", b"<html")):
        return "a web page"
    return "text" if all(32 <= b < 127 or b in b"\t\r\n" for b in head) else "a file of an unknown kind"
