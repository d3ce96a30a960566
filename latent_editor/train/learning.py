"""The loop of networks that learn from examples alone: landmarks, eyes, colorizer, restorer.

One thread learns, one draws; all can be resumed.
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
#: Seconds between checkpoints, and between figures of what was learned.
SAVE_S, SHOW_S = 60.0, 300.0
#: Of the log's figures, how much stays of the mean at each step.
SMOOTH = 0.95

N = TypeVar("N", bound=nn.Module)
B = TypeVar("B")
#: The network, a batch, the precision → what to make small, and figures for the log.
Losses = Callable[[Any, Any, torch.dtype], tuple[Tensor, dict[str, float]]]


class Trainer(Generic[N]):
    """A network in training, its average, and the optimiser.

    Attributes:
        net: Learns.
        average: Its exponential average over steps, which is what is used in the end.
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
        """One step; ``done`` 0..1 is how much of the planned time is over. Returns figures for the log."""
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
    """The arguments of what learns from pictures alone; ``start`` says what the folder to start from has to hold."""
    parser.add_argument("--data", type=Path, required=True, help="a folder or a tar of pictures")
    parser.add_argument("--validation", type=Path, required=True, help="pictures that are never trained on")
    parser.add_argument("--start", type=Path, required=True, help=start)
    parser.add_argument("--run", type=Path, required=True, help="folder of this run's checkpoint, log and sheets")
    parser.add_argument("--resume", action="store_true", help="go on from the run's checkpoint where there is one")
    parser.add_argument("--minutes", type=float, default=60, help="how long to train; the rate falls towards the end")
    parser.add_argument("--rate", type=float, default=rate, help="highest learning rate (default %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the pictures")
    parser.add_argument("--export", type=Path, help="folder to write the averaged network to at the end")


def train(
    trainer: Trainer,
    draw: Callable[[torch.Generator], Any],
    run: Path,
    *,
    minutes: float,
    seed: int,
    resume: bool,
    show: Callable[[], dict[str, float]] | None = None,
) -> None:
    """Trains for so many minutes; keeps a checkpoint and a log in ``run``.

    Args:
        trainer: What learns.
        draw: Draws a batch.
        run: A folder, made where it is missing.
        minutes: How long; the rate falls towards the end.
        seed: Of the batches.
        resume: Whether to go on from the folder's checkpoint.
        show: Gives figures of what was learned, for the log; called every few minutes and at the end.
    """
    checkpoint = run / CHECKPOINT
    if resume and checkpoint.is_file():
        trainer.load_state_dict(torch.load(checkpoint, weights_only=True))
    run.mkdir(parents=True, exist_ok=True)
    start = saved = shown = time.monotonic()
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
        if show is not None and (done >= 1 or time.monotonic() - shown > SHOW_S):
            log(run, {"step": trainer.step, **_rounded(show())})
            shown = time.monotonic()
        if done >= 1:
            break
    batches.close()


def chance(generator: torch.Generator) -> random.Random:
    """Plain random numbers that follow from a batch's own: a run that goes on does not repeat those it began with."""
    return random.Random(int(torch.randint(1 << 31, (1,), generator=generator)))


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in figures.items()}


def _prefetched(draw: Callable[[torch.Generator], B], seed: int) -> Generator[B, None, None]:
    """Endless batches, drawn in a thread while the network learns from the one before."""
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
        drawing.join()  # a thread that still draws when the program ends takes it down


def log(run: Path, row: dict[str, Any]) -> None:
    """Prints figures and adds them to the run's log."""
    print(json.dumps(row), flush=True)
    with (run / LOG).open("a", encoding="utf-8") as f:
        f.write(json.dumps(row) + "\n")


def _save(trainer: Trainer, path: Path) -> None:
    data = io.BytesIO()
    torch.save(trainer.state_dict(), data)
    tensor_files.write_bytes(path, data.getvalue())
