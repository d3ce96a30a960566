"""The supervised training loop of the landmark, eye, colorizer and restorer networks.

One thread trains while another prepares batches; every run can be resumed.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import math
import queue
import random
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from latent_editor.core import tensor_files

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
#: Seconds between checkpoints, and between validations.
SAVE_S, VALIDATE_S = 60.0, 300.0
#: Decay of the running means in the log.
SMOOTH = 0.95

N = TypeVar("N", bound=nn.Module)
B = TypeVar("B")
#: (network, batch, dtype) → the loss to minimize, and metrics for the log.
Losses = Callable[[Any, Any, torch.dtype], tuple[Tensor, dict[str, float]]]


class Trainer(Generic[N]):
    """A network in training, its moving average, and the optimizer.

    Attributes:
        net: The network being trained.
        average: Exponential moving average of its weights, which is exported.
        step: Steps so far.
    """

    def __init__(self, net: N, losses: Losses, rate: float, dtype: torch.dtype) -> None:
        self.net: N = net.to(memory_format=torch.channels_last).requires_grad_(True)  # type: ignore[call-overload]
        self.average: N = copy.deepcopy(self.net).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=rate, weight_decay=0.01, betas=(0.9, 0.98))
        self.losses = losses
        self.rate = rate
        self.dtype = dtype
        self.step = 0

    def learn(self, batch: Any, done: float) -> dict[str, float]:
        """One step at ``done`` (0..1) of the planned time. Returns metrics for the log."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * min(1, (self.step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * done) + 0.01)
        self.net.train()
        loss, report = self.losses(self.net, batch, self.dtype)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        keep = min(0.998, (self.step + 1) / (self.step + 10))
        for mean, new in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(new, 1 - keep)
        return report

    def state_dict(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"net": self.net, "average": self.average, "optimizer": self.optimizer}
        return {"step": self.step, **{k: v.state_dict() for k, v in parts.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = int(state["step"])
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])


def add_run_arguments(parser: argparse.ArgumentParser, *, rate: float, start: str) -> None:
    """Arguments of the parts that train on unlabeled images; ``start`` is the help text of ``--start``."""
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders or tars of images")
    parser.add_argument("--validation", type=Path, nargs="+", required=True, help="held-out images: folders or tars")
    parser.add_argument("--start", type=Path, required=True, help=start)
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoint, log and contact sheets")
    parser.add_argument("--resume", action="store_true", help="continue from the run's checkpoint if there is one")
    parser.add_argument(
        "--minutes", type=float, default=60, help="training time; the rate decays over it (default %(default)s)"
    )
    parser.add_argument("--rate", type=float, default=rate, help="peak learning rate (default %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the batches (default %(default)s)")
    parser.add_argument("--export", type=Path, help="folder for the averaged network at the end")


def train(
    trainer: Trainer,
    draw: Callable[[torch.Generator], Any],
    run: Path,
    *,
    minutes: float,
    seed: int,
    resume: bool,
    validate: Callable[[], dict[str, float]] | None = None,
) -> None:
    """Trains for ``minutes``, keeping a checkpoint and a log in ``run``.

    Args:
        trainer: The network and its optimizer.
        draw: Draws a batch, in a thread of its own.
        run: Output folder, created if missing.
        minutes: Training time; the learning rate decays over it.
        seed: Seed of the batches.
        resume: Whether to continue from the folder's checkpoint.
        validate: Returns metrics for the log; called every few minutes and at the end.
    """
    checkpoint = run / CHECKPOINT
    if resume and checkpoint.is_file():
        trainer.load_state_dict(torch.load(checkpoint, weights_only=True))
    run.mkdir(parents=True, exist_ok=True)
    start = saved = validated = time.monotonic()
    means: dict[str, float] = {}
    batches = _prefetched(draw, seed + trainer.step)
    for batch in batches:
        done = (time.monotonic() - start) / 60 / max(minutes, 1e-9)
        report = trainer.learn(batch, min(done, 1.0))
        means = {name: value + SMOOTH * (means.get(name, value) - value) for name, value in report.items()}
        if trainer.step % 100 == 0:
            log(run, {"step": trainer.step, "minutes": round(done * minutes, 2), **_rounded(means)})
        if done >= 1 or time.monotonic() - saved > SAVE_S:
            saved = time.monotonic()
            _save(trainer, checkpoint)
        if validate is not None and (done >= 1 or time.monotonic() - validated > VALIDATE_S):
            log(run, {"step": trainer.step, **_rounded(validate())})
            validated = time.monotonic()
        if done >= 1:
            break
    batches.close()


def batch_rng(generator: torch.Generator) -> random.Random:
    """A Python RNG seeded from the generator of a batch, so that a resumed run does not repeat earlier numbers."""
    return random.Random(int(torch.randint(1 << 31, (1,), generator=generator)))


def _rounded(metrics: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in metrics.items()}


def _prefetched(draw: Callable[[torch.Generator], B], seed: int) -> Generator[B, None, None]:
    """Endless batches, prepared in a thread while the network trains on the previous one."""
    ready: queue.Queue[B | BaseException] = queue.Queue(maxsize=2)
    stop = threading.Event()

    def keep_drawing() -> None:
        random = torch.Generator().manual_seed(seed)
        try:
            while not stop.is_set():
                batch: B | BaseException = draw(random)
                while not stop.is_set():
                    try:
                        ready.put(batch, timeout=0.5)
                        break
                    except queue.Full:
                        continue
        except BaseException as e:
            ready.put(e)

    drawing = threading.Thread(target=keep_drawing, daemon=True)
    drawing.start()
    try:
        while True:
            batch = ready.get()
            if isinstance(batch, BaseException):
                raise batch
            yield batch
    finally:
        stop.set()
        drawing.join()  # a thread still running at interpreter exit would crash it


def log(run: Path, row: dict[str, Any]) -> None:
    """Prints metrics and appends them to the run's log."""
    print(json.dumps(row), flush=True)
    with (run / LOG).open("a", encoding="utf-8") as f:
        f.write(json.dumps(row) + "\n")


def _save(trainer: Trainer, path: Path) -> None:
    data = io.BytesIO()
    torch.save(trainer.state_dict(), data)
    tensor_files.write_bytes(path, data.getvalue())
