"""Edited crops put back into their photos."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter

import latent_editor as le
from latent_editor.compositing import edited_landmarks, masks, paste
from latent_editor.compositing.details import band_similarity, motion, shifted
from latent_editor.compositing.heads import head
from latent_editor.core.errors import BadValue
from latent_editor.core.values import Crop, Photo
from latent_editor.generators import Generator
from latent_editor.ops import affine

CROP_PX = 64


def smooth_photo(width: int = 300, height: int = 240, seed: int = 0) -> Photo:
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return Photo(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(6)))


def crop_of(photo: Photo, angle_deg: float = 0, scale: float = 2.0, center: tuple[float, float] = (150, 120)) -> Crop:
    a = np.radians(angle_deg)
    linear = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) * scale
    crop_to_photo = np.column_stack([linear, np.array(center) - linear @ [CROP_PX / 2, CROP_PX / 2]])
    pixels = affine.warp(np.asarray(photo.image), crop_to_photo, (CROP_PX, CROP_PX))
    return Crop(Image.fromarray(pixels), crop_to_photo)


def inside_of(photo: Photo, crop: Crop) -> np.ndarray:
    """Which photo pixels have their center inside the crop: bool [H, W]."""
    w, h = photo.image.size
    centers = np.stack(np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5), -1).reshape(-1, 2)
    seen = affine.transformed(affine.inverted(crop.crop_to_photo), centers)
    return ((seen > 0) & (seen < CROP_PX)).all(1).reshape(h, w)


def brighter(image: Image.Image, by: int = 40) -> Image.Image:
    return Image.fromarray(np.clip(np.asarray(image, int) + by, 0, 255).astype(np.uint8))


PLACES = [(0, 2.0, (150, 120)), (33, 1.5, (140, 110)), (-80, 0.7, (60, 60)), (10, 2.5, (20, 230)), (0, 9.0, (150, 120))]


@pytest.mark.parametrize(("angle", "scale", "center"), PLACES)
def test_nothing_changes_outside_the_crop(angle: float, scale: float, center: tuple[float, float]) -> None:
    photo = smooth_photo()
    crop = crop_of(photo, angle, scale, center)
    red = Image.new("RGB", (128, 128), "red")
    whole = paste(photo, crop, edited=red, original=crop.image)
    assert whole.size == photo.image.size
    assert whole.mode == "RGB"
    outside = ~inside_of(photo, crop)
    assert np.array_equal(np.asarray(whole)[outside], np.asarray(photo.image)[outside])
    x, y = (int(v) for v in center)
    middle = whole.getpixel((min(x, 299), min(y, 239)))
    assert middle[0] - middle[1] > 100


def test_the_photo_itself_is_left_alone() -> None:
    photo = smooth_photo()
    before = np.asarray(photo.image).copy()
    paste(photo, crop_of(photo), edited=Image.new("RGB", (64, 64), "red"), original=crop_of(photo).image)
    assert np.array_equal(np.asarray(photo.image), before)


def test_both_pictures_have_to_be_named() -> None:
    photo = smooth_photo()
    crop = crop_of(photo)
    for wrong in ({"edited": crop.image}, {"original": crop.image}, {}):
        with pytest.raises(TypeError, match="required keyword"):
            paste(photo, crop, **wrong)
    with pytest.raises(TypeError, match="positional"):
        paste(photo, crop, crop.image, original=crop.image)


def test_without_an_edit_the_photo_keeps_every_bit() -> None:
    photo = smooth_photo()
    reconstruction = Image.new("RGB", (64, 64), (99, 140, 60))  # nothing like the photo
    whole = paste(photo, crop_of(photo, 12), edited=reconstruction, original=reconstruction)
    assert np.array_equal(np.asarray(whole), np.asarray(photo.image))


def test_the_difference_carries_the_edit_and_keeps_the_detail() -> None:
    photo = smooth_photo()
    detail = np.asarray(photo.image, int) + (np.indices((240, 300)).sum(0) % 2)[..., None] * 20 - 10
    photo = Photo(Image.fromarray(np.clip(detail, 40, 200).astype(np.uint8)))
    crop = crop_of(photo)
    reconstruction = crop.image.filter(ImageFilter.GaussianBlur(3))
    whole = paste(photo, crop, edited=brighter(reconstruction, 30), original=reconstruction)
    change = np.asarray(whole, int) - np.asarray(photo.image, int)
    assert np.abs(change[110:130, 140:160] - 30).max() <= 1


def test_a_larger_rendering_brings_its_detail() -> None:
    photo = smooth_photo()
    crop = crop_of(photo, scale=3.0, center=(150, 120))
    stripes = np.zeros((192, 192, 3), np.uint8)
    stripes[:, ::2] = 255
    whole = np.asarray(paste(photo, crop, edited=Image.fromarray(stripes), original=crop.image), int)
    row = whole[120, 140:160, 0]
    assert np.abs(np.diff(row)).min() > 200


@pytest.mark.parametrize("feather", [0.0, -1.0, 0.9, float("nan")])
def test_a_bad_feather_is_refused(feather: float) -> None:
    photo = smooth_photo()
    with pytest.raises(BadValue, match="feather"):
        paste(photo, crop_of(photo), edited=Image.new("RGB", (64, 64)), original=photo.image, feather=feather)


def test_a_crop_of_another_photo_is_refused() -> None:
    crop = crop_of(smooth_photo(), center=(250, 200))
    with pytest.raises(BadValue, match="outside"):
        paste(smooth_photo(60, 60), crop, edited=Image.new("RGB", (64, 64)), original=crop.image)


def test_a_wider_feather_is_softer() -> None:
    photo = Photo(Image.new("RGB", (300, 240), (100, 100, 100)))
    crop = crop_of(photo)
    reds = [
        np.asarray(paste(photo, crop, edited=brighter(crop.image), original=crop.image, feather=f), int)[120, :, 0]
        for f in (0.05, 0.4)
    ]
    assert np.abs(np.diff(reds[0])).max() > 3 * np.abs(np.diff(reds[1])).max()


# Real faces: the generator's own pictures stand for edits, real photographs for photos.

PHOTOS = ("astronaut.png", "lisa1.jpg", "lisa2.jpg", "portrait_60cm.jpg")


def aligned(name: str, g: Generator, shared_folder: Path) -> tuple[Photo, Crop]:
    photo = le.open_photo(shared_folder / "photos" / name)
    return photo, le.align(photo, g)


def outline_of(photo: Photo, crop: Crop, edited: Image.Image) -> np.ndarray:
    """The mask over the photo, float32 [H, W]: what a plain white change would show."""
    seen = affine.warp(np.asarray(photo.image), crop.crop_to_photo, crop.image.size).astype(np.float32)
    after = np.asarray(edited.resize(crop.image.size), np.float32)
    mask = masks.of_head(
        seen, np.asarray(crop.image, np.float32), after, (crop.landmarks, crop.landmarks), crop.image.width, 0.18
    ).outline
    return affine.warp(mask, affine.inverted(crop.crop_to_photo), photo.image.size, border=cv2.BORDER_CONSTANT)


def seam(whole: np.ndarray, photo: np.ndarray, mask: np.ndarray) -> float:
    """How steep the change of the photo is across the mask's border, in gray levels per pixel."""
    slope = cv2.GaussianBlur(mask, (0, 0), 2)
    across = np.stack([cv2.Sobel(slope, cv2.CV_32F, *d) for d in ((1, 0), (0, 1))], -1)
    length = np.linalg.norm(across, axis=-1)
    border = length > 0.3 * length.max()
    before, after = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float32) for p in (photo, whole))
    change = cv2.GaussianBlur(after - before, (0, 0), 1)
    gradient = np.stack([cv2.Sobel(change, cv2.CV_32F, *d) / 8 for d in ((1, 0), (0, 1))], -1)[border]
    return float(np.abs((gradient * across[border] / length[border][:, None]).sum(-1)).mean())


