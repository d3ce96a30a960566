"""``edit FACE.latent -o OUT.png``: moves sliders of a latent and renders it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import latent_editor as le
from latent_editor.cli.output import LATENT_SUFFIX, PICTURE_SUFFIX, check_output
from latent_editor.cli.parser import Result, add_command, add_face, name_and_strength, number, shorten
from latent_editor.cli.preparing import show_preparation
from latent_editor.cli.progress import ProgressBar

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands
    from latent_editor.core.values import Direction, Directions, Edit, Latent
    from latent_editor.generators import Generator


def add(commands: Commands) -> None:
    parser = add_command(commands, "edit", run, about="Change a latent and render it.")
    parser.add_argument("latent", metavar="FACE.latent")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.png")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=name_and_strength,
        metavar="NAME=X",
        help="move a slider; the beginning of its name is enough (repeatable)",
    )
    parser.add_argument(
        "--text",
        action="append",
        default=[],
        type=name_and_strength,
        metavar="PROMPT=X",
        help="change what a prompt describes: 'red hair=1.5', 'young -> old | not bald=1' (repeatable)",
    )
    parser.add_argument(
        "--method",
        default="fast",
        metavar="M",
        help="how prompts are read: fast (default), global (StyleCLIP's, in StyleSpace) or optimize (for this face)",
    )
    parser.add_argument(
        "--threshold", type=number, metavar="T", help="for global: 0..1, the higher the less comes along (default: 0.2)"
    )
    parser.add_argument(
        "--mapper",
        action="append",
        default=[],
        type=name_and_strength,
        metavar="FILE=X",
        help="change what a mapper was trained for (repeatable)",
    )
    parser.add_argument(
        "--region",
        metavar="PART",
        help="let the sliders and prompts act in a part only: eyes, nose, mouth, face, hair, background, or a picture "
        "that is white there",
    )
    parser.add_argument(
        "--take",
        action="append",
        default=[],
        metavar="PART=X",
        type=part_and_amount,
        help="take a part of the face of --from: eyes, nose, mouth, face or hair, by an amount of 0..1 (repeatable)",
    )
    parser.add_argument("--from", dest="source", metavar="OTHER", help="the face to take from: a photo, or a latent")
    parser.add_argument("--recipe", metavar="FILE", help="do what a saved recipe says, before the rest")
    parser.add_argument("--save-recipe", metavar="FILE", help="save all these edits, to replay them on other photos")
    parser.add_argument("--paste", metavar="PHOTO", help="paste the face back into the photo that it came from")
    add_face(parser)


def run(arguments: argparse.Namespace) -> Result:
    from latent_editor.compositing import edited_landmarks
    from latent_editor.core import tensor_files
    from latent_editor.media import exports

    output = check_output(arguments.output, PICTURE_SUFFIX)
    latent = le.Latent.load(arguments.latent)
    recipe = le.Recipe.load(arguments.recipe) if arguments.recipe else None
    recipe_output = check_output(arguments.save_recipe) if arguments.save_recipe else None
    photo = le.open_photo(arguments.paste) if arguments.paste else None
    mappers = [(le.TextMapper.load(path), strength) for path, strength in arguments.mapper]
    if (not arguments.source) != (not arguments.take):
        raise le.BadValue("--take needs --from, and --from --take: name a part and the face that it is taken from.")
    g = le.load_generator(arguments.model)
    g.check(latent)
    if arguments.set or arguments.text or photo is not None:
        show_preparation(g, *(() if arguments.set else ("faces", "text") if arguments.text else ("faces",)))
    edits = le.retarget_edits(g, latent, recipe.edits(g)) if recipe else []
    new = [*_named(g, arguments.set), *_described(g, latent, arguments)]
    new += [le.Edit(mapper.direction(g, latent), strength) for mapper, strength in mappers]
    if arguments.region is not None:
        region = _region(g, latent, arguments.region)
        new = [replace(edit, region=region) for edit in new]
    edits += new
    edits += _taken(g, latent, arguments)
    if recipe_output is not None:
        le.Recipe.of(edits, g).save(recipe_output)
    image = le.render(g, le.edited(latent, edits))
    if photo is not None:
        # With the unedited face beside it only the change is pasted, so that the photo keeps its own detail.
        crop = le.align(photo, g, face=arguments.face)
        points = edited_landmarks(image, g, crop)
        image = le.paste(photo, crop, image, original=le.render(g, latent), landmarks=points)
    tensor_files.write_bytes(output, exports.png_bytes(image, model=g.name, edits=edits, photo=photo))
    rows = [
        {
            "name": e.direction.name,
            "strength": e.strength,
            "source": e.direction.source,
            "region": e.region.name if e.region else None,
        }
        for e in edits
    ]
    kept = le.strength_scale(edits)
    data = {"edits": rows, "size_px": list(image.size), "pasted": photo is not None, "model": g.name, "kept": kept}
    changes = ", ".join(f"{e.direction.name} {e.strength:+g}" for e in edits) or "no change"
    held = "" if kept == 1 else f"\nHeld back to {kept:.0%} of that, the most that the model can show."
    return Result({**data, "output": str(output)}, f"{output}: {changes}{held}")


def _taken(g: Generator, latent: Latent, arguments: argparse.Namespace) -> list[le.Edit]:
    """What --take asks for, of a photo's face or a latent's."""
    if not arguments.source:
        return []
    path, crop = Path(arguments.source), None
    if path.suffix.lower() in (LATENT_SUFFIX, ".safetensors"):
        other = le.Latent.load(path)
    else:
        crop = le.align(le.open_photo(path), g)
        other = le.invert(g, crop, method="encoder")
    edits = []
    with ProgressBar("Taking") as bar:
        for part, amount in arguments.take:
            name = path.stem[:40]
            edits.append(
                le.transfer_part(g, latent, other, part, photo=crop, amount=amount, name=name, on_step=bar.show)
            )
    return edits


def part_and_amount(text: str) -> tuple[str, float]:
    """ "mouth=0.8" → ("mouth", 0.8); "mouth" takes all of it."""
    return name_and_strength(text) if "=" in text else (text.strip(), 1.0)


def _region(g: Generator, latent: Latent, wish: str) -> le.Region:
    """A part of the face by its name, else a picture of the region."""
    if wish in le.PARTS:
        return le.face_part(g, latent, wish)
    if not Path(wish).is_file():
        raise le.BadValue(
            f"{shorten(wish)!r} is neither a part ({', '.join(le.PARTS)}) nor a picture. Choose one of them."
        )
    return le.Region.of(le.open_photo(wish).image, Path(wish).stem[:40])


def find_direction(directions: Directions, name: str) -> Direction:
    """The direction of this name, or the only one whose name begins with it; upper and lower case are the same.

    Raises:
        UnknownDirection: none, or several.
    """
    fitting = [d for d in directions if d.name.casefold().startswith(name.casefold())] if name else []
    exact = [d for d in fitting if d.name.casefold() == name.casefold()]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    problem = "Several directions begin with" if fitting else "No direction is called"
    there_are = ", ".join(d.name for d in fitting or directions)
    raise le.UnknownDirection(f"{problem} {shorten(name)!r}: choose one of {there_are}.")


def _named(g: Generator, wishes: list[tuple[str, float]]) -> list[Edit]:
    directions = le.named_directions(g) if wishes else le.Directions()
    return [le.Edit(find_direction(directions, name), strength) for name, strength in wishes]


def _described(g: Generator, latent: Latent, arguments: argparse.Namespace) -> list[Edit]:
    edits = []
    options: dict[str, Any] = {"method": arguments.method}
    if arguments.threshold is not None:
        options["threshold"] = arguments.threshold
    for prompt, strength in arguments.text:
        with ProgressBar(f"Reading {shorten(prompt, 30)!r}") as bar:
            direction = le.text_direction(g, prompt, latent=latent, on_step=bar.show, **options)
        edits.append(le.Edit(direction, strength))
    return edits
