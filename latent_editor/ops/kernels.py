"""Which operations run as compiled kernels here, and why the others do not.

Nothing is compiled or loaded by importing. The first use of an operation looks for a library that was built before;
where there is none, it is built in the background while the references run, and takes over when it is ready. Nothing
that goes wrong on the way reaches the caller: it costs speed, one line in the log, and shows in `latent-editor doctor`.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.core.tensor_files import write_bytes
from latent_editor.ops import building
from latent_editor.ops.kernel_selection import DTYPES, USED

#: "reference" turns the kernels off.
VARIABLE = "LATENT_EDITOR_OPS"
DEVICES = ("cpu", "cuda")
#: The state of a library. "off": turned off, or PyTorch cannot use such a device; "unused": nothing has asked for it.
OFF, UNUSED, BUILDING, READY, FAILED = "off", "unused", "building", "ready", "failed"


@dataclass(frozen=True)
class Status:
    """What there is for a kind of device.

    Attributes:
        device: "cpu" or "cuda".
        state: One of the five above.
        reason: Why the kernels do not run, or where they are.
        used: The operations that run as kernels.
    """

    device: str
    state: str
    reason: str
    used: tuple[str, ...] = ()


class Kernels:
    """The library of kernels for one kind of device.

    Args:
        device: "cpu" or "cuda".
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.ready = False
        self.state, self.reason = UNUSED, "built at first use"
        self.thread: threading.Thread | None = None
        self._lock = threading.Lock()
        if os.environ.get(VARIABLE, "").lower() == "reference":
            self.state, self.reason = OFF, f"turned off by {VARIABLE}=reference"
        elif device == "cuda" and torch.version.cuda is None:
            self.state, self.reason = OFF, "this PyTorch is built without CUDA"

    def ask(self) -> bool:
        """Whether the kernels can be used now. The first call loads the library, or begins to build it."""
        if self.state == UNUSED:
            with self._lock:
                if self.state == UNUSED:
                    self._guarded(lambda: self._find(build=True))
        return self.ready

    def status(self) -> Status:
        """What there is; loads a library that was built before, and builds none."""
        with self._lock:
            if self.state == UNUSED:
                self._guarded(lambda: self._find(build=False))
            used = tuple(op for op in USED[self.device] if registered(op, self.device)) if self.ready else ()
            return Status(self.device, self.state, self.reason, used)

    def _find(self, *, build: bool) -> None:
        plan = building.plan_for(self.device)
        if building.published(plan):
            self._load(plan)
        elif (reason := building.last_failure(plan)) is not None:
            self._fail(reason, told=not build or _told(plan))  # whoever only looks is shown it anyway
        elif build:
            self.state, self.reason = BUILDING, "the kernels are being built, until then the references run"
            self.thread = threading.Thread(target=self._build, args=[plan], name="build kernels", daemon=True)
            self.thread.start()

    def _build(self, plan: building.Plan) -> None:
        """Waits for a process that builds, which goes on where this one ends early."""
        self._guarded(lambda: self._build_and_load(plan))

    def _build_and_load(self, plan: building.Plan) -> None:
        plan.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (plan.folder / "build.log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                building.background_command(self.device),
                env=building.child_environment(), cwd=plan.folder, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            code = process.wait()
        if building.published(plan):
            self._load(plan)
        else:
            reason = building.last_failure(plan) if code in (0, 2) else None
            lines = (plan.folder / "build.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            told = " ".join(lines[-1:])[:300]
            self._fail(reason or f"the build ended early (exit code {code}) {told}".strip(), told=_told(plan))

    def _load(self, plan: building.Plan) -> None:
        torch.ops.load_library(str(plan.library))
        self.state, self.reason, self.ready = READY, str(plan.library), True

    def _guarded(self, work: Callable[[], None]) -> None:
        """Runs ``work``; whatever it raises becomes the reason why there are no kernels."""
        try:
            work()
        except OSError as e:
            self._fail(f"{e.filename or 'the library'} cannot be used ({e.strerror or e})", told=False)
        except Exception as e:  # whatever it is, pictures can be made without
            self._fail(f"{type(e).__name__}: {e}", told=False)

    def _fail(self, reason: str, *, told: bool) -> None:
        self.state, self.reason = FAILED, reason
        if not told:
            logging.getLogger("latent_editor.ops").warning(
                "The compiled kernels for the %s are not used: %s. Everything works, more slowly. `latent-editor ops` "
                "shows the state, `latent-editor ops build` tries again, %s=reference turns them off.",
                self.device.upper(), reason, VARIABLE,
            )  # fmt: skip


def _told(plan: building.Plan) -> bool:
    """Whether a user was told of this failure already; from now on it counts as told."""
    path = plan.folder / building.FAILURE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("told"):
            return True
        write_bytes(path, json.dumps({**record, "told": True}).encode())
    except (OSError, ValueError, AttributeError):
        pass
    return False


@functools.cache
def kernels_for(device: str) -> Kernels:
    """The kernels for a kind of device, one object for this process."""
    return Kernels(device)


def statuses() -> list[Status]:
    """What there is for each kind of device."""
    return [kernels_for(device).status() for device in DEVICES]


def chosen(op: str, x: Tensor) -> bool:
    """Whether the kernel of ``op`` is loaded and wins for a tensor like ``x``; a compiler of PyTorch's own does better.

    Args:
        op: The name of an operation.
        x: The tensor that it works on.
    """
    device = x.device.type
    if device not in DTYPES or x.dtype not in DTYPES[device] or op not in USED[device]:
        return False
    return kernels_for(device).ask() and not torch.compiler.is_compiling()


def registered(op: str, device: str) -> bool:
    """Whether a loaded library has a kernel of ``op`` for a kind of device, and the processor all that it wants."""
    return _registered(op, device.upper(), len(torch.ops.loaded_libraries))


@functools.cache
def _registered(op: str, key: str, libraries: int) -> bool:
    """Asks PyTorch, which takes a while, once for so many loaded libraries: each may bring kernels."""
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(f"latent_editor::{op}", key))


def needs_gradient(*tensors: Tensor | None) -> bool:
    """Whether PyTorch records what is done with these."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def is_ordered(x: Tensor) -> bool:
    """Whether x [N, C, H, W] lies in memory in one of the two orders that kernels know, without gaps."""
    return x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)
