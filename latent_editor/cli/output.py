"""Where a command writes what it made."""

from __future__ import annotations

import os
from pathlib import Path

from latent_editor.core.errors import BadValue

PICTURE_SUFFIX, LATENT_SUFFIX = ".png", ".latent"


def check_output(path: str, *suffixes: str) -> Path:
    """Finds out before the long work whether its result can be written.

    Args:
        path: Where to write.
        suffixes: What the name may end in; none allows everything.

    Raises:
        BadValue: another ending, or a place where no file can be written.
    """
    output = Path(path)
    if suffixes and output.suffix.lower() not in suffixes:
        raise BadValue(
            f"The output {output.name!r} has another ending than {' or '.join(suffixes)}. Choose one of these."
        )
    if output.is_dir():
        raise BadValue(f"The output {path!r} is a folder; expected the name of a file.")
    above = next(folder for folder in output.resolve().parents if folder.exists())  # missing folders will be made
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise BadValue(f"The output {path!r} cannot be written into {str(above)!r}. Choose another place.")
    return output


def check_output_folder(path: str) -> Path:
    """Like :func:`check_output`, for a folder, which need not exist.

    Raises:
        BadValue: there is a file of this name, or a place where no folder can be made.
    """
    output = Path(path)
    if output.exists() and not output.is_dir():
        raise BadValue(f"The output {path!r} is a file; expected a folder. Choose another place.")
    above = next(folder for folder in (output.resolve(), *output.resolve().parents) if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise BadValue(f"The output {path!r} cannot be written into {str(above)!r}. Choose another place.")
    return output
