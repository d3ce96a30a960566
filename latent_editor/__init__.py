"""A latent-space photo editor.

::

    import latent_editor as le

    g = le.load_generator("portraits")
    photo = le.open_photo("me.jpg")
    crop = le.align(photo, g)
    latent = le.invert(g, crop, seconds=20)
    sliders = le.named_directions(g)
    image = le.render(g, le.edited(latent, [le.Edit(sliders[0], 1.5)]))
    whole = le.paste(photo, crop, image)

Importing the package is instant and has no effect; each name is imported from its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from latent_editor.version import __version__

if TYPE_CHECKING:
    from latent_editor.alignment import Face, align, crop_by_hand, find_faces
    from latent_editor.compositing import paste
    from latent_editor.core.errors import (
        BadImage,
        BadInput,
        BadLatent,
        BadMedia,
        BadModel,
        BadPrompt,
        BadRecipe,
        BadValue,
        LatentEditorError,
        MissingPart,
        NoFaceFound,
        UnknownDirection,
        UnknownModel,
    )
    from latent_editor.core.refinement import Refinement
    from latent_editor.core.region import Region
    from latent_editor.core.values import Crop, Direction, Directions, Edit, Latent, OnStep, Photo, Step
    from latent_editor.directions import (
        channel_direction,
        clean_direction,
        fit_direction,
        fit_direction_from_examples,
        named_directions,
        stylespace_channels,
    )
    from latent_editor.editing.edits import apply, edited, layer_range, strength_kept
    from latent_editor.editing.face_parts import PARTS, face_part
    from latent_editor.editing.part_transfer import take
    from latent_editor.editing.point_drag import Dragged, drag, drag_direction
    from latent_editor.editing.retarget import found_again
    from latent_editor.editing.style_mixing import interpolate, mix
    from latent_editor.generators import Generator, generator_for, load_generator, random_latent, save_generator
    from latent_editor.inversion import invert
    from latent_editor.media.photos import open_photo
    from latent_editor.models.bundle import model_names
    from latent_editor.motion import Animation, Key, animate, sweep
    from latent_editor.networks.perceptual import psnr_db
    from latent_editor.preparation import prepare, prepared
    from latent_editor.recipes import Recipe
    from latent_editor.rendering import render, render_batch
    from latent_editor.restoration.color_hints import Dab
    from latent_editor.restoration.repair import Repaired, repair
    from latent_editor.similarity import Likeness, Moved, compare, identity_moved
    from latent_editor.text import TextMapper, imagine, text_direction, train_mapper

__all__ = [
    "PARTS",
    "Animation",
    "BadImage",
    "BadInput",
    "BadLatent",
    "BadMedia",
    "BadModel",
    "BadPrompt",
    "BadRecipe",
    "BadValue",
    "Crop",
    "Dab",
    "Direction",
    "Directions",
    "Dragged",
    "Edit",
    "Face",
    "Generator",
    "Key",
    "Latent",
    "LatentEditorError",
    "Likeness",
    "MissingPart",
    "Moved",
    "NoFaceFound",
    "OnStep",
    "Photo",
    "Recipe",
    "Refinement",
    "Region",
    "Repaired",
    "Step",
    "TextMapper",
    "UnknownDirection",
    "UnknownModel",
    "__version__",
    "align",
    "animate",
    "apply",
    "channel_direction",
    "clean_direction",
    "compare",
    "crop_by_hand",
    "drag",
    "drag_direction",
    "edited",
    "face_part",
    "find_faces",
    "fit_direction",
    "fit_direction_from_examples",
    "found_again",
    "generator_for",
    "identity_moved",
    "imagine",
    "interpolate",
    "invert",
    "layer_range",
    "load_generator",
    "mix",
    "model_names",
    "named_directions",
    "open_photo",
    "paste",
    "prepare",
    "prepared",
    "psnr_db",
    "random_latent",
    "render",
    "render_batch",
    "repair",
    "save_generator",
    "strength_kept",
    "stylespace_channels",
    "sweep",
    "take",
    "text_direction",
    "train_mapper",
]

#: Which module each public name lives in; the imports above say the same to type checkers, and a test compares them.
_NAMES_OF = {
    "alignment": "Face align crop_by_hand find_faces",
    "compositing": "paste",
    "restoration.color_hints": "Dab",
    "directions": "channel_direction clean_direction fit_direction fit_direction_from_examples named_directions "
    "stylespace_channels",
    "editing.edits": "apply edited layer_range strength_kept",
    "core.errors": "BadImage BadInput BadLatent BadMedia BadModel BadPrompt BadRecipe BadValue LatentEditorError "
    "MissingPart NoFaceFound UnknownDirection UnknownModel",
    "editing.face_parts": "PARTS face_part",
    "networks.perceptual": "psnr_db",
    "generators": "Generator generator_for load_generator random_latent save_generator",
    "editing.point_drag": "Dragged drag drag_direction",
    "inversion": "invert",
    "similarity": "Likeness Moved compare identity_moved",
    "editing.style_mixing": "interpolate mix",
    "motion": "Animation Key animate sweep",
    "media.photos": "open_photo",
    "preparation": "prepare prepared",
    "recipes": "Recipe",
    "core.region": "Region",
    "rendering": "render render_batch",
    "core.refinement": "Refinement",
    "editing.retarget": "found_again",
    "restoration.repair": "Repaired repair",
    "editing.part_transfer": "take",
    "text": "TextMapper imagine text_direction train_mapper",
    "core.values": "Crop Direction Directions Edit Latent OnStep Photo Step",
    "models.bundle": "model_names",
}
_HOME = {name: module for module, names in _NAMES_OF.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # the next access finds it without this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
