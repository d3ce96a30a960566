"""``edit FACE.latent -o OUT.png``: edits a latent and renders it."""

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
    from latent_editor.cli.parser import Commands, Parser
    from latent_editor.core.values import Direction, Directions, Edit, Latent
    from latent_editor.generators import Generator


def add(commands: Commands) -> None:
    parser = add_command(commands, "edit", run, about="Edit a latent and render it.")
    parser.add_argument("latent", metavar="FACE.latent")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.png")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=name_and_strength,
        metavar="NAME=X",
        help="set a slider; a unique prefix of its name is enough (repeatable)",
    )
    parser.add_argument(
        "--prompt",
        action="append",
        default=[],
        type=name_and_strength,
        metavar="TEXT=X",
        help="edit described by a prompt: 'red hair=1.5', 'young -> old | not bald=1' (repeatable)",
    )
    parser.add_argument(
        "--method",
        default="fast",
        metavar="M",
        help="how to find a prompt's direction: fast (default), global (StyleCLIP global directions) or optimize "
        "(latent optimization for this face)",
    )
    parser.add_argument(
        "--threshold", type=number, metavar="T", help="for global: 0..1, higher is more disentangled (default: 0.2)"
    )
    parser.add_argument(
        "--mapper",
        action="append",
        default=[],
        type=name_and_strength,
        metavar="FILE=X",
        help="apply a trained latent mapper (repeatable)",
    )
    _add_parts(parser)
    parser.add_argument("--recipe", metavar="FILE", help="apply a saved recipe before the other edits")
    parser.add_argument("--save-recipe", metavar="FILE", help="save all these edits to apply them to other photos")
    parser.add_argument("--paste", metavar="PHOTO", help="paste the face back into its photo")
    add_face(parser)


def _add_parts(parser: Parser) -> None:
    parser.add_argument(
        "--region",
        metavar="PART",
        help="restrict sliders and prompts to a region: eyes, nose, mouth, face, hair, background, or a mask image "
        "that is white there",
    )
    parser.add_argument(
        "--transfer",
        action="append",
        default=[],
        metavar="PART=X",
        type=part_and_amount,
        help="transfer a part of the source face (eyes, nose, mouth, face or hair), X in 0..1 (repeatable)",
    )
    parser.add_argument("--source-face", metavar="OTHER", help="source of --transfer: a photo or a latent")


def run(arguments: argparse.Namespace) -> Result:
    from latent_editor.core import tensor_files
    from latent_editor.media import exports

    output = check_output(arguments.output, PICTURE_SUFFIX)
    latent = le.Latent.load(arguments.latent)
    recipe = le.Recipe.load(arguments.recipe) if arguments.recipe else None
    recipe_output = check_output(arguments.save_recipe) if arguments.save_recipe else None
    photo = le.open_photo(arguments.paste) if arguments.paste else None
    mappers = [(le.TextMapper.load(path), strength) for path, strength in arguments.mapper]
    if (not arguments.source_face) != (not arguments.transfer):
        raise le.BadValue("--transfer and --source-face need each other: name a part and the face to transfer it from.")
    g = le.load_generator(arguments.model)
    g.check(latent)
    if arguments.set or arguments.prompt or photo is not None:
        show_preparation(g, *(() if arguments.set else ("faces", "text") if arguments.prompt else ("faces",)))
    edits = le.retarget_edits(g, latent, recipe.edits(g)) if recipe else []
    new = [*_slider_edits(g, arguments.set), *_prompt_edits(g, latent, arguments)]
    new += [le.Edit(mapper.direction(g, latent), strength) for mapper, strength in mappers]
    if arguments.region is not None:
        region = _region(g, latent, arguments.region)
        new = [replace(edit, region=region) for edit in new]
    edits += new
    edits += _transfer_edits(g, latent, arguments)
    if recipe_output is not None:
        le.Recipe.of(edits, g).save(recipe_output)
    if photo is None:
        image = le.render(g, le.edited(latent, edits))
    else:
        crop = le.align(photo, g, face=arguments.face)
        image = le.paste_edit(g, photo, crop, latent, edits)
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
    held = "" if kept == 1 else f"\nScaled to {kept:.0%}: combined, these edits exceed the model's range."
    return Result({**data, "output": str(output)}, f"{output}: {changes}{held}")


def _transfer_edits(g: Generator, latent: Latent, arguments: argparse.Namespace) -> list[Edit]:
    """The edits of ``--transfer``; the source face is a photo or a latent."""
    if not arguments.source_face:
        return []
    path, crop = Path(arguments.source_face), None
    if path.suffix.lower() in (LATENT_SUFFIX, ".safetensors"):
        other = le.Latent.load(path)
    else:
        crop = le.align(le.open_photo(path), g)
        other = le.invert(g, crop, method="encoder")
    edits = []
    with ProgressBar("Transferring") as bar:
        for part, amount in arguments.transfer:
            name = path.stem[:40]
            edits.append(
                le.transfer_part(g, latent, other, part, photo=crop, amount=amount, name=name, on_step=bar.show)
            )
    return edits


def part_and_amount(text: str) -> tuple[str, float]:
    """ "mouth=0.8" → ("mouth", 0.8); "mouth" → ("mouth", 1.0)."""
    return name_and_strength(text) if "=" in text else (text.strip(), 1.0)


def _region(g: Generator, latent: Latent, part_or_path: str) -> le.Region:
    """A part of the face by its name, or the region that a mask image shows."""
    if part_or_path in le.PARTS:
        return le.face_part(g, latent, part_or_path)
    path = Path(part_or_path)
    if not path.is_file():
        raise le.BadValue(f"{shorten(part_or_path)!r} is neither a part ({', '.join(le.PARTS)}) nor an image file.")
    return le.Region.of(le.open_photo(path).image, path.stem[:40])


def find_direction(directions: Directions, name: str) -> Direction:
    """Finds a direction by its name or by a unique prefix of it, ignoring case.

    Raises:
        UnknownDirection: no direction matches, or several do.
    """
    matching = [d for d in directions if d.name.casefold().startswith(name.casefold())] if name else []
    exact = [d for d in matching if d.name.casefold() == name.casefold()]
    if len(exact or matching) == 1:
        return (exact or matching)[0]
    problem = "Several directions begin with" if matching else "No direction is called"
    choices = ", ".join(d.name for d in matching or directions)
    raise le.UnknownDirection(f"{problem} {shorten(name)!r}: choose one of {choices}.")


def _slider_edits(g: Generator, settings: list[tuple[str, float]]) -> list[Edit]:
    directions = le.named_directions(g) if settings else le.Directions()
    return [le.Edit(find_direction(directions, name), strength) for name, strength in settings]


def _prompt_edits(g: Generator, latent: Latent, arguments: argparse.Namespace) -> list[Edit]:
    edits = []
    options: dict[str, Any] = {"method": arguments.method}
    if arguments.threshold is not None:
        options["threshold"] = arguments.threshold
    for prompt, strength in arguments.prompt:
        with ProgressBar(f"Reading {shorten(prompt, 30)!r}") as bar:
            direction = le.text_direction(g, prompt, latent=latent, on_step=bar.show, **options)
        edits.append(le.Edit(direction, strength))
    return edits
