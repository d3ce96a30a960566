"""Do edits of real photographs convince? Measured along the page's whole path, by networks that had no part in it.

One command (``face_readers.py`` says where the readers come from, ``attribute_probes.py`` adds some)::

    python benchmarks/photographs.py --readers FOLDER --examples FOLDER --data V.tar --labels V.jsonl \\
        [--photos FOLDER] [--people 12] [--seconds 10] [--edits smile,age] [--model portraits] [--sheet FILE]

Each person is aligned and reconstructed as on the page, and gets twelve edits at ±2 by the slider of that name or,
where the model has none, by a prompt. An edit's effects are differences to the unedited reconstruction. Writes
``benchmarks/results/photographs.json`` (or ``--results``), with means only; a sheet of all people under ``runs/``,
which is never published; and to ``--sheet`` one of the people of the free examples. On a busy machine, ``--steps``
limits inversions by steps instead of seconds, so that runs can be compared.
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attribute_probes import AttributeProbes
from environment import environment
from face_readers import FaceReaders, Reading, checks
from photographed_people import FREE, Person, from_folder, labeled, spread, stacked
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from torch import Tensor

import latent_editor as le
from latent_editor.generators.pictures import to_image, to_tensor
from latent_editor.inversion import LABELS
from latent_editor.networks.faces import canonical_points

ROOT = Path(__file__).resolve().parent.parent
RESULTS, SHEET = ROOT / "benchmarks" / "results" / "photographs.json", ROOT / "runs" / "photographs.png"
#: A change of this much is as large as another: a person's own smile, ten years, half of the way to the other sex.
UNITS = {"happiness": 0.46, "years": 10.0, "sex": 0.5}
#: Below this happiness a face counts as neutral; from this age on, as over 40.
NEUTRAL, OLDER = 0.3, 40.0
#: Pixels that an edit changed by more than this, in gray levels, count as moved.
MOVED = 8.0
THUMB_PX = 144


@dataclass(frozen=True)
class Wanted:
    """One edit: the slider at a strength, or the prompt at its absolute value; ``own`` is what it should change."""

    slider: str
    strength: float
    prompt: str
    own: str
    hair: bool = False


EDITS = {
    "smile": Wanted("smile", 2, "a smile", "happiness"),
    "age": Wanted("age", 2, "an old person", "years"),
    "age at 3": Wanted("age", 3, "an old person", "years"),
    "younger": Wanted("age", -2, "a young person", "years"),
    "beard": Wanted("beard", 2, "a beard", "beard"),
    "long hair": Wanted("long hair", 2, "long hair", "long hair", hair=True),
    "blond": Wanted("blond hair", 2, "blond hair", "blond hair", hair=True),
    "red": Wanted("red hair", 2, "red hair", "red hair", hair=True),
    "grey": Wanted("grey hair", 2, "grey hair", "grey hair", hair=True),
    "glasses": Wanted("glasses", 2, "glasses", "glasses"),
    "make-up": Wanted("make-up", 2, "make-up", "make-up"),
    "turn": Wanted("turn to the right", 2, "turned to the right", "turn to the right"),
    "angry": Wanted("angry", 2, "angry", "anger"),
}


@dataclass(frozen=True, eq=False)
class Edited:
    """One person's pictures, each float32 [3, S, S] in −1..1.

    Attributes:
        psnr_db: Fidelity after each stage of the inversion, by method, and the number of "steps".
        edits: By edit: the rendered picture, and the one pasted into the photograph; none for a refused edit.
        made_by: By edit: "slider", "prompt", "unsure prompt", or why it was refused.
    """

    person: Person
    photo: Tensor
    encoder: Tensor
    reconstruction: Tensor
    psnr_db: dict[str, float]
    edits: dict[str, tuple[Tensor, Tensor]]
    made_by: dict[str, str]


def edit_person(g: le.Generator, person: Person, edits: Sequence[str], seconds: float, steps: int | None) -> Edited:
    """Reconstructs one photograph and edits it, as the page does; ``steps`` is a limit of each stage."""
    done: list[le.Step] = []
    latent = le.invert(g, person.crop, seconds=seconds, max_steps=steps, on_step=lambda step: bool(done.append(step)))
    methods = {label: method for method, label in LABELS.items()}
    psnr_db = {methods[s.label]: round(s.psnr_db, 2) for s in done if s.psnr_db is not None}
    before = le.render(g, latent)
    pictures, made_by = {}, {}
    for name in edits:
        try:
            direction, strength, made_by[name] = direction_of(g, latent, EDITS[name])
        except le.LatentEditorError as e:
            made_by[name] = f"refused: {e}"
            continue
        after = le.render(g, le.edited(latent, [le.Edit(direction, strength)]))
        pasted = le.paste(
            le.Photo(person.crop.image),
            le.Crop(person.crop.image, np.eye(2, 3), person.crop.landmarks),
            edited=after, original=before,
        )  # fmt: skip
        pictures[name] = (tensor(g, after), tensor(g, pasted))
    encoder = le.render(g, le.invert(g, person.crop, method="encoder", seconds=0))
    return Edited(
        person, person.picture(g), tensor(g, encoder), tensor(g, before),
        {**psnr_db, "final": round(latent.psnr_db or 0.0, 2), "steps": len(done)}, pictures, made_by,
    )  # fmt: skip


def direction_of(g: le.Generator, latent: le.Latent, wanted: Wanted) -> tuple[le.Direction, float, str]:
    """The slider of that name, or else a slider made from the prompt for this face."""
    for direction in le.named_directions(g):
        if direction.name == wanted.slider:
            return direction, wanted.strength, "slider"
    direction = le.text_direction(g, wanted.prompt, latent=latent)
    sure = direction.score is None or direction.score >= 0.3
    return direction, abs(wanted.strength), "prompt" if sure else "unsure prompt"


def tensor(g: le.Generator, image: Image.Image) -> Tensor:
    return to_tensor(image.convert("RGB"), g.size_px, torch.device("cpu"))[0]


def gray_levels(picture: Tensor) -> np.ndarray:
    """[3, S, S] in −1..1 → luminance, float32 [S, S], 0..255."""
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    return ((picture.clamp(-1, 1) + 1) * 127.5 * weights).sum(0).numpy()


def background_moved(a: Tensor, b: Tensor, background: np.ndarray) -> float:
    """Mean absolute change of the background, in levels of 0..255."""
    return float((a - b).abs().mean(0).numpy()[background].mean() * 127.5)


def sharpness(picture: Tensor, photo: Tensor, region: np.ndarray) -> float | None:
    """Fine detail of a region bool [S, S], relative to the photograph's there: 1 is as sharp. None for a few pixels."""
    if region.sum() < 100:
        return None

    def detail(of: Tensor) -> float:
        gray = gray_levels(of)
        return float(np.sqrt(np.mean((gray - gaussian_filter(gray, 1.5))[region] ** 2)))

    return detail(picture) / max(detail(photo), 1e-3)


