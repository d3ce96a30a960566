"""Makes the pictures of the README from real photographs: ``python docs/make_pictures.py FOLDER_OF_PHOTOS``.

The committed ones show the astronaut Eileen Collins (NASA, public domain) and faces of nobody.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw

import latent_editor as le

HERE = Path(__file__).parent / "pictures"
TILE, LABEL = 160, 18
PROMPTS = ("red hair", "a beard", "an old person", "long hair", "blond hair", "a blue background")


def sheet(rows: list[list[tuple[str, Image.Image]]], path: Path) -> None:
    """Writes rows of labelled tiles."""
    out = Image.new("RGB", (TILE * max(len(r) for r in rows), (TILE + LABEL) * len(rows)), "#f5f5f3")
    draw = ImageDraw.Draw(out)
    for y, row in enumerate(rows):
        for x, (label, picture) in enumerate(row):
            at = (x * TILE, y * (TILE + LABEL))
            out.paste(picture.resize((TILE, TILE), Image.Resampling.BICUBIC), (at[0], at[1] + LABEL))
            draw.text((at[0] + 4, at[1] + 3), label, fill="#171718")
    out.save(path, quality=80)
    print(path)


def chain(g: le.Generator, path: Path, seconds: float) -> tuple[le.Latent, list[tuple[str, Image.Image]]]:
    """A photo's crop, what the encoder makes of it, and what the optimizer does."""
    photo = le.open_photo(path)
    crop = le.align(photo, g)
    first = le.invert(g, crop, method="encoder")
    latent = le.invert(g, crop, method="w+", seconds=seconds)
    row = [("photo", crop.image)]
    row += [(f"{x.method} {x.psnr_db:.1f} dB", le.render(g, x)) for x in (first, latent)]
    return latent, row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    HERE.mkdir(exist_ok=True)
    g = le.load_generator("portraits")
    rows, faces = [], []
    for path in sorted(p for p in args.photos.iterdir() if p.suffix in (".jpg", ".png")):
        try:
            latent, row = chain(g, path, args.seconds)
        except le.NoFaceFound as e:
            print(e)
            continue
        for prompt in ("red hair", "a blue background"):
            d = le.text_direction(g, prompt, latent=latent)
            row.append((f"“{prompt}” +2", le.render(g, le.apply(latent, [le.Edit(d, 2.0)]))))
        rows.append(row)
        faces.append(latent)
    sheet(rows, HERE / "chain.jpg")
    people = [faces[0], *(le.random_latent(g, s) for s in (18, 34))]
    sheet([[("", le.render(g, x)), *_edits(g, x)] for x in people], HERE / "text.jpg")
    sliders = le.named_directions(g)[:12]
    sheet([_moves(g, le.random_latent(g, 18), d) for d in sliders], HERE / "sliders.jpg")


def _edits(g: le.Generator, latent: le.Latent) -> list[tuple[str, Image.Image]]:
    directions = [le.text_direction(g, p, latent=latent) for p in PROMPTS]
    return [(d.name, le.render(g, le.apply(latent, [le.Edit(d, 2.0)]))) for d in directions]


def _moves(g: le.Generator, latent: le.Latent, d: le.Direction) -> list[tuple[str, Image.Image]]:
    strengths = (-3.0, 0.0, 3.0)
    return [(f"{d.name} {s:+g}", le.render(g, le.apply(latent, [le.Edit(d, s)]))) for s in strengths]


if __name__ == "__main__":
    main()
