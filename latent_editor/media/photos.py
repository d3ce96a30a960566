"""Opens untrusted image files as upright 8-bit RGB."""

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

#: Allowed formats. Pillow reads many more, with less scrutinized decoders.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")

#: Larger photos are downscaled to this many pixels, which is plenty for a face of the largest model.
WORKING_PIXELS = 24_000_000

#: Files that decode to more pixels are refused. (JPEGs are downscaled during decoding.)
MAX_DECODED_PIXELS = 80_000_000

#: Files that declare more pixels are refused before decoding: Pillow's limit against decompression bombs.
MAX_PIXELS = 178_956_970

MAX_BYTES = 256 << 20
MIN_SIDE_PX = 16

#: Transparent pixels are composited over this color.
BACKGROUND_RGB = (128, 128, 128)

_ORIENTATION = 0x0112
#: EXIF tags of width and height, in the main and in the Exif IFD.
_SIZE_TAGS, _EXIF_IFD, _EXIF_SIZE_TAGS = (0x0100, 0x0101), 0x8769, (0xA002, 0xA003)
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_CONVERT_IT = "Convert it to JPEG or PNG and try again"

#: Exceptions that damaged files cause in Pillow.
_DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OverflowError,
    ZeroDivisionError, AssertionError, RuntimeError, struct.error, MemoryError,
)  # fmt: skip

# Decode one image at a time: this bounds memory, and suppressing warnings is not thread-safe.
_DECODING = threading.Lock()


def open_photo(
    source: str | Path | bytes | BinaryIO | Image.Image,
    *,
    working_pixels: int = WORKING_PIXELS,
    max_pixels: int = MAX_PIXELS,
) -> Photo:
    """Opens an image as upright 8-bit RGB.

    Applies the EXIF orientation, scales 16 bits to 8, composites transparency over gray, takes the first frame of an
    animation, and downscales images of more than ``working_pixels``. The format is detected from the content.

    Args:
        source: A path, the bytes of a file, an open binary file, or a Pillow image.
        working_pixels: Downscale larger images to about this many pixels.
        max_pixels: Refuse images that declare more, before decoding.

    Returns:
        The photo, with its EXIF block (orientation reset, no thumbnail), the ICC profile if it is RGB, and the RGBA
        image if it has transparency.

    Raises:
        BadImage: missing, empty, not an image, of an unsupported format, truncated, damaged, too small or too large.
    """
    name = _name_of(source)
    with _DECODING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if isinstance(source, Image.Image):
                return _to_photo(source, name, working_pixels, max_pixels)
            data = _bytes_of(source, name)
            with _open_image(data, name, max_pixels) as image:
                return _to_photo(image, name, working_pixels, max_pixels)
        except BadImage:
            raise
        except Image.DecompressionBombError as e:
            raise BadImage(_too_large(name, str(e))) from e
        except _DECODER_ERRORS as e:
            raise BadImage(
                f"{name} cannot be decoded ({_short_message(e)}): it is truncated or damaged. "
                f"Expected a complete {', '.join(FORMATS)} file. Download or copy it again, or choose another photo."
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
            # A device or pipe might never end.
            if not path.is_file():
                what = "is a folder or device" if path.exists() else "does not exist"
                raise BadImage(f"{name} {what}; expected an image file. Check the path.")
            with path.open("rb") as f:
                data = f.read(MAX_BYTES + 1)
        except (OSError, ValueError) as e:
            if isinstance(e, BadImage):
                raise
            raise BadImage(f"{name} cannot be read ({_short_message(e)}). Check the path and its permissions.") from e
    elif hasattr(source, "read"):
        data = source.read(MAX_BYTES + 1)
        if not isinstance(data, bytes):
            raise BadImage(f"{name} was opened as text; expected a binary file. Open it with mode 'rb'.")
    else:
        raise BadImage(f"Got {type(source).__name__}; expected a path, bytes, a binary file or a Pillow image.")
    if not data:
        raise BadImage(f"{name} is empty; expected an image file. Copy or download it again.")
    if len(data) > MAX_BYTES:
        raise BadImage(f"{name} has more than {MAX_BYTES >> 20} MB; expected a photo. {_CONVERT_IT}.")
    return data


def _open_image(data: bytes, name: str, max_pixels: int) -> Image.Image:
    """Opens an image without decoding it."""
    available = [f for f in FORMATS if f not in ("WEBP", "AVIF") or features.check(f.lower())]
    try:
        return Image.open(io.BytesIO(data), formats=available)
    except UnidentifiedImageError as e:
        raise BadImage(
            f"{name} is {_describe_content(data)}, not a supported image; expected "
            f"{', '.join(available)}. {_CONVERT_IT}."
        ) from e


def _to_photo(image: Image.Image, name: str, working_pixels: int, max_pixels: int) -> Photo:
    width, height = image.size
    if width * height > max_pixels:
        raise BadImage(_too_large(name, f"{width} × {height} pixels, the limit is {max_pixels / 1e6:.0f} million"))
    if min(width, height) < MIN_SIDE_PX:
        raise BadImage(
            f"{name} has {width} × {height} pixels; expected sides of at least {MIN_SIDE_PX}. Choose a larger photo."
        )
    scale = math.sqrt(min(1.0, working_pixels / (width * height)))
    if scale < 1:
        # JPEGs can be decoded at 1/2, 1/4 or 1/8 scale; Pillow never goes below the requested size.
        image.draft(None, (math.ceil(width * scale), math.ceil(height * scale)))
    if image.width * image.height > MAX_DECODED_PIXELS:
        raise BadImage(_too_large(name, f"{width} × {height} pixels as {image.format or 'a bitmap'}"))
    image.load()
    rgb, profile_applies = _to_rgb(image)
    size = (max(1, round(width * scale)), max(1, round(height * scale))) if scale < 1 else image.size
    orientation, exif = _exif(image, size)

    def upright(picture: Image.Image) -> Image.Image:
        if scale < 1:
            picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        if orientation in _TRANSPOSES:
            picture = picture.transpose(_TRANSPOSES[orientation])
        if picture is image:
            picture = image.copy()  # do not share pixels with the caller's image
        picture.info = {}
        return picture

    rgba = image.convert("RGBA") if image.has_transparency_data else None
    if rgba is not None and rgba.getchannel("A").getextrema() == (255, 255):
        rgba = None
    profile = image.info.get("icc_profile")
    profile = profile if profile_applies and isinstance(profile, bytes) and profile else None
    return Photo(upright(rgb), name, exif, profile, None if rgba is None else upright(rgba))


def _exif(image: Image.Image, size: tuple[int, int]) -> tuple[int, bytes | None]:
    """The EXIF orientation (1 if missing or invalid), and the EXIF block for the upright photo (None if damaged).

    The thumbnail is dropped, because it would show the original face.

    Args:
        image: The opened file.
        size: Width and height of the photo before it is rotated upright.
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
        for tags, names in ((exif, _SIZE_TAGS), (exif.get_ifd(_EXIF_IFD), _EXIF_SIZE_TAGS)):
            tags.update({name: value for name, value in zip(names, (wide, high), strict=True) if name in tags})
        block = exif.tobytes()
        return orientation, block if len(block) < 65_533 else None  # the limit of a JPEG segment
    except _DECODER_ERRORS:
        return orientation, None


def _to_rgb(image: Image.Image) -> tuple[Image.Image, bool]:
    """Converts to RGB; also returns whether the ICC profile of the file still applies."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image, True
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_uint8(np.asarray(image))).convert("RGB"), False
    if image.mode == "CMYK":
        return _from_cmyk(image), False
    if image.has_transparency_data:
        over = image.convert("RGBA")
        under = Image.new("RGBA", over.size, (*BACKGROUND_RGB, 255))
        under.alpha_composite(over)
        return under.convert("RGB"), image.mode in ("RGB", "RGBA", "P")
    return image.convert("RGB"), image.mode == "P"