def moved_region(after: Tensor, before: Tensor) -> np.ndarray:
    """Where two pictures differ: bool [S, S]."""
    return np.asarray(gaussian_filter(np.abs(gray_levels(after) - gray_levels(before)), 3) > MOVED)


def mean(values: Sequence[float | None] | Tensor, digits: int = 2) -> float | None:
    known = [float(v) for v in values if v is not None]
    return round(float(np.mean(known)), digits) if known else None


def cosines(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=1)


@dataclass(frozen=True, eq=False)
class Readings:
    """All that is read off N pictures: by face networks, and by probes where they were fitted."""

    face: Reading
    probes: dict[str, Tensor]

    def __getitem__(self, index: Any) -> Readings:
        return Readings(self.face[index], {name: values[index] for name, values in self.probes.items()})

    def of(self, name: str) -> Tensor | None:
        """What is read by that name, [N]; None where nothing reads it."""
        return getattr(self.face, name) if hasattr(self.face, name) else self.probes.get(name)


def measure_edit(
    name: str, people: Sequence[Edited], read: Callable[[Tensor], Readings], base: dict[str, Readings]
) -> dict[str, Any]:
    """The effects of one edit on all people; ``base`` has the readings of "photo" and "reconstruction"."""
    ways = sorted({p.made_by[name] for p in people})
    row: dict[str, Any] = {"made_by": {way: sum(p.made_by[name] == way for p in people) for way in ways}}
    at = [i for i, p in enumerate(people) if name in p.edits]
    if not at:
        return row
    chosen, wanted = [people[i] for i in at], EDITS[name]
    photo, before = base["photo"][at], base["reconstruction"][at]
    after = read(torch.stack([p.edits[name][0] for p in chosen]))
    unwanted = {
        key: float((getattr(after.face, key) - getattr(before.face, key)).mean())
        for key in UNITS
        if key != wanted.own and (name, key) != ("angry", "happiness")  # anger is less happiness
    }
    worst = max(unwanted, key=lambda key: abs(unwanted[key]) / UNITS[key])
    row["own"] = own_effect(wanted, photo, before, after)
    backgrounds = [p.person.background(hair=wanted.hair) for p in chosen]
    regions = [moved_region(p.edits[name][0], p.reconstruction) for p in chosen]
    row |= {
        "largest_unwanted": [worst, round(unwanted[worst], 2)],
        "unwanted": {key: round(value, 2) for key, value in unwanted.items()},
        "identity_to_photo": mean(cosines(after.face.identity, photo.face.identity)),
        "identity_to_reconstruction": mean(cosines(after.face.identity, before.face.identity)),
        "teacher_to_photo": mean(cosines(after.face.teacher, photo.face.teacher)),
        "teacher_to_reconstruction": mean(cosines(after.face.teacher, before.face.teacher)),
        "background_moved": mean(
            [background_moved(p.edits[name][0], p.reconstruction, b) for p, b in zip(chosen, backgrounds, strict=True)]
        ),
        "background_moved_pasted": mean(
            [background_moved(p.edits[name][1], p.photo, b) for p, b in zip(chosen, backgrounds, strict=True)]
        ),
        "sharpness": mean([sharpness(p.edits[name][0], p.photo, r) for p, r in zip(chosen, regions, strict=True)]),
        "sharpness_unedited": mean(
            [sharpness(p.reconstruction, p.photo, r) for p, r in zip(chosen, regions, strict=True)]
        ),
    }
    return row


