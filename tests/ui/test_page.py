"""The page as a visitor has it: the real app and the embedded model, in headless Chromium."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from support.browsing import DESKTOP, PATIENCE_MS, PHONE, assert_same, drag, reconstruct, shown, until_changed, view
from support.environment import ROOT

from latent_editor.generators import save_generator
from latent_editor.generators.stylegan2 import StyleGAN2

#: Stands in the header as soon as a photo is reconstructed, and stays when the words before it change.
FIDELITY = re.compile(r"\d dB")
SIZE_PX: int = json.loads((ROOT / "weights" / "portraits" / "model.json").read_text(encoding="utf-8"))["size_px"]

# What gradio and playwright leave open at the end of a process is no fault of the page.
pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, opened. At its end: no error in the console, and not one request to another host."""
    small = request.param is PHONE
    context = browser.new_context(viewport=request.param, has_touch=small, is_mobile=small)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    elsewhere: list[str] = []
    errors: list[str] = []
    page.on("request", lambda r: elsewhere.append(r.url) if not r.url.startswith((address, "data:", "blob:")) else None)
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.goto(address)
    expect(page.locator(".le[data-view=start]")).to_be_visible(timeout=PATIENCE_MS)
    yield page
    assert not elsewhere
    assert not errors
    context.close()


def test_a_photo_is_reconstructed_edited_compared_undone_and_saved(page: Page, shared_folder: Path) -> None:
    reconstruct(page, shared_folder / "photos" / "astronaut.png")
    expect(page.locator("[data-hook=similarity]")).to_contain_text(FIDELITY)
    start = shown(page)

    # Every slider changes the picture while it is dragged, before the mouse is let go.
    first = ".card:first-child input[type=range]"
    until_changed(page, lambda: drag(page, first, 0.85))
    assert np.abs(shown(page) - start).mean() > 1
    page.mouse.up()
    expect(page.locator("[data-hook=strip] button")).to_have_count(2)
    moved = shown(page)

    # A text becomes a slider that can be moved and removed.
    page.fill("[data-hook=prompt]", "red hair")
    page.press("[data-hook=prompt]", "Enter")
    text = page.locator(".card[data-key^=t]")
    expect(text).to_have_count(1)
    expect(text.locator(".name")).to_have_text("red hair")
    assert np.abs(shown(page) - moved).mean() > 0.3
    text.get_by_label("Options for red hair").click()
    text.get_by_role("button", name="Remove").click()
    expect(text).to_have_count(0)

    # Undo brings back, one by one, what was there.
    for _ in range(3):
        until_changed(page, lambda: page.click("[data-hook=undo]"))
    assert_same(page, start)
    expect(page.locator("[data-hook=undo]")).to_be_disabled()
    until_changed(page, lambda: page.click("[data-hook=redo]"))
    assert_same(page, moved)

    # Double-click takes one slider back to zero.
    until_changed(page, lambda: page.locator(first).dblclick(position={"x": 30, "y": 10}))
    expect(page.locator(".card:first-child .value")).to_have_text("0")

    saves(page, shared_folder / "photos" / "astronaut.png")


def saves(page: Page, photo: Path) -> None:
    """Every kind of file comes down and is what it says."""
    files = {}
    for name in ("picture.png", "photo.png", "face.latent"):
        page.click("[data-hook=save] summary")
        with page.expect_download() as download:
            page.click(f"[data-save='{name}']")
        files[name] = Path(download.value.path())
        assert download.value.suggested_filename.startswith("astronaut")
    with Image.open(files["picture.png"]) as picture:
        assert picture.size == (SIZE_PX, SIZE_PX)
        assert picture.text["Synthetic"] == "all"
    with Image.open(files["photo.png"]) as whole, Image.open(photo) as original:
        assert whole.size == original.size
        assert whole.text["Synthetic"] == "part"
        assert np.array_equal(np.array(whole)[-50:], np.array(original.convert("RGB"))[-50:])
    before = shown(page)
    page.locator("[data-hook=new]").click()
    page.set_input_files(
        "input[type=file]",
        {"name": "me.latent", "mimeType": "application/octet-stream", "buffer": files["face.latent"].read_bytes()},
    )
    view(page, "edit")
    assert_same(page, before)