@pytest.mark.parametrize("name", PHOTOS[1:])  # the astronaut's border is a few pixels wide: every edge in it is steep
def test_renders_in_another_light_leave_no_seam(name: str, portraits: Generator, shared_folder: Path) -> None:
    photo, crop = aligned(name, portraits, shared_folder)
    picture = np.asarray(photo.image)
    original = Image.fromarray(np.clip(np.asarray(crop.image, np.float32) * 0.8 + 25, 0, 255).astype(np.uint8))
    image, size = original.copy(), original.width
    image.paste("red", (round(0.4 * size), round(0.5 * size), round(0.6 * size), round(0.7 * size)))
    whole = np.asarray(paste(photo, crop, edited=image, original=original))
    mask = outline_of(photo, crop, image)
    # The oracle sees a seam where there is one: the same picture behind a hard edge.
    square = affine.warp(np.asarray(image, np.float32), inverse_to(crop, image), photo.image.size)
    hard = np.where(mask[..., None] > 0.5, square, picture).astype(np.uint8)
    assert seam(whole, picture, mask) < 0.6 * seam(hard, picture, mask)


@pytest.mark.parametrize("name", PHOTOS)
def test_a_reconstruction_changes_nothing_outside_of_the_crop(
    name: str, portraits: Generator, shared_folder: Path
) -> None:
    photo, crop = aligned(name, portraits, shared_folder)
    picture = np.asarray(photo.image)
    image = le.render(portraits, le.invert(portraits, crop, method="encoder"))
    points = edited_landmarks(image, portraits, crop)
    whole = np.asarray(paste(photo, crop, edited=image, original=crop.image, landmarks=points))
    assert (whole[~inside(photo, crop)] == picture[~inside(photo, crop)]).all()
    assert (whole != picture).any()


