"""Renders the images of the documentation from photographs: ``python docs/make_pictures.py FOLDER_OF_PHOTOS``.

The committed images show the astronaut Eileen Collins (NASA, public domain), random faces and, in pasted.jpg, two
photographs by Lisa DeBruine (CC0).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw

import latent_editor as le
from latent_editor.generators.refined import with_changes
from latent_editor.media.decode import VideoClip
from latent_editor.motion import extract_motion, render_frames
from latent_editor.rendering import render_tensor, sized_images

HERE = Path(__file__).parent / "pictures"
TILE, PHOTO_TILE, LABEL = 160, 240, 18
PROMPTS = ("red hair", "a beard", "an old person", "long hair", "blond hair", "a blue background")
#: Plausible color hints for the astronaut: her hair, the wall, and the collar of her suit.
HINTS = (le.ColorHint(0.5, 0.12, "#b09060"), le.ColorHint(0.08, 0.12, "#cdc5c0"), le.ColorHint(0.08, 0.83, "#76688c"))
GENERATED_PROMPTS = ("an old man with a beard", "a woman with red hair", "a pale elf with blond hair")


def sheet(rows: list[list[tuple[str, Image.Image]]], path: Path, *, tile: int = TILE) -> None:
    """Writes a contact sheet of rows of labeled tiles."""
    out = Image.new("RGB", (tile * max(len(r) for r in rows), (tile + LABEL) * len(rows)), "#f5f5f3")
    draw = ImageDraw.Draw(out)
    for y, row in enumerate(rows):
        for x, (label, picture) in enumerate(row):
            at = (x * tile, y * (tile + LABEL))
            out.paste(picture.resize((tile, tile), Image.Resampling.BICUBIC), (at[0], at[1] + LABEL))
            draw.text((at[0] + 4, at[1] + 3), label, fill="#171718")
    out.save(path, quality=80)
    print(path)


def chain(g: le.Generator, path: Path, seconds: float) -> tuple[le.Latent, list[tuple[str, Image.Image]]]:
    """A photo's crop, the encoder's reconstruction, and the optimized one; and the optimized latent."""
    photo = le.open_photo(path)
    crop = le.align(photo, g)
    first = le.invert(g, crop, method="encoder")
    latent = le.invert(g, crop, seconds=seconds)
    row = [("photo", crop.image)]
    row += [
        (f"{name} {x.psnr_db:.1f} dB", le.render(g, x))
        for name, x in (("encoder", first), (f"after {seconds:g} s", latent))
    ]
    return latent, row


def turn_of(g: le.Generator) -> le.Direction:
    """The slider that turns the head."""
    return next(d for d in le.named_directions(g) if d.name.startswith("turn"))


def pasted(g: le.Generator, path: Path, latent: le.Latent) -> list[tuple[str, Image.Image]]:
    """A photo with edits pasted back, cropped around the head at the photo's own resolution."""
    photo = le.open_photo(path)
    crop = le.align(photo, g)
    half = min(0.75 * float((crop.crop_to_photo[:, 0] ** 2).sum() ** 0.5) * g.size_px, min(photo.image.size) / 2)
    x, y = crop.crop_to_photo @ [g.size_px / 2, g.size_px / 2, 1.0]
    x, y = (min(max(v, half), side - half) for v, side in zip((x, y), photo.image.size, strict=True))
    box = tuple(round(v) for v in (x - half, y - half, x + half, y + half))
    edits = [le.Edit(le.text_direction(g, prompt, latent=latent), 1.5) for prompt in ("red hair", "an old person")]
    edits += [le.Edit(turn_of(g), strength) for strength in (-1.5, 1.5)]
    row = [("photo", photo.image.crop(box))]
    for edit in edits:
        whole = le.paste_edit(g, photo, crop, latent, [edit])
        row.append((f"{edit.direction.name} {edit.strength:+g}", whole.crop(box)))
    return row


def followed(g: le.Generator, latent: le.Latent) -> list[list[tuple[str, Image.Image]]]:
    """Edits of a refined photo whose features stay where they were fitted, and the same with features that follow."""
    r = latent.refinement
    assert r is not None
    features = {size: tensor.float()[None] for size, tensor in r.features.items()}
    fixed = with_changes(g, features, {}, pivot=r.pivot, gain=r.gain)
    sliders = le.named_directions(g)
    edits = [le.Edit(turn_of(g), 2.0), le.Edit(sliders["age"], 2.5), le.Edit(sliders["smile"], -3.0)]
    rows: list[list[tuple[str, Image.Image]]] = [[], []]
    for edit in edits:
        moved, label = le.edited(latent, [edit]), f"{edit.direction.name} {edit.strength:+g}"
        rows[0].append((f"fixed: {label}", sized_images(render_tensor(fixed, moved.ws[None]))[0]))
        rows[1].append((f"following: {label}", le.render(g, moved)))
    return rows


def with_hints_drawn(image: Image.Image, hints: Sequence[le.ColorHint]) -> Image.Image:
    """An image in grayscale with its color hints drawn as dots."""
    out, size = image.convert("L").convert("RGB"), image.width
    draw = ImageDraw.Draw(out)
    for hint in hints:
        x, y, r = hint.x * size, hint.y * size, 0.035 * size
        draw.ellipse((x - r, y - r, x + r, y + r), fill=hint.color, outline="white", width=2)
    return out


