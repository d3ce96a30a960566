"""Date, commit, machine and versions of a measurement: the header of each results file."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import torch


def environment(**machine: Any) -> dict[str, Any]:
    """Describes the environment of a measurement; ``machine`` adds fields to the machine's description."""
    root = Path(__file__).resolve().parent.parent
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit.stdout.strip(),
        "machine": {
            "cpu": platform.processor() or platform.machine(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
            "load": round(os.getloadavg()[0], 1),
            **machine,
        },
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
