"""Compiles the kernels: one library for a kind of device, in a folder named by all that it depends on.

Everything that can go wrong with a compiler happens in other processes: ninja and the compilers run in one, the first
loading of what they made in another. Only a library that passed both is published, by renaming; its digest is written
last, so that a reader never sees half a library.
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
#: Longest time that the compilers may take, and the check of what they made.
COMPILE_S, CHECK_S = 900, 120
LIBRARY, MANIFEST, FAILURE = "kernels.so", "kernels.json", "failed.json"
#: A compiler that failed is asked again after this time; `latent-editor ops build` asks at once.
RETRY_S = 24 * 3600

OnProgress = Callable[[int, int, str], object]


@dataclass(frozen=True)
class Plan:
    """What is built for a kind of device, and where it is kept.

    Attributes:
        device: "cpu" or "cuda".
        sources: The files that are compiled.
        folder: Where the library is, or will be.
    """

    device: str
    sources: tuple[Path, ...]
    folder: Path

    @property
    def library(self) -> Path:
        return self.folder / LIBRARY


def plan_for(device: str, sources: Path = SOURCES) -> Plan:
    """The plan for this machine, this PyTorch and these sources; costs a millisecond.

    The compiler is no part of the name: a library speaks to PyTorch through its stable C interface only, and an image
    may be built with a compiler and run without.
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
    """What the instructions depend on: a cache may be shared by machines."""
    return cpu_flags() if device == "cpu" else cuda_architectures()


def published(plan: Plan) -> bool:
    """Whether the library is there, whole, and as it was written."""
    try:
        manifest = json.loads((plan.folder / MANIFEST).read_text(encoding="utf-8"))
        return hashlib.sha256(plan.library.read_bytes()).hexdigest() == manifest["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def last_failure(plan: Plan) -> str | None:
    """Why the last build failed, unless that is long ago; None where none did."""
    try:
        record = json.loads((plan.folder / FAILURE).read_text(encoding="utf-8"))
        return str(record["reason"]) if abs(time.time() - record["time"]) < RETRY_S else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def build(plan: Plan, *, on_progress: OnProgress | None = None) -> None:
    """Compiles, checks and publishes the library; returns at once where it is there already.

    Two processes that build the same wait for each other; where the system has no locks both build, and the second
    replaces the first's library by an equal one.

    Args:
        plan: From :func:`plan_for`.
        on_progress: Told of the steps done, of all steps, and of the step.

    Raises:
        BuildFailed: with the reason, which is also kept beside the library.
        OSError: the folder cannot be written.
    """
    plan.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(plan.folder / "lock"):
        if published(plan):
            return
        _sweep(plan.folder)
        workplace = Path(tempfile.mkdtemp(dir=plan.folder, prefix="build-"))
        try:
            made = _compile(plan, toolchain_for(plan.device), workplace, on_progress)
            _check(plan.device, made)
            digest = hashlib.sha256(made.read_bytes()).hexdigest()
            os.replace(made, plan.library)
            about = {"sha256": digest, "torch": torch.__version__, "built": time.strftime("%Y-%m-%d %H:%M:%S")}
            write_bytes(plan.folder / MANIFEST, json.dumps(about).encode())
            (plan.folder / FAILURE).unlink(missing_ok=True)
        except BuildFailed as e:
            if not e.interrupted:
                write_bytes(plan.folder / FAILURE, json.dumps({"reason": str(e), "time": time.time()}).encode())
            raise
        finally:
            shutil.rmtree(workplace, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Removes what killed builds left behind; nobody else is building, for this process holds the lock."""
    for left in folder.glob("build-*"):
        shutil.rmtree(left, ignore_errors=True)


def _compile(plan: Plan, tools: Toolchain, workplace: Path, on_progress: OnProgress | None) -> Path:
    """Runs ninja. Returns the library, not yet checked."""
    made = workplace / LIBRARY
    (workplace / "build.ninja").write_text(tools.ninja_file(plan.sources, made), encoding="utf-8")
    with _compilers(tools, workplace) as process:
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
        # A compiler that says what is wrong says so again; one that was killed does not.
        killed = not errors or any(re.search(r"\b(killed|terminated|interrupted)\b", e, re.IGNORECASE) for e in errors)
        raise BuildFailed(f"the compiler failed: {reason}", interrupted=killed)
    return made


@contextlib.contextmanager
def _compilers(tools: Toolchain, workplace: Path) -> Iterator[subprocess.Popen[str]]:
    """ninja and its children, as a group that ends with the block or with the time limit."""
    process = subprocess.Popen(
        [tools.ninja, "-j", str(max(min((os.cpu_count() or 2) - 1, 4), 1))],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        cwd=workplace, text=True, errors="replace", start_new_session=True,
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
    """Loads the library in a process of its own, and compares each operation with its reference there.

    Raises:
        BuildFailed: it does not load, does not agree, or takes its process down.
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
    """For a child process that imports this package, wherever it was imported from."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "LATENT_EDITOR_OPS": "reference"}


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a lock that the system lets go of when its process ends, however that ends."""
    with path.open("w", encoding="utf-8") as file:
        try:
            import fcntl
        except ImportError:  # not a POSIX system
            yield
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def background_command(device: str) -> list[str]:
    """The command that builds what :func:`plan_for` plans, and ends with the exit code of :func:`build_quietly`."""
    code = f"from latent_editor.ops.building import build_quietly; raise SystemExit(build_quietly({device!r}))"
    return [sys.executable, "-c", code]


def build_quietly(device: str) -> int:
    """Builds behind all other work. Returns 0, 2 for a build that failed, 3 for one that was stopped."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)
    try:
        build(plan_for(device))
    except BuildFailed as e:
        print(e)
        return 3 if e.interrupted else 2
    return 0