def test_twelve_directions_with_pictures_are_offered_and_can_be_added(page: Page) -> None:
    page.locator(".examples button").first.click()
    view(page, "edit")
    offered = page.locator(".card").count() + page.locator(".tile:not([hidden])").count()
    assert offered >= 12
    page.wait_for_function(
        "[...document.querySelectorAll('.tile:not([hidden]) img')].every(i => i.complete && i.naturalWidth)"
    )
    tile = page.locator(".tile:not([hidden])").first
    key = (tile.get_attribute("aria-label") or "").removeprefix("Add ")
    tile.click()
    card = page.locator(".card").first
    expect(card.locator(".name")).to_contain_text(key)
    expect(card.locator("input[type=range]")).to_be_focused()

    # From the keyboard: arrows, Shift, undo; layers from the menu; all to zero.
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(card.locator(".value")).to_have_text("+0.6")
    expect(page.locator("[data-hook=strip] button")).to_have_count(3)
    full = shown(page)
    card.get_by_label("Options for").click()
    until_changed(page, lambda: card.get_by_role("radio", name="Coarse").check(force=True))
    assert np.abs(shown(page) - full).max() > 0
    page.locator("[data-hook=reset]").click()
    expect(card.locator(".value")).to_have_text("0")
    page.locator("[data-hook=picture]").click()
    page.keyboard.press("Control+z")
    expect(card.locator(".value")).to_have_text("+0.6")


def test_points_are_dragged_by_pointer_and_from_the_keyboard_and_undone(page: Page) -> None:
    page.locator(".examples button").first.click()
    view(page, "edit")
    before = shown(page)
    page.get_by_role("button", name="Drag points").click()
    move = page.get_by_role("button", name="Move", exact=True)
    expect(move).to_be_disabled()

    # From the keyboard: a point in the middle with its target above, moved aside, and taken away again.
    page.get_by_role("button", name="Add point").click()
    point = page.get_by_role("button", name="Point 1, 50% across, 50% down")
    expect(point).to_be_focused()
    page.keyboard.press("Shift+ArrowRight")
    expect(page.get_by_role("button", name="Point 1, 52% across, 50% down")).to_be_focused()
    page.keyboard.press("Delete")
    expect(page.locator(".points .point")).to_have_count(0)

    # By the pointer: one click for the point, one for its target.
    box = page.locator(".points").bounding_box()
    assert box is not None
    for x, y in ((0.5, 0.6), (0.56, 0.6)):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    move.click()
    card = page.locator(".card[data-key^=h]")
    expect(card.locator(".name")).to_have_text("drag")
    expect(card.locator(".value")).to_have_text("+1.0")
    page.get_by_role("button", name="Done").click()
    expect(page.locator(".points")).to_be_hidden()
    page.wait_for_timeout(1000)
    assert np.abs(shown(page) - before).max() > 0
    until_changed(page, page.locator("[data-hook=undo]").click)
    expect(card).to_have_count(0)


def test_the_original_shows_by_wiping_and_while_space_is_held(page: Page) -> None:
    page.locator(".examples button").first.click()
    view(page, "edit")
    picture = page.locator("[data-hook=picture]")
    box = picture.bounding_box()
    assert box
    y = box["y"] + box["height"] / 3
    page.mouse.move(box["x"] + box["width"] * 0.8, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, y, steps=5)
    page.mouse.up()
    assert abs(int(page.get_attribute("[data-hook=wipe]", "aria-valuenow") or 0) - 50) <= 1
    page.locator("[data-hook=wipe]").focus()
    page.keyboard.press("End")
    expect(page.locator("[data-hook=wipe]")).to_have_attribute("aria-valuenow", "100")
    page.keyboard.down(" ")
    expect(picture).to_have_class("picture held")
    page.keyboard.up(" ")
    expect(picture).to_have_class("picture")


def test_no_face_is_said_and_a_square_by_hand_works(page: Page, shared_folder: Path) -> None:
    page.set_input_files("input[type=file]", shared_folder / "photos" / "chelsea.png")
    view(page, "crop")
    expect(page.get_by_role("alert")).to_contain_text("No face")
    page.locator("[data-hook=photo]").click(position={"x": 150, "y": 100})
    page.click("[data-hook=use-square]")
    view(page, "reconstruct")
    page.wait_for_function("document.querySelector('[data-hook=figures]').textContent.includes('dB')")
    page.click("[data-hook=stop]")
    view(page, "edit")