def own_effect(wanted: Wanted, photo: Readings, before: Readings, after: Readings) -> dict[str, Any] | None:
    """What an edit was made for: the mean change, and that of the people it matters for; None if nothing reads it."""
    known, old, new = photo.of(wanted.own), before.of(wanted.own), after.of(wanted.own)
    if known is None or old is None or new is None:
        return None
    effect, sign = new - old, 1 if wanted.strength > 0 else -1
    years = wanted.own == "years"
    concerned = known > OLDER if years else known < 0.5
    return {
        "read_as": wanted.own,
        "mean": mean(effect),
        "right_way": mean((sign * effect > 0).float()),
        "of those over 40" if years else "of those without": mean(effect[concerned]),
    }


def measure_encoder(photo: Reading, encoded: Reading, pairs: Tensor) -> dict[str, Any]:
    """The encoder alone; pairs: [N, 2, 3, S, S], photographs and what the encoder makes of them."""
    mse = (pairs[:, 0] - pairs[:, 1].clamp(-1, 1)).square().mean(dim=(1, 2, 3))
    neutral = photo.happiness < NEUTRAL
    added = {key: getattr(encoded, key) - getattr(photo, key) for key in UNITS}
    return {
        "people": len(pairs),
        "psnr_db": mean(10 * torch.log10(4 / mse)),
        "identity": mean(cosines(encoded.identity, photo.identity)),
        "teacher": mean(cosines(encoded.teacher, photo.teacher)),
        "added": {key: mean(value) for key, value in added.items()},
        "neutral_people": int(neutral.sum()),
        "added_to_neutral": {key: mean(value[neutral]) for key, value in added.items()},
    }


