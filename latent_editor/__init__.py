"""A latent-space photo editor: the public Python API.

::

    import latent_editor as le

    g = le.load_generator("portraits")
    photo = le.open_photo("me.jpg")
    crop = le.align(photo, g)
    latent = le.invert(g, crop, seconds=20)
    sliders = le.named_directions(g)
    edits = [le.Edit(sliders[0], 1.5)]
    face = le.render(g, le.edited(latent, edits))
    whole = le.paste_edit(g, photo, crop, latent, edits)

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
        disentangle_direction,
        fit_direction,
        fit_direction_from_examples,
        named_directions,
        stylespace_channels,
    )
    from latent_editor.editing.edits import edited, layer_range, strength_scale
    from latent_editor.editing.face_parts import PARTS, face_part
    from latent_editor.editing.part_transfer import transfer_part
    from latent_editor.editing.paste_back import paste_edit
    from latent_editor.editing.point_drag import DragStep, drag, drag_direction
    from latent_editor.editing.retarget import retarget_edits
    from latent_editor.editing.style_mixing import interpolate, mix
    from latent_editor.generators import Generator, load_generator, random_latent, save_generator
    from latent_editor.inversion import invert
    from latent_editor.media.photos import open_photo
    from latent_editor.models.bundle import model_names
    from latent_editor.motion import Animation, Keyframe, animate, ramp
    from latent_editor.networks.perceptual import psnr_db
    from latent_editor.preparation import prepare, prepared
    from latent_editor.recipes import Recipe
    from latent_editor.rendering import render, render_batch
    from latent_editor.restoration.color_hints import ColorHint
    from latent_editor.restoration.repair import RepairResult, repair
    from latent_editor.similarity import IdentityChange, Similarity, compare, identity_change
    from latent_editor.text import TextMapper, generate_from_text, text_direction, train_mapper

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
    "ColorHint",
    "Crop",
    "Direction",
    "Directions",
    "DragStep",
    "Edit",
    "Face",
    "Generator",
    "IdentityChange",
    "Keyframe",
    "Latent",
    "LatentEditorError",
    "MissingPart",
    "NoFaceFound",
    "OnStep",
    "Photo",
    "Recipe",
    "Refinement",
    "Region",
    "RepairResult",
    "Similarity",
    "Step",
    "TextMapper",
    "UnknownDirection",
    "UnknownModel",
    "__version__",
    "align",
    "animate",
    "channel_direction",
    "compare",
    "crop_by_hand",
    "disentangle_direction",
    "drag",
    "drag_direction",
    "edited",
    "face_part",
    "find_faces",
    "fit_direction",
    "fit_direction_from_examples",
    "generate_from_text",
    "identity_change",
    "interpolate",
    "invert",
    "layer_range",
    "load_generator",
    "mix",
    "model_names",
    "named_directions",
    "open_photo",
    "paste",
    "paste_edit",
    "prepare",
    "prepared",
    "psnr_db",
    "ramp",
    "random_latent",
    "render",
    "render_batch",
    "repair",
    "retarget_edits",
    "save_generator",
    "strength_scale",
    "stylespace_channels",
    "text_direction",
    "train_mapper",
    "transfer_part",
]

#: Which module each public name lives in; the imports above say the same to type checkers, and a test compares them.
_NAMES_OF = {
    "alignment": "Face align crop_by_hand find_faces",
    "compositing": "paste",
    "restoration.color_hints": "ColorHint",
    "directions": "channel_direction disentangle_direction fit_direction fit_direction_from_examples named_directions "
    "stylespace_channels",
    "editing.edits": "edited layer_range strength_scale",
    "core.errors": "BadImage BadInput BadLatent BadMedia BadModel BadPrompt BadRecipe BadValue LatentEditorError "
    "MissingPart NoFaceFound UnknownDirection UnknownModel",
    "editing.face_parts": "PARTS face_part",
    "networks.perceptual": "psnr_db",
    "generators": "Generator load_generator random_latent save_generator",
    "editing.point_drag": "DragStep drag drag_direction",
    "inversion": "invert",
    "similarity": "Similarity IdentityChange compare identity_change",
    "editing.style_mixing": "interpolate mix",
    "motion": "Animation Keyframe animate ramp",
    "media.photos": "open_photo",
    "preparation": "prepare prepared",
    "recipes": "Recipe",
    "core.region": "Region",
    "rendering": "render render_batch",
    "core.refinement": "Refinement",
    "editing.retarget": "retarget_edits",
    "restoration.repair": "RepairResult repair",
    "editing.part_transfer": "transfer_part",
    "editing.paste_back": "paste_edit",
    "text": "TextMapper generate_from_text text_direction train_mapper",
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
