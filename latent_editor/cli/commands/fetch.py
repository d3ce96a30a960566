"""``fetch [NAME]``: lists published third-party models, or downloads one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from latent_editor.cli.parser import Result
from latent_editor.cli.progress import ProgressBar, stop_on_interrupt

if TYPE_CHECKING:
    from latent_editor.checkpoints.zoo import Entry
    from latent_editor.cli.parser import Commands
    from latent_editor.core.values import Step


def add(commands: Commands) -> None:
    about = "List published third-party models, or download one."
    parser = commands.add_parser("fetch", help=about, description=about)
    parser.add_argument("name", nargs="?", metavar="NAME", help="model to download; without it, list all")
    parser.add_argument("--accept", action="store_true", help="accept the license of the model")
    parser.add_argument("--folder", metavar="FOLDER", help="target folder (default: where models are found by name)")
    parser.add_argument("--json", action="store_true", help="print one JSON object, last")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Result:
    return _list() if arguments.name is None else _fetch(arguments)


def _list() -> Result:
    from latent_editor.checkpoints import zoo

    known = zoo.entries()
    rows = [_row(entry) for entry in known]
    width = max([len(entry.name) for entry in known], default=4)
    lines = [f"{'name':<{width}}  fetched       size  title, license"]
    for entry, row in zip(known, rows, strict=True):
        size = "unknown" if row["size_bytes"] is None else f"{row['size_bytes'] / 1e6:.0f} MB"
        fetched = "yes" if row["path"] else ""
        lines.append(f"{entry.name:<{width}}  {fetched:<7} {size:>10}  {entry.title}, {entry.size_px} px")
        lines.append(f"{'':<{width}}  {'':<7} {'':>10}  {entry.license.name}")
    return Result({"models": rows}, "\n".join(lines))


def _row(entry: Entry) -> dict[str, Any]:
    from latent_editor.checkpoints import zoo

    path = zoo.path_of(entry.name)
    return {
        "name": entry.name,
        "title": entry.title,
        "kind": entry.kind,
        "size_px": entry.size_px,
        "size_bytes": path.stat().st_size if path is not None else entry.size_bytes,
        "sha256": entry.sha256,
        "licence": entry.license.name,
        "licence_link": entry.license.link,
        "address": entry.address,
        "page": entry.page,
        "path": None if path is None else str(path),
    }


def _fetch(arguments: argparse.Namespace) -> Result:
    from latent_editor.checkpoints import zoo

    entry = zoo.find_entry(arguments.name)
    with ProgressBar(f"Fetching {entry.name}") as bar, stop_on_interrupt() as stopped:

        def show(step: Step) -> bool:
            bar.show(step)
            return stopped.is_set()

        path = zoo.fetch(entry.name, accept=arguments.accept, folder=arguments.folder, on_step=show)
    found = zoo.fetch_record(path)
    by = entry.name if arguments.folder is None else str(path)
    checked = "verified" if entry.sha256 else "recorded; the publisher states none"
    lines = [
        f"{path}: {path.stat().st_size / 1e6:,.1f} MB",
        f"SHA-256 {found.get('sha256', 'unknown')} ({checked})",
        f"License: {entry.license.name}. {entry.license.statement}",
        f"Use it: --model {by}",
    ]
    data = {"name": entry.name, "path": str(path), "sha256": found.get("sha256"), "licence": entry.license.name}
    return Result(data, "\n".join(lines))