def averages(rows: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """Means over the edits at ±2."""
    made = [row for name, row in rows.items() if "identity_to_photo" in row and name != "age at 3"]
    keys = (
        "identity_to_photo", "identity_to_reconstruction", "teacher_to_photo", "teacher_to_reconstruction",
        "background_moved", "background_moved_pasted", "sharpness", "sharpness_unedited",
    )  # fmt: skip
    return {key: mean([row[key] for row in made]) for key in keys}


def sheet(people: Sequence[Edited], edits: Sequence[str]) -> Image.Image:
    """A row for each person: photo, encoder, reconstruction and edits."""
    columns: list[tuple[str, Callable[[Edited], Tensor | None]]] = [
        ("photo", lambda p: p.photo),
        ("encoder", lambda p: p.encoder),
        ("rebuilt", lambda p: p.reconstruction),
        *((name, lambda p, name=name: p.edits[name][0] if name in p.edits else None) for name in edits),
    ]
    head = 16
    found = Image.new("RGB", (len(columns) * THUMB_PX, head + len(people) * THUMB_PX), "white")
    draw = ImageDraw.Draw(found)
    for x, (title, picture_of) in enumerate(columns):
        draw.text((x * THUMB_PX + 4, 2), title, fill="black")
        for y, person in enumerate(people):
            picture = picture_of(person)
            if picture is not None:
                thumb = to_image(picture).resize((THUMB_PX, THUMB_PX), Image.Resampling.LANCZOS)
                found.paste(thumb, (x * THUMB_PX, head + y * THUMB_PX))
    return found


def table(found: dict[str, Any]) -> str:
    """The results for the terminal."""
    lines = [f"{'edit':10} {'made by':22} {'own effect':32} {'unwanted':20} identity teacher background sharp"]
    for name, row in found["edits"].items():
        made = ", ".join(f"{way[:18]} {count}" for way, count in row["made_by"].items())
        if "identity_to_photo" not in row:
            lines.append(f"{name:10} {made}")
            continue
        own = row["own"] or {}
        effect = " ".join(str(value) for value in own.values())
        worst, size = row["largest_unwanted"]
        lines.append(
            f"{name:10} {made:22} {effect:32} {worst + f' {size:+.2f}':20} {row['identity_to_photo']:8.2f} "
            f"{row['teacher_to_photo']:7.2f} {row['background_moved']:4.1f} {row['background_moved_pasted']:5.1f} "
            f"{row['sharpness'] or 0:5.2f}"
        )
    return "\n".join(
        [*lines, *(f"{key}: {found[key]}" for key in ("mean", "inversion_db", "reconstruction", "encoder", "readers"))]
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=Path, required=True, help="folder with the networks that read")
    parser.add_argument("--examples", type=Path, required=True, help=f"folder with {', '.join(FREE)}")
    parser.add_argument("--data", type=Path, required=True, help="aligned photographs that no training saw")
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--photos", type=Path, help="a folder of further photographs, all of which take part")
    parser.add_argument("--people", type=int, default=12, help="how many of the others (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="time of each inversion (default %(default)s)")
    parser.add_argument("--steps", type=int, help="limit each stage of an inversion by steps, not by time")
    parser.add_argument("--edits", help=f"some of: {', '.join(EDITS)}")
    parser.add_argument("--model", default="portraits", help="name or folder (default %(default)s)")
    parser.add_argument("--sheet", type=Path, help="where the sheet of the free examples goes")
    parser.add_argument("--all-sheet", type=Path, default=SHEET, help="the sheet of all people (default under runs/)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    args, began = arguments(), time.monotonic()
    edits = [name.strip() for name in args.edits.split(",")] if args.edits else list(EDITS)
    if unknown := set(edits) - set(EDITS):
        raise SystemExit(f"Unknown edits: {', '.join(sorted(unknown))}; expected some of {', '.join(EDITS)}.")
    g = le.load_generator(args.model)
    points = canonical_points(g)
    assert points is not None, "the model shows no faces"
    readers = FaceReaders(args.readers, points)
    probes = AttributeProbes.load(readers, args.readers)

    def everything(pictures: Tensor) -> Readings:
        return Readings(readers.read(pictures), {} if probes is None else probes.read(pictures))

    free = from_folder(g, args.examples, names=FREE)
    held, rows = labeled(g, args.data, args.labels)
    photos = [] if args.photos is None else from_folder(g, args.photos)
    chosen = [*free, *(held[i] for i in spread(rows, args.people - len(free)))][: args.people] + photos

    everyone = [*free, *held]
    pictures = stacked(g, everyone)
    made = [tensor(g, le.render(g, le.invert(g, p.crop, method="encoder", seconds=0))) for p in everyone]
    encoded = torch.stack(made)
    read, read_encoded = readers.read(pictures), readers.read(encoded)
    pairs = torch.stack([pictures, encoded], dim=1)
    first = slice(0, len(free))
    rest = slice(len(free), None)
    encoder = {
        "examples": measure_encoder(read[first], read_encoded[first], pairs[first]),
        "held out": measure_encoder(read[rest], read_encoded[rest], pairs[rest]),
        "all": measure_encoder(read, read_encoded, pairs),
    }
    print(f"{time.monotonic() - began:.0f} s, encoder: {encoder}", flush=True)

    seconds = args.seconds if args.steps is None else 3600.0
    le.invert(g, chosen[0].crop, seconds=seconds, max_steps=2)  # builds kernels and caches
    people = []
    for person in chosen:
        people.append(edit_person(g, person, edits, seconds, args.steps))
        print(f"{time.monotonic() - began:.0f} s, {len(people)} of {len(chosen)}: {people[-1].psnr_db}", flush=True)
    base = {
        "photo": everything(torch.stack([p.photo for p in people])),
        "reconstruction": everything(torch.stack([p.reconstruction for p in people])),
    }
    photo, rebuilt = base["photo"].face, base["reconstruction"].face
    found: dict[str, Any] = {
        "setting": environment(),
        "model": {"name": g.name, "fingerprint": g.fingerprint, "size_px": g.size_px},
        "people": {"all": len(people), "free": len(free), "over_40": int((photo.years > OLDER).sum())},
        "seconds": None if args.steps else args.seconds,
        "steps": args.steps,
        "readers": {**checks(read[rest], rows), "attributes": None if probes is None else probes.auc},
        "encoder": encoder,
        "inversion_db": {
            stage: mean([p.psnr_db.get(stage) for p in people]) for stage in ("encoder", "w+", "features", "final")
        },
        "inversion_steps": mean([p.psnr_db["steps"] for p in people]),
        "reconstruction": {
            "identity": mean(cosines(rebuilt.identity, photo.identity)),
            "teacher": mean(cosines(rebuilt.teacher, photo.teacher)),
        },
        "edits": {name: measure_edit(name, people, everything, base) for name in edits},
    }
    found["mean"] = averages(found["edits"])
    args.results.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))
    args.all_sheet.parent.mkdir(parents=True, exist_ok=True)
    sheet(people, edits).save(args.all_sheet)
    if args.sheet is not None:
        sheet([p for p in people if p.person.free], edits).save(args.sheet)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
