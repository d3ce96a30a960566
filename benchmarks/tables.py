"""Writes what was measured into its place in a page."""

from __future__ import annotations

import re
from pathlib import Path


def put(page: Path, place: str, content: str) -> None:
    """Replaces what stands between ``<!-- PLACE -->`` and ``<!-- /PLACE -->``; ends the program where they are not."""
    begin, end = f"<!-- {place} -->", f"<!-- /{place} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    text = page.read_text(encoding="utf-8")
    if not pattern.search(text):
        raise SystemExit(f"{page.name} has no place {begin} … {end}.")
    page.write_text(pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text), encoding="utf-8")
