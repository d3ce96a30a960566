"""``doctor``: checks the installation and a model."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from latent_editor.cli.parser import Result, add_command
from latent_editor.doctor import examine

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands


def add(commands: Commands) -> None:
    add_command(commands, "doctor", run, about="Check the installation and a model, and suggest fixes.")


def run(arguments: argparse.Namespace) -> Result:
    findings = examine(arguments.model)
    broken = any(f.essential and f.advice for f in findings)
    lines = []
    for f in findings:
        lines.append(f"{'ok  ' if f.advice is None else 'FAIL' if f.essential else 'note'}  {f.name:<22} {f.value}")
        if f.advice is not None:
            lines.append(f"{'':6}{'':22} → {f.advice}")
    lines.append("Something essential is missing." if broken else "Ready to edit photos.")
    data = {
        "ok": not broken,
        "problems": [f"{f.name}: {f.value}. {f.advice}" for f in findings if f.advice is not None],
        "findings": {f.name: f.value for f in findings},
    }
    return Result(data, "\n".join(lines), exit_code=int(broken))
