"""Checks the installation and a model, and suggests fixes.

The checks are independent: one that fails becomes a finding, so that the report is complete when it is needed most.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from latent_editor.core.errors import LatentEditorError, UnknownModel
from latent_editor.version import __version__

REINSTALL = "Run `scripts/app` once, or `pip install -r requirements.txt`."
RESTORE = "In a checkout of the project, `git checkout -- weights` restores it."

#: Distribution, module to import, whether it is essential.
PACKAGES = (
    ("torch", "torch", True),
    ("torchvision", "", False),  # imported by open_clip; see `networks.torchvision_shim`
    ("numpy", "numpy", True),
    ("pillow", "PIL", True),
    ("safetensors", "safetensors", True),
    ("opencv-python-headless", "cv2", True),
    ("av", "av", False),
    ("scikit-learn", "sklearn", False),
    ("open-clip-torch", "", False),
    ("gradio", "gradio", False),
)

#: The purpose of each file of a model.
MODEL_FILES = {
    "generator.safetensors": "everything",
    "encoder.safetensors": "the instant first reconstruction",
    "discriminator.safetensors": "the perceptual distance of inversions",
    "landmarks.safetensors": "exact alignment",
    "directions.safetensors": "the named sliders",
    "clip.json": "sliders from text",
    "clip.safetensors": "sliders from text",
    "text_statistics.safetensors": "sliders from text within seconds",
    "likeness.safetensors": "the likeness meter within a second",
    "colorizer.safetensors": "colorizing grayscale photos",
    "restorer.safetensors": "repairs within a second",
}
ENOUGH_BYTES = 1 << 30


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: What was checked.
        value: The result.
        advice: What to do about a problem; None if there is none.
        essential: Whether nothing works without it.
    """

    name: str
    value: str
    advice: str | None = None
    essential: bool = False


def examine(model: str = "portraits") -> list[Finding]:
    """Examines this installation and one model. Never raises.

    Args:
        model: A name in ``weights/``, or the path of a model folder or file.
    """
    checks: list[tuple[str, Callable[[], list[Finding]]]] = [
        ("python", _python),
        ("packages", _packages),
        ("device", _device),
        ("memory", _memory),
        ("model", lambda: _model_files(model)),
        ("render", lambda: _rendering(model)),
        ("CLIP", lambda: _clip(model)),
    ]
    return [finding for name, check in checks for finding in _guarded(name, check)]


def _guarded(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    essential = name in ("model", "render")
    try:
        return check()
    except LatentEditorError as e:
        return [Finding(name, "missing", str(e), essential)]
    except ModuleNotFoundError as e:
        return [Finding(name, f"the package {e.name} is missing", REINSTALL, essential)]
    except Exception as e:  # whatever is broken, still run the other checks
        return [Finding(name, f"failed: {type(e).__name__}: {e}", REINSTALL, essential)]


def _python() -> list[Finding]:
    advice = None if sys.version_info >= (3, 11) else "Install Python 3.11 or newer."
    system = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return [Finding("latent-editor", __version__), Finding("python", system, advice, True)]


def _packages() -> list[Finding]:
    return [_package(*package) for package in PACKAGES]


def _package(distribution: str, module: str, essential: bool) -> Finding:
    try:
        version = importlib.metadata.version(distribution)
        if module:
            importlib.import_module(module)
        return Finding(distribution, version)
    except importlib.metadata.PackageNotFoundError:
        return Finding(distribution, "not installed", REINSTALL, essential)
    except Exception as e:  # installed, but does not load: a missing system library, a wrong build
        return Finding(distribution, f"does not load: {type(e).__name__}: {e}", REINSTALL, essential)


def _device() -> list[Finding]:
    import torch

    from latent_editor.generators.pictures import fastest_dtype

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    dtype = str(fastest_dtype(device)).removeprefix("torch.")
    return [
        Finding("device", f"{device.type} ({name})"),
        Finding("bf16", "yes" if dtype == "bfloat16" else "no"),
        Finding("renders in", dtype),
        Finding("threads", f"{torch.get_num_threads()} of {os.cpu_count()} processors"),
        *_ops(device.type),
    ]


def _ops(device: str) -> list[Finding]:
    from latent_editor.ops.kernels import FAILED, READY, kernels_for

    status = kernels_for(device).status()
    if status.state == READY:
        return [Finding("ops", f"compiled kernels ({', '.join(status.used)})")]
    advice = None
    if status.state == FAILED:
        advice = "Everything works, but more slowly. `latent-editor ops build` retries."
    return [Finding("ops", f"reference (PyTorch): {status.reason}", advice)]


def _memory() -> list[Finding]:
    free = free_bytes()
    if free is None:
        return [Finding("free memory", "unknown")]
    advice = None if free >= ENOUGH_BYTES else "Close other programs: about 1 GB is needed."
    return [Finding("free memory", f"{free / 2**30:.1f} GB", advice)]


def free_bytes() -> int | None:
    """Memory available without swapping, or None if unknown."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None


def _model_files(model: str) -> list[Finding]:
    from latent_editor.models.bundle import FALLBACK_MODEL, open_bundle

    try:
        bundle = open_bundle(model)
    except UnknownModel:
        return _own_model(model)
    findings = [Finding("model", f"{bundle.name} in {bundle.folder}")]
    for name, purpose in MODEL_FILES.items():
        if bundle.has(name):
            size = bundle.file(name, purpose).stat().st_size
            origin = "" if bundle.has(name, own=True) else f", shared by {FALLBACK_MODEL}"
            findings.append(Finding(name, (f"{size / 1e6:.1f} MB" if size > 1e5 else f"{size:,} bytes") + origin))
        else:
            advice = f"Needed for {purpose}. {RESTORE}"
            findings.append(Finding(name, "missing", advice, name == "generator.safetensors"))
    return findings


def _own_model(model: str) -> list[Finding]:
    """A single-file model: what has been computed for it, and where that is stored."""
    import latent_editor as le
    from latent_editor.preparation import phases

    g = le.load_generator(model)
    left = [phase.label for phase in phases(g)]
    there = g.bundle.folder is not None and g.bundle.folder.is_dir()
    advice = f"The first use does it, or `latent-editor prepare --model {model}` in advance."
    return [
        Finding("model", f"{g.name}, {g.size_px} px, {g.fingerprint}"),
        Finding("cache", f"{g.bundle.folder}{'' if there else ' (not there yet)'}"),
        Finding("prepared", f"no; left: {', '.join(left).lower()}", advice) if left else Finding("prepared", "yes"),
    ]


def _rendering(model: str) -> list[Finding]:
    import latent_editor as le

    g = le.load_generator(model)
    latent = le.random_latent(g, 0)
    le.render(g, latent)  # warm-up
    started = time.perf_counter()
    for _ in range(5):
        le.render(g, latent)
    return [Finding("render", f"{g.size_px} px in {(time.perf_counter() - started) * 200:.0f} ms")]


def _clip(model: str) -> list[Finding]:
    import latent_editor as le
    from latent_editor.networks.clip import load_clip
    from latent_editor.networks.faces import faces_known

    g = le.load_generator(model)
    if not faces_known(g):
        return [Finding("CLIP", "shared if the model shows faces, which its preparation determines")]
    load_clip(g)
    return [Finding("CLIP", "loads")]
