"""How frames reach the screen: over one connection, newest only, also where it breaks or cannot pass."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Request, WebSocket, WebSocketRoute
from support.browsing import DESKTOP, PATIENCE_MS, drag, shown, until_changed, view

pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]

SLIDER = ".card:first-child input[type=range]"
WATCHED = """window.lines = [];
window.WebSocket = class extends WebSocket { constructor(...given) { super(...given); lines.push(this); } };"""
BLOCKED = """window.WebSocket = class extends EventTarget {
    static OPEN = 1;
    readyState = 3;
    constructor() { super(); setTimeout(() => this.dispatchEvent(new Event('close')), 20); }
    close() {}
};"""
OPEN = "window.lines.at(-1)?.readyState === 1"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=DESKTOP)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    errors: list[str] = []
    page.on("pageerror", lambda e: errors.append(str(e)))
    yield page
    assert not errors
    context.close()


def open_face(page: Page, address: str) -> None:
    page.goto(address)
    view(page, "start")
    page.locator(".examples button").first.click()
    view(page, "edit")
    page.wait_for_selector(SLIDER)


def posts(page: Page) -> list[str]:
    """Fills with the plain requests for frames that the page makes."""
    found: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("/frame"):
            found.append(request.url)

    page.on("request", note)
    return found


def test_frames_come_over_one_connection(page: Page, address: str) -> None:
    lines: list[WebSocket] = []
    frames: list[int] = []

    def watch(line: WebSocket) -> None:
        lines.append(line)
        line.on("framereceived", lambda data: frames.append(int.from_bytes(data[:4], "big")))

    page.on("websocket", watch)
    page.add_init_script(WATCHED)
    open_face(page, address)
    page.wait_for_function(OPEN)
    plain = posts(page)
    until_changed(page, lambda: drag(page, SLIDER, 0.8))
    page.mouse.up()
    shown(page)
    assert len(lines) == 1
    assert frames == sorted(set(frames))
    assert len(frames) >= 2
    assert plain == []


def test_where_no_connection_can_pass_plain_requests_do(page: Page, address: str) -> None:
    page.add_init_script(BLOCKED)
    plain = posts(page)
    open_face(page, address)
    before = len(plain)
    until_changed(page, lambda: drag(page, SLIDER, 0.8))
    page.mouse.up()
    shown(page)
    assert len(plain) > before


def test_a_broken_connection_is_opened_again(page: Page, address: str) -> None:
    page.add_init_script(WATCHED)
    open_face(page, address)
    page.wait_for_function(OPEN)
    page.evaluate("lines[0].close()")
    until_changed(page, lambda: drag(page, SLIDER, 0.7))  # meanwhile by plain requests
    page.mouse.up()
    page.wait_for_function(f"lines.length > 1 && {OPEN}")
    shown(page)
    plain = posts(page)
    until_changed(page, lambda: drag(page, SLIDER, 0.3))
    page.mouse.up()
    shown(page)
    assert plain == []


def test_no_old_frame_is_shown_over_a_newer_one(page: Page, address: str) -> None:
    """A server that answers three requests in the wrong order, with a color for each."""
    requests: list[int] = []
    line: list[WebSocketRoute] = []

    def serve(route: WebSocketRoute) -> None:
        line.append(route)
        route.on_message(lambda text: requests.append((json.loads(text).get("wish") or {}).get("sequence")))

    def answer(number: int, color: str) -> None:
        out = io.BytesIO()
        Image.new("RGB", (64, 64), color).save(out, "JPEG")
        line[-1].send(number.to_bytes(4, "big") + out.getvalue())

    page.route_web_socket("**/drag", serve)
    open_face(page, address)
    page.wait_for_timeout(500)
    for key in ("ArrowRight", "ArrowRight", "ArrowRight"):
        page.locator(SLIDER).press(key)
    numbers = sorted(n for n in requests if n)[-3:]
    assert len(numbers) == 3
    answer(numbers[1], "lime")
    answer(numbers[0], "red")
    page.wait_for_timeout(300)
    assert green(page)
    answer(numbers[2], "lime")
    answer(numbers[1], "red")
    page.wait_for_timeout(300)
    assert green(page)


def green(page: Page) -> bool:
    red, green, _ = page.evaluate(
        """() => {
            const canvas = document.createElement('canvas');
            canvas.getContext('2d').drawImage(document.querySelector('[data-hook=result]'), 0, 0, 8, 8);
            return [...canvas.getContext('2d').getImageData(4, 4, 1, 1).data];
        }"""
    )[:3]
    return bool(green > 200 and red < 60)