def inside(photo: Photo, crop: Crop) -> np.ndarray:
    w, h = photo.image.size
    centers = np.stack(np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5), -1).reshape(-1, 2)
    seen = affine.transformed(affine.inverted(crop.crop_to_photo), centers)
    return ((seen > 0) & (seen < crop.image.width)).all(1).reshape(h, w)


def inverse_to(crop: Crop, image: Image.Image) -> np.ndarray:
    return affine.inverted(crop.crop_to_photo) * (image.width / crop.image.width)


@pytest.mark.parametrize("name", PHOTOS)
def test_without_an_edit_a_photograph_keeps_every_bit(name: str, portraits: Generator, shared_folder: Path) -> None:
    photo, crop = aligned(name, portraits, shared_folder)
    image = le.render(portraits, le.invert(portraits, crop, method="encoder"))
    whole = paste(photo, crop, edited=image, original=image)
    assert np.array_equal(np.asarray(whole), np.asarray(photo.image))


def test_a_head_is_found_with_its_hair_and_chin(portraits: Generator, shared_folder: Path) -> None:
    _, crop = aligned("astronaut.png", portraits, shared_folder)
    found, size = head(np.asarray(crop.image), crop.landmarks, crop.image.width), crop.image.width

    def at(x: float, y: float) -> float:
        return float(found[int(y / size * len(found)), int(x / size * len(found))])

    for name, (x, y) in crop.landmarks.items():
        assert at(x, min(y, size * 0.96) - 0.02 * size) == 1, name
    assert at(0.3 * size, 0.2 * size) == at(0.7 * size, 0.25 * size) == 1  # hair
    assert at(0.02 * size, 0.02 * size) == at(0.97 * size, 0.6 * size) == 0  # wall


def test_a_new_hair_color_stays_in_the_hair(portraits: Generator, shared_folder: Path) -> None:
    photo, crop = aligned("portrait_60cm.jpg", portraits, shared_folder)
    latent = le.invert(portraits, crop, method="encoder")
    red = le.text_direction(portraits, "red hair", latent=latent)
    edit = le.Edit(red, 1.5)
    whole = le.paste_edit(portraits, photo, crop, latent, [edit])
    edited = le.render(portraits, le.edited(latent, [edit]))
    change = np.abs(np.asarray(whole, int) - np.asarray(photo.image, int)).max(-1).astype(np.float32)
    mask = outline_of(photo, crop, edited)
    assert change[mask > 0.9].mean() > 2
    far = cv2.dilate(mask, np.ones((61, 61))) < 0.02
    assert change[far & inside(photo, crop)].mean() < 0.1


def test_moved_detail_moves_and_old_edges_do_not_stay() -> None:
    side, n = 512, 128
    rng = np.random.default_rng(1)
    blobs = cv2.GaussianBlur(rng.normal(size=(side, side)).astype(np.float32), (0, 0), 16)
    detail = cv2.GaussianBlur(rng.normal(size=(side, side)).astype(np.float32), (0, 0), 1.0)
    photo = 128 + 45 * blobs / blobs.std() + 12 * detail / detail.std()
    photo = Photo(Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8)).convert("RGB"))
    far = 12  # photo pixels, three of the crop's
    turned = Image.fromarray(np.roll(np.asarray(photo.image), far, axis=1))
    crop_to_photo = np.array([[side / n, 0, 0], [0, side / n, 0]], float)
    before, after = (x.resize((n, n), Image.Resampling.BOX) for x in (photo.image, turned))
    whole = np.asarray(paste(photo, Crop(before, crop_to_photo), edited=after, original=before), np.float32)[
        160:352, 160:352
    ]
    wanted, old = (np.asarray(x, np.float32)[160:352, 160:352] for x in (turned, photo.image))
    fine = [x - cv2.GaussianBlur(x, (0, 0), 4) for x in (whole, wanted, old)]
    alike = [float(np.corrcoef(fine[0].ravel(), x.ravel())[0, 1]) for x in fine[1:]]
    assert alike[0] > 0.6
    assert abs(alike[1]) < 0.2