def repaired(g: le.Generator, path: Path, seconds: float) -> list[list[tuple[str, Image.Image]]]:
    """A face damaged in several ways, its repairs, and the original."""
    crop = le.align(le.open_photo(path), g).image
    size = g.size_px
    mask = Image.new("L", crop.size)
    mask.paste(255, (round(0.4 * size), round(0.55 * size), round(0.9 * size), round(0.7 * size)))
    holed = crop.copy()
    holed.paste("#808080", mask=mask)
    small = crop.resize((size // 8, size // 8), Image.Resampling.BOX)
    large = small.resize(crop.size, Image.Resampling.NEAREST)
    rows = []
    hinted = le.repair(g, crop, grayscale=True, color_hints=HINTS, seconds=seconds)
    for label, damaged, found in (
        ("a hole", holed, le.repair(g, holed, mask=mask, seconds=seconds)),
        ("8 times downsampled", large, le.repair(g, small, scale=8, seconds=seconds)),
        ("no colors", crop.convert("L").convert("RGB"), le.repair(g, crop, grayscale=True, seconds=seconds)),
        ("no colors, 3 hints", with_hints_drawn(crop, HINTS), hinted),
    ):
        rows.append([(label, damaged), ("repaired", found.image), ("original", crop)])
    return rows


def compared(g: le.Generator, path: Path) -> list[list[tuple[str, Image.Image]]]:
    """A photo reconstructed by three inversion methods, and the error map of each."""
    crop = le.align(le.open_photo(path), g)
    rows = [[("photo", crop.image)], [("", crop.image)]]
    for method, seconds in (("encoder", 1.0), ("w+", 10.0), ("features", 15.0)):
        latent = le.invert(g, crop, method=method, seconds=seconds)
        found = le.compare(g, crop, latent)
        rows[0].append((f"{method}: {found.words}", le.render(g, latent)))
        rows[1].append((f"{found.psnr_db:.1f} dB", found.heat_map(size_px=g.size_px, legend=False)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of photographs")
    parser.add_argument("--seconds", type=float, default=20, help="time per inversion (default %(default)s)")
    args = parser.parse_args()
    HERE.mkdir(exist_ok=True)
    g = le.load_generator("portraits")
    if (args.photos / "astronaut.png").exists():
        sheet(repaired(g, args.photos / "astronaut.png", args.seconds), HERE / "repaired.jpg")
        sheet(compared(g, args.photos / "astronaut.png"), HERE / "differs.jpg")
    rows, faces, whole = [], [], []
    for path in sorted(p for p in args.photos.iterdir() if p.suffix in (".jpg", ".png")):
        try:
            latent, row = chain(g, path, args.seconds)
        except le.NoFaceFound as e:
            print(e)
            continue
        for prompt in ("red hair", "a blue background"):
            d = le.text_direction(g, prompt, latent=latent)
            row.append((f"“{prompt}” +2", le.render(g, le.edited(latent, [le.Edit(d, 2.0)]))))
        rows.append(row)
        faces.append(latent)
        whole.append(pasted(g, path, latent))
    sheet(rows, HERE / "chain.jpg")
    sheet(whole, HERE / "pasted.jpg", tile=PHOTO_TILE)
    sheet(followed(g, faces[0]), HERE / "following.jpg", tile=PHOTO_TILE)
    people = [faces[0], *(le.random_latent(g, s) for s in (12, 9))]
    sheet([[("", le.render(g, x)), *_edits(g, x)] for x in people], HERE / "text.jpg")
    sliders = le.named_directions(g)[:12]
    sheet([_moves(g, le.random_latent(g, 12), d) for d in sliders], HERE / "sliders.jpg")
    motion(g)
    text(g)
    dragging(g)
    local(g)
    recipe_on_many(g)


def local(g: le.Generator) -> None:
    """Sliders restricted to regions of the image, and parts transferred from other faces."""
    sliders, face, others = le.named_directions(g), le.random_latent(g, 1), [le.random_latent(g, s) for s in (2, 8)]
    smile, hair, light = (sliders[name] for name in ("smile", "blue hair", "green background"))

    def shown(label: str, *edits: le.Edit) -> tuple[str, Image.Image]:
        return label, le.render(g, le.edited(face, edits))

    whole = [le.Edit(d, 2.5) for d in (smile, hair, light)]
    places = [le.face_part(g, face, part) for part in ("mouth", "hair", "background")]
    inside = [replace(edit, region=place) for edit, place in zip(whole, places, strict=True)]
    rows = [[shown("face"), *(shown(f"{e.direction.name} +2.5", e) for e in whole), shown("all three", *whole)]]
    rows.append([shown(""), *(shown(f"only {e.region.name}", e) for e in inside), shown("each in its part", *inside)])
    for other in others:
        transfers = [le.transfer_part(g, face, other, part) for part in ("mouth", "eyes", "hair", "face")]
        rows.append([("source", le.render(g, other)), *(shown(e.region.name, e) for e in transfers)])
    sheet(rows, HERE / "local.jpg")


def recipe_on_many(g: le.Generator) -> None:
    """Several faces before and after the same recipe."""
    faces = [le.random_latent(g, seed) for seed in g.bundle.about["example_seeds"][:6]]
    sliders = le.named_directions(g)
    smile = le.Edit(sliders["smile"], 1.5, region=le.face_part(g, faces[0], "mouth"))
    made = [le.Edit(le.text_direction(g, "red hair"), 1.5), le.Edit(sliders["blue background"], 2.0), smile]
    recipe = le.Recipe.of(made, g)
    after = [le.edited(face, le.retarget_edits(g, face, recipe.edits(g))) for face in faces]
    sheet([[("", le.render(g, x)) for x in row] for row in (faces, after)], HERE / "recipe.jpg")


def motion(g: le.Generator) -> None:
    """A loop, keyframes towards another face, and motion transferred to another face."""
    one, other = le.random_latent(g, 9), le.random_latent(g, 12)
    turn, hair = turn_of(g), le.text_direction(g, "long hair")
    loop = le.Animation(2.0, loop=True, tracks=(le.ramp(turn, -2, 2, 2.0, loop=True),))
    keys = [le.Keyframe(0.0, (), one), le.Keyframe(1.0, (le.Edit(hair, 2.0),), one), le.Keyframe(2.0, (), other)]
    drawn = list(render_frames(g, one, loop, fps=10))
    moved = le.Animation(2.0, motion=extract_motion(VideoClip(tuple(drawn), 10), g))
    between = le.Animation.from_keyframes(keys, 2.0)
    rows = [drawn, *(list(render_frames(g, x, motion, fps=10)) for x, motion in ((one, between), (other, moved)))]
    names = ("loop", "keyframes", "its motion")
    shown = [
        [(f"{n} {i / 10:.1f} s", row[i]) for i in (0, 3, 6, 9, 12, 15, 19)] for n, row in zip(names, rows, strict=True)
    ]
    sheet(shown, HERE / "motion.jpg")


def text(g: le.Generator) -> None:
    """Faces generated from text, and prompts applied with two methods."""
    sheet(
        [[(prompt, le.render(g, le.generate_from_text(g, prompt, seconds=5))) for prompt in GENERATED_PROMPTS]],
        HERE / "imagined.jpg",
    )
    ways = [(p, m) for p in ("brown hair", "stubble") for m in ("fast", "global")]
    rows = []
    for seed in (12, 9, 61):
        latent = le.random_latent(g, seed)
        directions = [le.text_direction(g, p, method=m, latent=latent) for p, m in ways]
        edited = [le.render(g, le.edited(latent, [le.Edit(d, 2.0)])) for d in directions]
        shown = [(f"{p}, {m}", picture) for (p, m), picture in zip(ways, edited, strict=True)]
        rows.append([("face", le.render(g, latent)), *shown])
    sheet(rows, HERE / "text_ways.jpg")


def dragging(g: le.Generator) -> None:
    """Handles and targets on a face, and the drag applied half and in full."""
    drags = {
        "mouth up": [((0.40, 0.79), (0.37, 0.75)), ((0.60, 0.79), (0.63, 0.75))],
        "jaw wider": [((0.24, 0.85), (0.19, 0.85)), ((0.76, 0.85), (0.81, 0.85))],
        "head right": [((0.50, 0.68), (0.56, 0.68))],
    }
    rows = []
    for seed, (name, handles) in zip(g.bundle.about["example_seeds"], drags.items(), strict=False):
        latent = le.random_latent(g, seed)
        d = le.drag_direction(latent, le.drag(g, latent, handles, seconds=30), handles)
        moved = [(f"{name} {s:g}", le.render(g, le.edited(latent, [le.Edit(d, s)]))) for s in (0.0, 0.5, 1.0)]
        marked = moved[0][1].resize((TILE, TILE), Image.Resampling.BICUBIC)
        draw = ImageDraw.Draw(marked)
        for start, end in handles:
            (x, y), (u, v) = ((a * TILE, b * TILE) for a, b in (start, end))
            draw.line((x, y, u, v), fill="white", width=2)
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill="#2558c9", outline="white")
            draw.ellipse((u - 3, v - 3, u + 3, v + 3), outline="white", width=2)
        rows.append([(name, marked), *moved[1:]])
    sheet(rows, HERE / "dragging.jpg")


def _edits(g: le.Generator, latent: le.Latent) -> list[tuple[str, Image.Image]]:
    directions = [le.text_direction(g, p, latent=latent) for p in PROMPTS]
    return [(d.name, le.render(g, le.edited(latent, [le.Edit(d, 2.0)]))) for d in directions]


def _moves(g: le.Generator, latent: le.Latent, d: le.Direction) -> list[tuple[str, Image.Image]]:
    strengths = (-3.0, 0.0, 3.0)
    return [(f"{d.name} {s:+g}", le.render(g, le.edited(latent, [le.Edit(d, s)]))) for s in strengths]


if __name__ == "__main__":
    main()
