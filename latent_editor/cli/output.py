"""Checks of output paths."""

from __future__ import annotations

import os
from pathlib import Path

from latent_editor.core.errors import BadValue

PICTURE_SUFFIX, LATENT_SUFFIX = ".png", ".latent"


def check_output(path: str, *suffixes: str) -> Path:
    """Checks, before any slow work, that an output file can be written.

    Args:
        path: The output file.
        suffixes: Allowed suffixes; none allows all.

    Raises:
        BadValue: another suffix, or the file cannot be written.
    """
    output = Path(path)
    if suffixes and output.suffix.lower() not in suffixes:
        raise BadValue(f"The output {output.name!r} must end in {' or '.join(suffixes)}.")
    if output.is_dir():
        raise BadValue(f"The output {path!r} is a folder; expected the name of a file.")
    above = next(folder for folder in output.resolve().parents if folder.exists())  # missing folders will be created
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise BadValue(f"The output {path!r} cannot be created in {str(above)!r}. Choose another folder.")
    return output


def check_output_folder(path: str) -> Path:
    """Like :func:`check_output`, for a folder, which need not exist.

    Raises:
        BadValue: a file with this name exists, or the folder cannot be created.
    """
    output = Path(path)
    if output.exists() and not output.is_dir():
        raise BadValue(f"The output {path!r} is a file; expected a folder.")
    above = next(folder for folder in (output.resolve(), *output.resolve().parents) if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise BadValue(f"The output {path!r} cannot be created in {str(above)!r}. Choose another folder.")
    return output
