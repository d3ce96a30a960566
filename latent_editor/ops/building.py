"""Compiles the kernels: one library per device type, in a folder named by a hash of everything that it depends on.

Compilers run in a child process, and a new library is first loaded and checked in another one. A library that passes is
published by renaming; its hash is written last, so that readers never see a partial library.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from latent_editor.core.tensor_files import write_bytes
from latent_editor.models.bundle import cache_folder
from latent_editor.ops.toolchain import BuildFailed, Toolchain, cpu_flags, cuda_architectures, toolchain_for

SOURCES = Path(__file__).parent / "csrc"
#: Time limits for compiling, and for checking the result, in seconds.
COMPILE_S, CHECK_S = 900, 120
LIBRARY, MANIFEST, FAILURE = "kernels.so", "kernels.json", "failed.json"
#: A failed build is retried after this time, in seconds; `latent-editor ops build` retries at once.
RETRY_S = 24 * 3600

OnProgress = Callable[[int, int, str], object]


@dataclass(frozen=True)
class Plan:
    """What to build for a device type, and where.

    Attributes:
        device: "cpu" or "cuda".
        sources: The files to compile.
        folder: The folder of the library.
    """

    device: str
    sources: tuple[Path, ...]
    folder: Path

    @property
    def library(self) -> Path:
        return self.folder / LIBRARY


def plan_for(device: str, sources: Path = SOURCES) -> Plan:
    """The plan for this machine, PyTorch version and sources; takes a millisecond.

    The hash does not include the compiler: libraries only use PyTorch's stable C interface, and a container image may
    be built with a compiler but run without.
    """
    names = {"cpu": ("*.cpp",), "cuda": ("cuda/*.cu", "cuda/*.cpp")}[device]
    compiled = tuple(sorted(file for name in names for file in sources.glob(name)))
    digest = hashlib.sha256()
    for file in sorted({*compiled, *sources.rglob("*.h"), *sources.rglob("*.cuh")}):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    for fact in (torch.__version__, str(torch.version.cuda), platform.system(), platform.machine(), *_target(device)):
        digest.update(fact.encode() + b"\0")
    return Plan(device, compiled, cache_folder() / "ops" / f"{device}-{digest.hexdigest()[:16]}")


def _target(device: str) -> Sequence[str]:
    """The target architecture: a cache may be shared by machines."""
    return cpu_flags() if device == "cpu" else cuda_architectures()


def is_published(plan: Plan) -> bool:
    """Whether the library exists and matches its hash."""
    try:
        manifest = json.loads((plan.folder / MANIFEST).read_text(encoding="utf-8"))
        return hashlib.sha256(plan.library.read_bytes()).hexdigest() == manifest["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def last_failure(plan: Plan) -> str | None:
    """Why the last build failed; None if it did not, or failed long ago."""
    try:
        record = json.loads((plan.folder / FAILURE).read_text(encoding="utf-8"))
        return str(record["reason"]) if abs(time.time() - record["time"]) < RETRY_S else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def build(plan: Plan, *, on_progress: OnProgress | None = None) -> None:
    """Compiles, checks and publishes the library, unless it already exists.

    A lock prevents concurrent builds; without lock support, the second process replaces the library by an equal one.

    Args:
        plan: From :func:`plan_for`.
        on_progress: Called with the number of finished steps, of all steps, and a description.

    Raises:
        BuildFailed: with the reason, which is also saved next to the library.
        OSError: the folder is not writable.
    """
    plan.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(plan.folder / "lock"):
        if is_published(plan):
            return
        _remove_leftovers(plan.folder)
        workspace = Path(tempfile.mkdtemp(dir=plan.folder, prefix="build-"))
        try:
            library = _compile(plan, toolchain_for(plan.device), workspace, on_progress)
            _check(plan.device, library)
            digest = hashlib.sha256(library.read_bytes()).hexdigest()
            os.replace(library, plan.library)
            about = {"sha256": digest, "torch": torch.__version__, "built": time.strftime("%Y-%m-%d %H:%M:%S")}
            write_bytes(plan.folder / MANIFEST, json.dumps(about).encode())
            (plan.folder / FAILURE).unlink(missing_ok=True)
        except BuildFailed as e:
            if not e.interrupted:
                write_bytes(plan.folder / FAILURE, json.dumps({"reason": str(e), "time": time.time()}).encode())
            raise
        finally:
            shutil.rmtree(workspace, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Removes leftovers of killed builds; the lock excludes concurrent builds."""
    for left in folder.glob("build-*"):
        shutil.rmtree(left, ignore_errors=True)


def _compile(plan: Plan, tools: Toolchain, workspace: Path, on_progress: OnProgress | None) -> Path:
    """Runs ninja. Returns the unchecked library."""
    library = workspace / LIBRARY
    (workspace / "build.ninja").write_text(tools.ninja_file(plan.sources, library), encoding="utf-8")
    with _compilers(tools, workspace) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            step = re.match(r"\[(\d+)/(\d+)\] (.*)", line)
            if step and on_progress is not None:
                on_progress(int(step[1]), int(step[2]), step[3].strip())
        code = process.wait()
    if code != 0:
        errors = [line.strip() for line in lines if re.search(r"\b(error|fatal)\b", line, re.IGNORECASE)]
        reason = (errors or [line.strip() for line in lines[-1:]] or [f"exit code {code}"])[0][:300]
        # An error message would recur; a killed compiler may succeed next time.
        killed = not errors or any(re.search(r"\b(killed|terminated|interrupted)\b", e, re.IGNORECASE) for e in errors)
        raise BuildFailed(f"the compiler failed: {reason}", interrupted=killed)
    return library


@contextlib.contextmanager
def _compilers(tools: Toolchain, workspace: Path) -> Iterator[subprocess.Popen[str]]:
    """Runs ninja in a process group that is killed at the end of the block or at the time limit."""
    process = subprocess.Popen(
        [tools.ninja, "-j", str(max(min((os.cpu_count() or 2) - 1, 4), 1))],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        cwd=workspace, text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    late = threading.Timer(COMPILE_S, _end_group, [process])
    late.daemon = True
    late.start()
    try:
        yield process
    finally:
        late.cancel()
        if process.poll() is None:
            _end_group(process)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _end_group(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _check(device: str, library: Path) -> None:
    """Loads the library in a child process, and compares each operation with its reference.

    Raises:
        BuildFailed: it does not load, gives wrong results, or crashes.
    """
    command = [sys.executable, "-m", "latent_editor.ops.checking", device, str(library)]
    try:
        done = subprocess.run(
            command, env=child_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=CHECK_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired as e:
        raise BuildFailed(f"the compiled library did not finish its check within {CHECK_S} s") from e
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise BuildFailed(f"the compiled library does not work here: {lines[-1][:300]}")


def child_environment() -> dict[str, str]:
    """The environment of a child process that imports this package."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "LATENT_EDITOR_OPS": "reference"}


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a file lock, which the operating system releases if the process dies."""
    with path.open("w", encoding="utf-8") as file:
        try:
            import fcntl
        except ImportError:  # not a POSIX system
            yield
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def background_command(device: str) -> list[str]:
    """The command that runs :func:`build_quietly` in a child process."""
    code = f"from latent_editor.ops.building import build_quietly; raise SystemExit(build_quietly({device!r}))"
    return [sys.executable, "-c", code]


def build_quietly(device: str) -> int:
    """Builds at low priority. Returns 0 for success, 2 for failure, 3 for an interrupted build."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)
    try:
        build(plan_for(device))
    except BuildFailed as e:
        print(e)
        return 3 if e.interrupted else 2
    return 0