def test_motion_is_found_and_a_new_color_is_not_motion() -> None:
    noise = np.random.default_rng(2).normal(size=(128, 128, 1)).astype(np.float32)
    picture = np.clip(128 + 400 * cv2.GaussianBlur(noise, (0, 0), 5)[..., None], 0, 255).repeat(3, -1)
    flow = motion(picture, np.roll(picture, 3, axis=1))
    assert flow is not None
    assert np.abs(np.median(flow[30:98, 30:98], axis=(0, 1)) - [-3, 0]).max() < 0.4
    assert np.abs(shifted(picture, flow) - np.roll(picture, 3, axis=1))[30:98, 30:98].mean() < 4
    assert motion(picture, picture) is None
    assert motion(picture, np.clip(picture * [1.2, 0.9, 0.8] + 10, 0, 255).astype(np.float32)) is None


def test_band_similarity_distinguishes_new_structure_from_more_of_the_same() -> None:
    band = np.random.default_rng(3).normal(0, 20, (64, 64, 3)).astype(np.float32)
    other = np.random.default_rng(4).normal(0, 20, (64, 64, 3)).astype(np.float32)
    assert (band_similarity(band, band) == 1).all()
    assert band_similarity(band, 1.3 * band).min() > 0.9
    assert band_similarity(band, other).mean() < 0.05
    assert band_similarity(0.02 * band, 0.02 * other).min() > 0.95, "too faint to be structure"


def test_two_faces_are_pasted_one_after_the_other(portraits: Generator, shared_folder: Path) -> None:
    left, right = (le.open_photo(shared_folder / "photos" / n).image for n in ("astronaut.png", "lisa2.jpg"))
    both = Image.new("RGB", (left.width + right.width, right.height), (90, 100, 110))
    both.paste(left, (0, 100))
    both.paste(right, (left.width, 0))
    photo = Photo(both)
    faces = le.find_faces(photo, portraits)
    assert len(faces) == 2
    crops = [le.align(photo, portraits, face=face) for face in faces]
    changed = []
    for crop in crops:
        whole = paste(photo, crop, edited=brighter(crop.image), original=crop.image)
        changed.append((np.asarray(whole) != np.asarray(photo.image)).any(-1))
        photo = Photo(whole)
    assert all(c.sum() > 2000 for c in changed)
    assert not (changed[0] & changed[1]).any()


def test_a_drawn_mask_is_obeyed() -> None:
    photo = Photo(Image.new("RGB", (300, 240), (100, 100, 100)))
    crop = crop_of(photo)
    drawn = Image.new("L", (32, 32), 0)
    drawn.paste(255, (0, 0, 16, 32))
    whole = np.asarray(paste(photo, crop, edited=brighter(crop.image), original=crop.image, mask=drawn), int)
    assert whole[120, 120, 0] == 140
    assert whole[120, 170, 0] == 100


def test_a_large_photo_takes_no_longer_than_a_breath() -> None:
    points = {"left_eye": (0.37, 0.5), "right_eye": (0.63, 0.5), "mouth": (0.5, 0.79), "chin": (0.5, 0.95)}
    photo = smooth_photo(4608, 2592)
    crop = crop_of(photo, 20, 2200 / CROP_PX, (2300, 1200))
    crop = Crop(crop.image, crop.crop_to_photo, {name: (x * CROP_PX, y * CROP_PX) for name, (x, y) in points.items()})
    edited = brighter(crop.image.filter(ImageFilter.GaussianBlur(1))).resize((256, 256))
    start = time.process_time()
    whole = paste(photo, crop, edited=edited, original=crop.image)
    # Processor time of all cores: other work on the machine does not count.
    assert time.process_time() - start < 3
    assert whole.size == photo.image.size