def test_several_faces_are_offered_to_choose_from(page: Page, shared_folder: Path) -> None:
    with Image.open(shared_folder / "photos" / "astronaut.png") as astronaut:
        two = Image.new("RGB", (1024, 512))
        two.paste(astronaut.convert("RGB"), (0, 0))
        two.paste(astronaut.convert("RGB"), (512, 0))
    data = io.BytesIO()
    two.save(data, "JPEG", quality=95)
    page.set_input_files("input[type=file]", {"name": "two.jpg", "mimeType": "image/jpeg", "buffer": data.getvalue()})
    view(page, "choose")
    expect(page.locator("[data-hook=choices] button")).to_have_count(2)
    page.locator("[data-hook=choices] button").last.click()
    view(page, "reconstruct")


def test_bad_files_are_refused_in_place_and_what_was_made_stays(page: Page) -> None:
    page.set_input_files("input[type=file]", {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"})
    expect(page.get_by_role("alert")).to_contain_text("a.png")
    page.locator("[data-hook=random]").click()
    view(page, "edit")
    before = shown(page)
    page.set_input_files("input[type=file]", {"name": "a.latent", "mimeType": "", "buffer": b"no latent"})
    expect(page.get_by_role("alert")).to_contain_text("a.latent")
    page.fill("[data-hook=prompt]", "x" * 10_000)
    page.press("[data-hook=prompt]", "Enter")
    expect(page.get_by_role("alert")).to_contain_text("10,000 characters")
    assert_same(page, before)
    page.reload()  # the session outlives a reload
    view(page, "edit")
    assert_same(page, before)


def test_the_camera_takes_a_picture(page: Page) -> None:
    page.locator("[data-hook=camera]").click()
    expect(page.locator("[data-hook=video]")).to_be_visible()
    page.wait_for_timeout(500)
    page.locator("[data-hook=take-photo]").click()
    view(page, "crop")  # the fake camera shows no face


def test_dark_and_light(page: Page) -> None:
    before = page.evaluate("getComputedStyle(document.querySelector('.le')).backgroundColor")
    page.locator("[data-hook=theme]").click()
    after = page.evaluate("getComputedStyle(document.querySelector('.le')).backgroundColor")
    assert before != after


def test_nothing_is_wider_than_the_screen(page: Page) -> None:
    for width in (page.viewport_size or DESKTOP)["width"], 380:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert not too_wide(page)


def too_wide(page: Page) -> list[str]:
    """What reaches beyond the screen, other than inside of what can be scrolled sideways."""
    found: list[str] = page.evaluate(
        """[...document.querySelectorAll('.le *')].filter(e => e.checkVisibility() && !e.closest('svg, .strip *')
            && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.className)"""
    )
    return found


def test_nothing_is_wider_than_the_screen_while_a_photo_is_edited(page: Page, shared_folder: Path) -> None:
    reconstruct(page, shared_folder / "photos" / "astronaut.png", seconds=0)
    expect(page.locator("[data-hook=similarity]")).to_be_visible()
    for width in (page.viewport_size or DESKTOP)["width"], 380:
        page.set_viewport_size({"width": width, "height": 800})
        assert not too_wide(page)


def test_sliders_stay_where_they_are_when_the_identity_change_is_known(page: Page) -> None:
    page.locator(".examples button").first.click()
    view(page, "edit")
    meter = page.locator(".identity-change")
    expect(meter).to_be_visible()
    first = page.locator(".card").first
    before = first.bounding_box()
    until_changed(page, lambda: first.locator(".end.high").click())
    expect(meter.locator("b")).not_to_be_empty()
    assert first.bounding_box() == before


def spilling(page: Page) -> list[str]:
    """What is higher than its own box, so that it lies over what follows."""
    found: list[str] = page.evaluate(
        """[...document.querySelectorAll('.le *')].filter(e => e.checkVisibility() && !e.closest('svg')
            && getComputedStyle(e).overflowY === 'visible' && getComputedStyle(e).display !== 'inline'
            && e.scrollHeight > e.clientHeight + 2).map(e => `${e.tagName} ${e.className}`)"""
    )
    return found


def test_nothing_is_cut_off_and_every_row_of_a_menu_has_its_label(page: Page, shared_folder: Path) -> None:
    assert not spilling(page)
    text = page.locator("[data-hook=text-face-prompt]")
    text.evaluate("e => { e.value = e.placeholder; }")
    assert text.evaluate("e => e.scrollWidth <= e.clientWidth")  # the whole placeholder can be read
    reconstruct(page, shared_folder / "photos" / "astronaut.png", seconds=0)
    page.fill("[data-hook=prompt]", "red hair")
    page.press("[data-hook=prompt]", "Enter")
    card = page.locator(".card[data-key^=t]")
    card.get_by_label("Options for red hair").click()
    for label, control in (
        ("Method", card.get_by_role("radiogroup", name="How this text becomes a slider")),
        ("Layers", card.get_by_role("radiogroup", name="Layers")),
        ("Region", card.get_by_role("combobox", name="Region")),
        ("Name", card.get_by_role("textbox", name="Slider name")),
    ):
        left, right = card.get_by_text(label, exact=True).bounding_box(), control.bounding_box()
        assert left, label
        assert right, label
        assert left["x"] + left["width"] <= right["x"], label
        assert right["y"] <= left["y"] + left["height"] / 2 <= right["y"] + right["height"], label
    page.get_by_role("button", name="Damaged photo? Repair it").click()
    view(page, "repair")
    page.get_by_label("Grayscale").check()
    assert not spilling(page)


def test_a_reconstruction_can_be_left_for_the_old_picture_or_another_crop(page: Page, shared_folder: Path) -> None:
    page.locator("[data-hook=random]").click()
    view(page, "edit")
    before = shown(page)
    page.set_input_files("input[type=file]", shared_folder / "photos" / "astronaut.png")
    view(page, "reconstruct")
    page.locator("[data-hook=recrop]").click()
    view(page, "crop")
    expect(page.locator("[data-hook=crop-photo]")).to_have_js_property("naturalWidth", 512)
    page.locator("[data-hook=use-square]").click()
    view(page, "reconstruct")
    page.locator("[data-hook=back]").click()
    view(page, "edit")
    assert_same(page, before)


def test_a_gray_photo_gets_colors_that_are_put_on_it(page: Page, shared_folder: Path, tmp_path: Path) -> None:
    with Image.open(shared_folder / "photos" / "lisa1.jpg") as photo:
        photo.convert("L").convert("RGB").save(tmp_path / "gray.png")
    reconstruct(page, tmp_path / "gray.png", seconds=0)
    page.get_by_role("button", name="Damaged photo? Repair it").click()
    view(page, "repair")
    hints, go = page.locator(".color-hint"), page.get_by_role("button", name="Repair", exact=True)
    expect(go).to_be_disabled()
    expect(page.get_by_label("Hint color")).to_be_hidden()
    page.get_by_label("Grayscale").check()
    expect(page.get_by_label("Hint color")).to_be_visible()

    # One by the keyboard, which is moved and removed; one where the photo is clicked, for the blue wall.
    tool = page.get_by_role("button", name="Place on photo")
    tool.focus()
    page.keyboard.press("Enter")
    expect(hints).to_have_attribute("aria-label", re.compile("50% across, 50% down"))
    page.keyboard.press("Shift+ArrowDown")
    expect(hints).to_have_attribute("aria-label", re.compile("50% across, 52% down"))
    page.keyboard.press("Delete")
    expect(hints).to_have_count(0)
    page.get_by_label("Hint color").fill("#2040c0")
    expect(tool).to_have_attribute("aria-pressed", "true")
    paper = page.locator(".paper .color-hints").bounding_box()
    assert paper
    page.mouse.click(paper["x"] + 0.06 * paper["width"], paper["y"] + 0.06 * paper["height"])
    expect(hints).to_have_attribute("aria-label", re.compile("#2040c0, 6% across, 6% down"))

    go.click()
    view(page, "reconstruct")
    source = page.locator("[data-hook=your-crop]").get_attribute("src") or ""
    with Image.open(io.BytesIO(base64.b64decode(source.split(",", 1)[1]))) as repaired:
        red, _, blue = np.asarray(repaired.convert("RGB"), dtype=float)[:20, :20].mean(axis=(0, 1))
    assert blue > red + 8


def bring(page: Page, model: Path) -> None:
    """Opens a model file through the picker."""
    page.click("[data-hook=models-summary]")
    with page.expect_file_chooser() as chooser:
        page.click("[data-hook=model-upload-button]")
    chooser.value.set_files(model)


def choose(page: Page, title: str) -> None:
    page.click("[data-hook=models-summary]")
    page.locator(".choice", has_text=title).click()
    expect(page.locator("[data-hook=model]")).to_have_text(title)


def test_a_model_of_ones_own_is_tried_and_the_old_face_is_still_there(
    page: Page, tiny_generator: StyleGAN2, tmp_path: Path
) -> None:
    page.locator(".examples button").first.click()
    view(page, "edit")
    until_changed(page, lambda: page.locator(".card:first-child .end.high").click())
    expect(page.locator("[data-hook=strip] button")).to_have_count(2)
    old = shown(page)

    # What is no model is refused in its place, by its name, and the picture stays.
    odd, mine = tmp_path / "odd.pkl", tmp_path / "mine.safetensors"
    odd.write_bytes(b"no model at all")
    bring(page, odd)
    expect(page.get_by_role("alert")).to_contain_text("odd.pkl")
    page.keyboard.press("Escape")
    assert_same(page, old)

    save_generator(tiny_generator, mine)
    bring(page, mine)
    expect(page.locator("[data-hook=model]")).to_have_text("mine")
    view(page, "start")
    expect(page.locator("[data-hook=lead]")).to_have_text("Drop a photo here")
    page.locator("[data-hook=random]").click()
    view(page, "edit")
    until_rested = "[data-hook=picture][aria-busy=false]"
    page.wait_for_selector(until_rested)
    assert np.abs(shown(page) - old).mean() > 5
    expect(page.locator("[data-hook=no-texts]")).to_contain_text("mine")

    # Its sliders are found while it is used, and work.
    tile = page.locator(".tile:not([hidden])").first
    expect(tile).to_be_visible(timeout=3 * PATIENCE_MS)
    expect(page.locator("[data-hook=preparing]")).to_be_hidden(timeout=PATIENCE_MS)
    tile.click()
    until_changed(page, lambda: page.keyboard.press("Shift+ArrowRight"))
    expect(page.locator(".card:first-child .value")).to_have_text("+0.5")
    expect(page.locator("[data-hook=strip] button")).to_have_count(3)  # start, add, move: the picture is a whole one
    new = shown(page)

    # The old face is as it was left, with its history; so is the new one.
    choose(page, "Portraits")
    view(page, "edit")
    assert_same(page, old)
    until_changed(page, lambda: page.click("[data-hook=undo]"))
    choose(page, "mine")
    view(page, "edit")
    page.wait_for_selector(until_rested)
    assert_same(page, new)
    page.reload()  # the choice of the model outlives a reload
    view(page, "edit")
    expect(page.locator("[data-hook=model]")).to_have_text("mine")


def test_a_photo_can_be_drawn_by_another_model(
    page: Page, tiny_generator: StyleGAN2, tmp_path: Path, shared_folder: Path
) -> None:
    reconstruct(page, shared_folder / "photos" / "astronaut.png", seconds=0.5)
    save_generator(tiny_generator, tmp_path / "other.safetensors")
    bring(page, tmp_path / "other.safetensors")
    expect(page.locator("[data-hook=offer-name]")).to_have_text("astronaut.png")
    page.locator("[data-hook=offer-take]").click()
    view(page, "reconstruct")
    page.wait_for_function("document.querySelector('[data-hook=figures]').textContent.includes('dB')")
    page.click("[data-hook=stop]")
    view(page, "edit")
    expect(page.locator("[data-hook=similarity]")).to_contain_text(FIDELITY)


def test_a_face_is_mixed_in_and_a_loop_of_it_saved_in_two_clicks(page: Page) -> None:
    page.locator("[data-hook=examples] button").first.click()
    view(page, "edit")
    page.get_by_role("button", name="Mix faces").click()
    until_changed(page, lambda: page.get_by_role("region", name="Mix faces").get_by_label("Face 2").click())
    mixed = page.locator(".card[data-key^=m]")
    expect(mixed.locator(".value")).to_have_text("+0.5")
    expect(mixed.locator("input[type=range]")).to_be_focused()

    page.get_by_role("button", name="Video", exact=True).click()
    save = page.get_by_role("link", name="Save video")
    expect(save).to_be_visible()
    expect(page.locator("video.video-player")).to_have_js_property("paused", False)
    with page.expect_download() as download:
        save.click()
    assert download.value.suggested_filename == "face loop.mp4"
    assert b"ftyp" in Path(download.value.path()).read_bytes()[:16]

    # Another kind has to be made first; what is under way can be cancelled; closing shows the picture again.
    page.get_by_role("radio", name="WebM").check(force=True)
    page.get_by_role("button", name="Create video").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Create video")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Video", exact=True)).to_be_focused()
    expect(page.locator(".video-player")).to_have_count(0)
    expect(mixed).to_be_visible()
