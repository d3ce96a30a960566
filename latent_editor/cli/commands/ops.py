"""``ops``: shows which operations use compiled kernels; ``ops build`` compiles them."""

from __future__ import annotations

import argparse
import functools
import time
from typing import TYPE_CHECKING

from latent_editor.cli.parser import Result
from latent_editor.cli.progress import ProgressBar

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands
    from latent_editor.ops.kernels import Status

#: Exit code of a failed build.
BROKEN = 1


def add(commands: Commands) -> None:
    about = "Show which operations use compiled kernels, and why."
    parser = commands.add_parser("ops", help=about, description=about)
    parser.add_argument("--json", action="store_true", help="print one JSON object, last")
    parser.set_defaults(run=run)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    about = "Compile the kernels now instead of in the background at first use."
    build = actions.add_parser("build", help=about, description=about)
    build.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="target device (default: all available)"
    )
    build.add_argument("--json", action="store_true", help="print one JSON object, last")
    build.set_defaults(run=run_build)


def run(arguments: argparse.Namespace) -> Result:
    from latent_editor.ops.kernels import statuses

    found = statuses()
    return Result({"ops": [_data(s) for s in found]}, "\n".join(_line(s) for s in found))


def run_build(arguments: argparse.Namespace) -> Result:
    import torch

    from latent_editor.ops import building
    from latent_editor.ops.toolchain import BuildFailed

    devices = ["cpu", *(["cuda"] if torch.version.cuda else [])] if arguments.device == "auto" else [arguments.device]
    rows, lines, failed = [], [], False
    for device in devices:
        started = time.perf_counter()
        plan = building.plan_for(device)
        try:
            with ProgressBar(f"Compiling kernels ({device.upper()})") as bar:
                building.build(plan, on_progress=functools.partial(_show, bar, started))
            seconds = time.perf_counter() - started
            rows.append({"device": device, "ok": True, "library": str(plan.library), "seconds": round(seconds, 1)})
            lines.append(f"{device.upper():<5} ready: {plan.library}")
        except (BuildFailed, OSError) as e:
            failed = True
            rows.append({"device": device, "ok": False, "reason": str(e)})
            lines.append(f"{device.upper():<5} failed: {e}. The references run instead, more slowly.")
    return Result({"ok": not failed, "builds": rows}, "\n".join(lines), exit_code=BROKEN if failed else 0)


def _show(bar: ProgressBar, started: float, done: int, steps: int, what: str) -> None:
    from latent_editor.core.values import Step

    # One more than ninja's steps: the check of the library.
    bar.show(Step(done, steps + 1, time.perf_counter() - started, done / (steps + 1)))


def _data(status: Status) -> dict[str, object]:
    return {"device": status.device, "state": status.state, "reason": status.reason, "kernels": list(status.used)}


def _line(status: Status) -> str:
    what = "reference (PyTorch)" if not status.used else f"kernels for {', '.join(status.used)}"
    return f"{status.device.upper():<5} {what}\n      {status.state}: {status.reason}"
