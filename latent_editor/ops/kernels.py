"""Loads the compiled kernels, and decides which operations use them.

Importing neither compiles nor loads anything. The first use of an operation loads an existing library, or builds it in
the background while the references run. Failures never reach the caller: they cost speed, log one warning, and are
shown by `latent-editor doctor`.
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

#: Environment variable; "reference" disables the kernels.
VARIABLE = "LATENT_EDITOR_OPS"
DEVICES = ("cpu", "cuda")
#: States of a library. "off": disabled, or PyTorch does not support the device; "unused": not requested yet.
OFF, UNUSED, BUILDING, READY, FAILED = "off", "unused", "building", "ready", "failed"


@dataclass(frozen=True)
class Status:
    """The state of the kernels for a device type.

    Attributes:
        device: "cpu" or "cuda".
        state: One of the five states.
        reason: Why the kernels are not used, or the path of the library.
        used: Operations that use a kernel.
    """

    device: str
    state: str
    reason: str
    used: tuple[str, ...] = ()


class Kernels:
    """The kernel library for one device type.

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

    def request(self) -> bool:
        """Whether the kernels are ready. The first call loads the library, or starts building it."""
        if self.state == UNUSED:
            with self._lock:
                if self.state == UNUSED:
                    self._guarded(lambda: self._find(build=True))
        return self.ready

    def status(self) -> Status:
        """The current state; loads an existing library, but does not build one."""
        with self._lock:
            if self.state == UNUSED:
                self._guarded(lambda: self._find(build=False))
            used = tuple(op for op in USED[self.device] if registered(op, self.device)) if self.ready else ()
            return Status(self.device, self.state, self.reason, used)

    def _find(self, *, build: bool) -> None:
        plan = building.plan_for(self.device)
        if building.is_published(plan):
            self._load(plan)
        elif (reason := building.last_failure(plan)) is not None:
            self._fail(reason, logged=not build or _was_logged(plan))  # `status` callers show the reason themselves
        elif build:
            self.state, self.reason = BUILDING, "the kernels are being built; the references run until then"
            self.thread = threading.Thread(target=self._build, args=[plan], name="build kernels", daemon=True)
            self.thread.start()

    def _build(self, plan: building.Plan) -> None:
        """Waits for the build process, which continues if this process ends early."""
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
        if building.is_published(plan):
            self._load(plan)
        else:
            reason = building.last_failure(plan) if code in (0, 2) else None
            lines = (plan.folder / "build.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            last_line = " ".join(lines[-1:])[:300]
            self._fail(
                reason or f"the build ended early (exit code {code}) {last_line}".strip(), logged=_was_logged(plan)
            )

    def _load(self, plan: building.Plan) -> None:
        torch.ops.load_library(str(plan.library))
        self.state, self.reason, self.ready = READY, str(plan.library), True

    def _guarded(self, work: Callable[[], None]) -> None:
        """Runs ``work``; an exception becomes the reason why there are no kernels."""
        try:
            work()
        except OSError as e:
            self._fail(f"{e.filename or 'the library'} cannot be used ({e.strerror or e})", logged=False)
        except Exception as e:  # kernels are optional: never fail because of them
            self._fail(f"{type(e).__name__}: {e}", logged=False)

    def _fail(self, reason: str, *, logged: bool) -> None:
        self.state, self.reason = FAILED, reason
        if not logged:
            logging.getLogger("latent_editor.ops").warning(
                "The compiled kernels for the %s are not used: %s. Everything works, more slowly. `latent-editor ops` "
                "shows the state, `latent-editor ops build` tries again, %s=reference turns them off.",
                self.device.upper(), reason, VARIABLE,
            )  # fmt: skip


def _was_logged(plan: building.Plan) -> bool:
    """Whether this failure was already logged; marks it as logged."""
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
    """The kernels for a device type, a singleton."""
    return Kernels(device)


def statuses() -> list[Status]:
    """The state of the kernels for each device type."""
    return [kernels_for(device).status() for device in DEVICES]


def use_kernel(op: str, x: Tensor) -> bool:
    """Whether to use the kernel of ``op`` for a tensor like ``x`` (never under torch.compile, which is faster).

    Args:
        op: The name of an operation.
        x: Its main input.
    """
    device = x.device.type
    if device not in DTYPES or x.dtype not in DTYPES[device] or op not in USED[device]:
        return False
    return kernels_for(device).request() and not torch.compiler.is_compiling()


def registered(op: str, device: str) -> bool:
    """Whether a loaded library has a kernel of ``op`` that supports this processor."""
    return _registered(op, device.upper(), len(torch.ops.loaded_libraries))


@functools.cache
def _registered(op: str, key: str, libraries: int) -> bool:
    """Queries PyTorch, which is slow, once for each number of loaded libraries."""
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(f"latent_editor::{op}", key))


def needs_gradient(*tensors: Tensor | None) -> bool:
    """Whether autograd records operations on these tensors."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def has_supported_format(x: Tensor) -> bool:
    """Whether x [N, C, H, W] is dense, in one of the two memory formats that kernels support."""
    return x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)