def _to_uint8(values: np.ndarray) -> np.ndarray:
    """Grayscale values of more than 8 bits → uint8, scaled by their storage range without clipping."""
    if values.dtype.itemsize == 2 and values.dtype.kind == "u":
        return np.round(values.astype(np.float32) / 257).astype(np.uint8)
    # The range of 32-bit values is unknown: use the smallest common one that holds them all.
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    values = values - min(float(values.min()), 0.0)
    high = float(values.max())
    ranges = (1.0, 255.0, 65535.0) if high % 1 else (255.0, 65535.0)
    full = next((f for f in ranges if high <= f), high)
    return np.round(values * (255.0 / full)).astype(np.uint8)


def _from_cmyk(image: Image.Image) -> Image.Image:
    """Converts with the ICC profile of the file if it is valid, else with Pillow's formula."""
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
    return f"{name} is too large ({what}). Save it as a JPEG of less than 60 megapixels and try again."


def _short_message(e: BaseException) -> str:
    return (str(e) or type(e).__name__).splitlines()[0][:120]


def _describe_content(data: bytes) -> str:
    """Describes a file that is not a supported image, for error messages."""
    head = data[:512]
    if head[4:8] == b"ftyp":
        return "a HEIC photo" if head[8:12] in (b"heic", b"heix", b"mif1", b"hevc", b"msf1") else "a video or AVIF"
    signatures = {
        b"%PDF": "a PDF", b"PK\x03\x04": "a ZIP archive", b"\x1f\x8b": "an archive", b"8BPS": "a Photoshop file",
        b"\x80": "a binary file", b"GIF": "a damaged GIF", b"\xff\xd8": "a damaged JPEG", b"\x89PNG": "a damaged PNG",
        b"RIFF": "a video, audio or damaged WebP file",
    }  # fmt: skip
    for signature, kind in signatures.items():
        if head.startswith(signature):
            return kind
    text = head.lstrip().lower()
    if b"<svg" in text:
        return "an SVG drawing"
    if text.startswith((b"<!doctype", b"<html")):
        return "a web page"
    return "text" if all(32 <= b < 127 or b in b"\t\r\n" for b in head) else "a file of unknown type"
