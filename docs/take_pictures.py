"""Takes the screenshots of the documentation: ``python docs/take_pictures.py URL PHOTO``.

The app must be running at URL. PHOTO is fully reconstructed, so this takes about a minute.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = Path(__file__).resolve().parent / "pictures"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu"]


def save(page: Page, name: str) -> None:
    """Saves a screenshot as WebP of about 50 kB."""
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    file = FOLDER / f"app_{name}.webp"
    image.save(file, quality=86, method=6)
    print(f"{file.name}: {file.stat().st_size:,} bytes")


def edit(page: Page) -> None:
    """Waits for the reconstruction, applies a prompt, and moves the comparison slider to the middle."""
    page.wait_for_selector(".le[data-view=edit]", timeout=120_000)
    page.fill("[data-hook=prompt]", "red hair")
    page.press("[data-hook=prompt]", "Enter")
    page.wait_for_selector(".card[data-key^=t]", timeout=60_000)
    for _ in range(2):
        page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function("[...document.querySelectorAll('.tile:not([hidden]) img')].every(i => i.naturalWidth)")
    page.wait_for_timeout(1500)
    page.locator("[data-hook=wipe]").focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(1000)


def open_page(browser: Browser, url: str, width: int, height: int, **options: object) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height}, **options)  # type: ignore[arg-type]
    page.goto(url)
    page.wait_for_selector(".le[data-view=start] .examples img")
    page.wait_for_timeout(1500)
    return page


def main(url: str, photo: Path) -> None:
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = open_page(browser, url, 1280, 800)
        save(page, "start")
        page.set_input_files("input[type=file]", photo)
        page.wait_for_selector("[data-hook=stop]:visible", timeout=60_000)
        page.wait_for_timeout(6000)
        save(page, "reconstruction")
        edit(page)
        save(page, "edit")
        page.click("[data-hook=theme]")
        page.wait_for_timeout(300)
        save(page, "dark")
        page = open_page(browser, url, 390, 844, is_mobile=True, has_touch=True)
        page.set_input_files("input[type=file]", photo)
        edit(page)
        save(page, "phone")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
