"""Measures the time and memory to load a full-size checkpoint: ``python benchmarks/load_checkpoint.py``.

Writes a randomly initialized StyleGAN2 of FFHQ's size as an NVIDIA pickle (G_ema alone, and a whole training snapshot)
and as a safetensors file of this project, and loads each in its own process with two threads. The results go to
``benchmarks/results/load_checkpoint.json``. Target: under 5 s and 1 GB for the first.
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "load_checkpoint.json"
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

FFHQ = {
    "z_dim": 512, "c_dim": 0, "w_dim": 512, "img_resolution": 1024, "img_channels": 3,
    "mapping_kwargs": {"num_layers": 8},
    "synthesis_kwargs": {"channel_base": 32768, "channel_max": 512, "num_fp16_res": 4, "conv_clamp": 256},
}  # fmt: skip

CHILD = """
import json, sys, time
def peak_mb():  # of this process, with mapped files; ru_maxrss would include the parent's
    return next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
start = time.perf_counter()
import torch
from latent_editor.generators import load_generator
torch.set_num_threads(2)
imported = time.perf_counter()
before = peak_mb()
g = load_generator(sys.argv[1])
done = time.perf_counter()
after = peak_mb()
print(json.dumps({
    "import_s": round(imported - start, 2), "open_s": round(done - imported, 2),
    "peak_mb": after, "peak_before_mb": before,
    "size_px": g.size_px, "parameters": sum(p.numel() for p in g.parameters()),
}))
"""


def opened(path: Path, runs: int = 3) -> dict[str, object]:
    """Loads a file several times and keeps the fastest run, because the machine may be busy."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"}
    found = []
    for _ in range(runs):
        command = [sys.executable, "-c", CHILD, str(path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    best = min(found, key=lambda row: row["open_s"])
    return {"file_mb": round(path.stat().st_size / 1e6, 1), **best, "all_open_s": [row["open_s"] for row in found]}


def main() -> None:
    from hostile.nvidia import nvidia_pickle

    from latent_editor.generators import construction, save_generator

    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        g = construction.random("stylegan2", FFHQ)
        state = {name: tensor.detach() for name, tensor in g.state_dict().items()}
        files = {
            "nvidia, G_ema alone": ("G_ema",),
            "nvidia, G and G_ema": ("G", "D", "G_ema", "augment_pipe"),
        }
        for name, parts in files.items():
            path = Path(folder) / "ffhq.pkl"
            path.write_bytes(nvidia_pickle(state, FFHQ, Path(folder) / "canary", parts=parts))
            rows[name] = opened(path)
            assert not (Path(folder) / "canary").exists()
        path = Path(folder) / "ffhq.safetensors"
        save_generator(g, path)
        rows["latent-editor, half precision"] = opened(path)
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    report = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine,
        "wanted": {"open_s": 5, "peak_mb": 1000},
        "files": rows,
    }
    report["files"] = rows
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
