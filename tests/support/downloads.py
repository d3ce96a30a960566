"""What the download tests share."""

from __future__ import annotations

import hashlib
from pathlib import Path

from latent_editor.checkpoints.downloads import TransferPolicy

DATA = bytes(range(256)) * 4096  # 1 MiB
OTHER = DATA[::-1]
SHA = hashlib.sha256(DATA).hexdigest()
QUICK = TransferPolicy(max_stalled_attempts=3, initial_delay_s=0.001, timeout_s=5)


def visible(folder: Path) -> list[str]:
    """Names of the files in a folder, except hidden ones."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
