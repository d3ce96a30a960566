"""What the benchmarks of the page share: the app on a port of its own, a browser, and visitors without a browser."""

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
#: A mouse reports its place about this often; so do browsers, once for each picture of the screen.
HAND_HZ = 60


@dataclass(frozen=True)
class App:
    """The app while it runs."""

    address: str
    pid: int
    started: float  # as by time.perf_counter()

    def memory_mb(self) -> float:
        """What it takes of the memory now."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024

    def asked(self, path: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(self.address + path, json.dumps(body).encode(), method="POST")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextlib.contextmanager
def served(*, warm_s: float = 0.0, poll_s: float = 0.2, **environment: str) -> Iterator[App]:
    """The app on a free port, once it answers.

    Args:
        warm_s: How long to wait after that, for what is built in the background.
        poll_s: How often it is asked whether it is there.
        environment: Settings beside those of this process.
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
class Visitor:
    """Somebody who drags a slider of a face of nobody, over the connection that the page uses."""

    app: App
    seed: int
    frames: list[float] = field(default_factory=list)  # when each came
    waits: list[float] = field(default_factory=list)  # seconds from the newest values to their picture

    def __post_init__(self) -> None:
        session = self.app.asked("editor/sessions")["id"]
        self.path = f"editor/s/{session}"
        state = self.app.asked(f"{self.path}/random?seed={self.seed}")
        self.keys = [slider["key"] for slider in state["sliders"]]

    async def drag(self, *, seconds: float = math.inf, frames: int = sys.maxsize) -> None:
        """Moves the sliders like a hand, HAND_HZ times a second, until either is reached."""
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
            await asyncio.sleep(1 / HAND_HZ)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    p95 = statistics.quantiles(seconds, n=20)[18] if len(seconds) > 1 else seconds[0]
    return {"p50_ms": round(1e3 * statistics.median(seconds), 1), "p95_ms": round(1e3 * p95, 1)}


def write(name: str, report: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / name).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
