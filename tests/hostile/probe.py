"""Opens every file of a folder with ``inspect`` and ``load_generator``, and prints the results as lines of JSON.

Runs in its own process, to measure the memory of the readers: ``python probe.py FOLDER``.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
from pathlib import Path

import torch

from latent_editor.cli import main
from latent_editor.core.errors import BadModel
from latent_editor.generators import load_generator


def look(path: Path) -> dict[str, object]:
    """The output of the command, the exception of the loader, and the peak memory so far."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["inspect", str(path)])
    try:
        load_generator(path)
        error = "none"
    except BadModel as e:
        error = f"BadModel: {e}"
    except Exception as e:  # what must not happen, for the test to tell
        error = f"{type(e).__name__}: {e}"
    return {"code": code, "err": err.getvalue(), "error": error, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """Peak memory of this process; ru_maxrss would include the parent's on Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    torch.set_num_threads(1)
    for file in sorted(Path(sys.argv[1]).iterdir()):
        print(json.dumps({"file": file.name, **look(file)}), flush=True)
