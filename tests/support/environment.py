"""Where the checkout lies, and what a test does for want of something."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


def skip_outside_ci(reason: str) -> None:
    """Skips a test for want of something that a user need not have; in CI the want is a failure."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"{reason}; in CI that is an error", pytrace=False)
    pytest.skip(reason)
