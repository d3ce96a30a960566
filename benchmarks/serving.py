"""Shared by the benchmarks of the page: a running app, a browser, and simulated users."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import websockets
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
#: Rate of a mouse's position updates, and of a screen's pictures.
MOUSE_HZ = 60


@dataclass(frozen=True)
class App:
    """A running app."""

    address: str
    pid: int
    started: float  # as by time.perf_counter()

    def memory_mb(self) -> float:
        """Its resident memory."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(self.address + path, json.dumps(body).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextlib.contextmanager
def served(*, warm_s: float = 0.0, poll_s: float = 0.2, **environment: str) -> Iterator[App]:
    """Starts the app on a free port and waits until it answers.

    Args:
        warm_s: How long to wait after that, for parts that are built in the background.
        poll_s: Interval between the attempts.
        environment: Environment variables in addition to those of this process.
    """
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    started = time.perf_counter()
    command = [sys.executable, "app.py", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with contextlib.suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/editor/about").close()
                break
            time.sleep(poll_s)
        else:
            raise SystemExit("The app ended before it answered.")
        time.sleep(warm_s)
        yield App(f"http://127.0.0.1:{port}/", process.pid, started)
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


@dataclass
class User:
    """A simulated user who drags sliders of a random face, over the frame socket."""

    app: App
    seed: int
    frames: list[float] = field(default_factory=list)  # arrival times
    waits: list[float] = field(default_factory=list)  # seconds from newest slider values to their frame

    def __post_init__(self) -> None:
        session = self.app.post("editor/sessions")["id"]
        self.path = f"editor/s/{session}"
        state = self.app.post(f"{self.path}/random?seed={self.seed}")
        self.keys = [slider["key"] for slider in state["sliders"]]

    async def drag(self, *, seconds: float = math.inf, frames: int = sys.maxsize) -> None:
        """Moves the sliders MOUSE_HZ times a second, until either limit is reached."""
        self.frames, self.waits = [], []
        sent: dict[int, float] = {}
        end = time.perf_counter() + seconds
        address = self.app.address.replace("http", "ws") + f"{self.path}/drag"
        async with websockets.connect(address, compression=None) as line:
            moving = asyncio.create_task(self._move(line, sent))
            try:
                while len(self.frames) < frames and time.perf_counter() < end:
                    data = await asyncio.wait_for(line.recv(), 60)
                    if isinstance(data, str):
                        raise SystemExit(data)
                    self.shown = int.from_bytes(data[:4], "big")
                    await line.send(json.dumps({"shown": self.shown}))
                    self.frames.append(time.perf_counter())
                    self.waits.append(self.frames[-1] - sent[self.shown])
            finally:
                moving.cancel()

    async def _move(self, line: Any, sent: dict[int, float]) -> None:
        self.shown = 0
        for number in range(1, 1 << 31):
            strengths = {key: 2 * math.sin(number / 40 + i + self.seed) for i, key in enumerate(self.keys)}
            sent[number] = time.perf_counter()
            wish = {"sequence": number, "strengths": strengths, "moving": True}
            await line.send(json.dumps({"wish": wish, "shown": self.shown}))
            await asyncio.sleep(1 / MOUSE_HZ)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    p95 = statistics.quantiles(seconds, n=20)[18] if len(seconds) > 1 else seconds[0]
    return {"p50_ms": round(1e3 * statistics.median(seconds), 1), "p95_ms": round(1e3 * p95, 1)}


def write(name: str, report: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / name).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
