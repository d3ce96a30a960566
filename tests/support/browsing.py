"""The page in headless Chromium: the app as a user starts it, and what a visitor does."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, TimeoutError, expect

from support.compiled_ops import built
from support.environment import ROOT

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PATIENCE_MS = 90_000  # the machine may be busy with other things
expect.set_options(timeout=PATIENCE_MS)


@contextlib.contextmanager
def running_app(folder: Path) -> Iterator[str]:
    """The app on a free port, with its cache and log in ``folder``: its address."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    log = folder / "log.txt"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LATENT_EDITOR_CACHE": str(folder)}
    # With the kernels, as users have them, built before: pictures are compared to the bit, which kernels that get ready
    # in between would change.
    environment.pop("LATENT_EDITOR_OPS", None)
    shutil.copytree(built("cpu").folder, folder / "ops" / built("cpu").folder.name)
    with log.open("w") as out:
        app = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port), "--device", "cpu"],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        address = f"http://127.0.0.1:{port}/"
        try:
            wait_until_served(address, app, log)
            yield address
        finally:
            app.terminate()
            app.wait(20)


def wait_until_served(address: str, app: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        if app.poll() is not None:
            break
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{address}editor/about"):
            return
        time.sleep(0.5)
    pytest.fail(f"the app did not start:\n{log.read_text()[-3000:]}", pytrace=False)


def view(page: Page, name: str) -> None:
    page.wait_for_selector(f".le[data-view={name}]")


def shown(page: Page) -> np.ndarray:
    """The pixels of the picture, once it rests."""
    page.wait_for_selector("[data-hook=picture][aria-busy=false]")
    data = page.evaluate(
        """() => {
            const image = document.querySelector('[data-hook=result]');
            const canvas = document.createElement('canvas');
            canvas.width = 512;
            canvas.height = 512;
            canvas.getContext('2d').drawImage(image, 0, 0, 512, 512);
            return canvas.toDataURL('image/png').split(',')[1];
        }"""
    )
    return np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), dtype=float)


def assert_same(page: Page, other: np.ndarray) -> None:
    """The page comes to show the same picture, to the bit."""
    for _ in range(100):
        if (far := np.abs(shown(page) - other).mean()) == 0:
            return
        page.wait_for_timeout(200)
    pytest.fail(f"another picture is shown, {far:.3f} gray levels away")


def until_changed(page: Page, action: Callable[[], object]) -> None:
    """Does something and waits until the picture has changed and rests."""
    page.wait_for_selector("[data-hook=picture][aria-busy=false]")
    before = page.get_attribute("[data-hook=result]", "src")
    action()
    page.wait_for_function(
        "before => document.querySelector('[data-hook=result]').getAttribute('src') !== before", arg=before
    )
    page.wait_for_selector("[data-hook=picture][aria-busy=false]")


def drag(page: Page, slider: str, to: float) -> None:
    """Drags a slider's thumb from the middle to a fraction of its width, with the mouse."""
    box = page.locator(slider).bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * to, middle, steps=12)


def reconstruct(page: Page, photo: Path, seconds: float = 2) -> None:
    page.set_input_files("input[type=file]", photo)
    view(page, "reconstruct")
    expect(page.locator("[data-hook=your-crop]")).to_be_visible()
    page.wait_for_function("document.querySelector('[data-hook=figures]').textContent.includes('dB')")
    page.wait_for_timeout(1000 * seconds)
    with contextlib.suppress(TimeoutError):  # a run that has ended by itself has no button for it
        page.click("[data-hook=stop]", timeout=5000)
    view(page, "edit")
