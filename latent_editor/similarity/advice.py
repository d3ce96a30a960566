"""Advice about photos that cannot be reconstructed well: at most two sentences, none for suitable photos."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latent_editor.core.face_geometry import FractionLandmarks, landmark_array
from latent_editor.core.values import Crop, Photo
from latent_editor.generators import Generator
from latent_editor.generators.pictures import as_rgb, fastest_dtype, to_tensor
from latent_editor.generators.refined import original
from latent_editor.networks.encoder import has_encoder, load_encoder
from latent_editor.networks.face_views import CENTER, FRAME, HALF_AXES, NEEDED
from latent_editor.networks.faces import canonical_points
from latent_editor.networks.identity import IdentityNet
from latent_editor.networks.picture_properties import Range, picture_properties
from latent_editor.networks.similarity_statistics import SimilarityStatistics, landmark_net, load_similarity_statistics
from latent_editor.ops import affine

MAX_SENTENCES = 2
#: Below this score of the landmark network there is probably no face. Portraits give 0.99 and more.
MIN_FACE_SCORE = 0.5
#: Below this score, in a sharp and well-lit picture, the head is probably turned: heads turned by 45° gave 0.34 to
#: 0.99. The landmarks alone are less reliable: the network biases them towards those of a frontal face.
MIN_FRONTAL_SCORE = 0.97
#: Values in these ranges are always fine, whatever the model's typical range: statistics of few pictures may be too
#: narrow, and dark skin is not a dark picture. In the units of the properties.
FINE = {"light": (0.12, 0.8), "detail": (-1.3, -0.5), "misfit": (0.0, 0.15), "turn": (-0.3, 0.3)}
#: Limits of the share of the face outside of the photo, and of the enlargement of the photo.
MAX_OUTSIDE, MAX_ENLARGEMENT = 0.08, 2.5


@dataclass(frozen=True)
class Measurements:
    """The measurements of one picture.

    Attributes:
        values: The picture's properties (:func:`latent_editor.networks.picture_properties.picture_properties`).
        ranges: Their typical ranges.
        distance: Distance of the encoder's latent from those of typical pictures, 1 at the limit; None without encoder.
        outside: Share of the face outside of the photo.
        enlargement: Pixels of the crop per pixel of the photo.
        recognizable: Whether the reconstruction resembles the face; None if unknown.
    """

    values: Mapping[str, float]
    ranges: Mapping[str, Range]
    distance: float | None = None
    outside: float = 0.0
    enlargement: float = 1.0
    recognizable: bool | None = None

    def below(self, name: str) -> bool:
        """Whether a property is below its typical range and below its :data:`FINE` range."""
        if name not in self.values or name not in self.ranges:
            return False
        low, _ = FINE.get(name, (math.inf, 0.0))
        return self.values[name] < min(self.ranges[name].low, low)

    def above(self, name: str) -> bool:
        """Whether a property is above its typical range and above its :data:`FINE` range."""
        if name not in self.values or name not in self.ranges:
            return False
        _, high = FINE.get(name, (0.0, -math.inf))
        return self.values[name] > max(self.ranges[name].high, high)


@dataclass(frozen=True)
class Rule:
    """A piece of advice, and when it applies.

    Attributes:
        name: Short name, for programs.
        applies: Whether it applies to a picture.
        sentence: What is wrong, and what to do.
    """

    name: str
    applies: Callable[[Measurements], bool]
    sentence: str


def _turned(f: Measurements) -> bool:
    unsure = f.values.get("face", 1.0) < MIN_FRONTAL_SCORE and not f.below("detail") and not f.below("light")
    return unsure or f.above("turn") or f.below("turn")


#: The most important first. Without a face, the others are meaningless.
RULES = (
    Rule(
        "no face",
        lambda f: f.values.get("face", 1.0) < MIN_FACE_SCORE,
        "There is no face where this model expects one, and it can draw nothing else: choose another photo, "
        "or move the square.",
    ),
    Rule(
        "cut off",
        lambda f: f.outside > MAX_OUTSIDE,
        "Part of the face is outside of the photo and is made up: a photo of the whole face gives a better result.",
    ),
    Rule(
        "turned",
        _turned,
        "The face is turned away or partly hidden, and this model was not trained on profile views: a frontal "
        "photo gives a better result.",
    ),
    Rule(
        "hidden",
        lambda f: f.above("misfit"),
        "Eyes, nose and mouth are in unusual places, as if part of the face were hidden: a photo of the whole "
        "face gives a better result.",
    ),
    Rule(
        "dark",
        lambda f: f.below("light"),
        "The face is darker than those that this model was trained on: brighten the photo, or choose one with "
        "more light.",
    ),
    Rule(
        "bright",
        lambda f: f.above("light"),
        "The face is brighter than those that this model was trained on: darken the photo, or choose one with "
        "less light.",
    ),
    Rule(
        "small",
        lambda f: f.enlargement > MAX_ENLARGEMENT,
        "The face is small in this photo, so its detail has to be made up: choose a close-up.",
    ),
    Rule(
        "blurred",
        lambda f: f.below("detail"),
        "The face is blurred, so its detail has to be made up: choose a sharper photo.",
    ),
    Rule(
        "grainy",
        lambda f: f.above("detail"),
        "The photo is noisy, and fine detail will be smoothed away with the noise: choose one with more light.",
    ),
    Rule(
        "without color",
        lambda f: _far(f) and f.below("colour"),
        "The photo has no colors, which is rare in this model's training data: expect made-up tints.",
    ),
    Rule(
        "far",
        lambda f: _far(f) and f.recognizable is False,
        "This photo differs from the model's training data, so the similarity may stay poor.",
    ),
)


def _far(f: Measurements) -> bool:
    return f.distance is not None and f.distance > 1


def advise(
    g: Generator,
    crop: Crop | Image.Image,
    *,
    photo: Photo | None = None,
    recognizable: bool | None = None,
    identity: IdentityNet | None = None,
) -> tuple[str, ...]:
    """Plain advice about a picture that is to be reconstructed.

    Args:
        g: The generator.
        crop: What :func:`align` gave, or a picture that is aligned already.
        photo: The photo that the crop was cut from: shows whether the face is small or cut off.
        recognizable: Whether the reconstruction resembles the face; a distance from the training data is mentioned only
            if it does not.
        identity: As in :func:`compare`.

    Returns:
        At most two sentences, the most important first; none for suitable photos.
    """
    found = measure(
        g, crop, photo=photo, recognizable=recognizable, statistics=load_similarity_statistics(g, net=identity)
    )
    return sentences(found)


def sentences(measured: Measurements) -> tuple[str, ...]:
    """The advice that applies."""
    found = [rule for rule in RULES if rule.applies(measured)]
    if found and found[0].name == "no face":
        found = found[:1]
    return tuple(rule.sentence for rule in found[:MAX_SENTENCES])


def measure(
    g: Generator,
    crop: Crop | Image.Image,
    *,
    statistics: SimilarityStatistics,
    photo: Photo | None = None,
    recognizable: bool | None = None,
) -> Measurements:
    """Measures what :data:`RULES` need. Arguments as in :func:`advise`."""
    g = original(g)
    image = crop.image if isinstance(crop, Crop) else crop
    points = canonical_points(g)
    picture = to_tensor(image, g.size_px, g.device)
    measured = picture_properties(landmark_net(g), picture, points)
    values = {name: float(value[0]) for name, value in measured.items()}
    distance = None
    if statistics.domain is not None and has_encoder(g):
        with torch.inference_mode():
            ws: Tensor = load_encoder(g)(as_rgb(picture), fastest_dtype(g.device))
        distance = float(statistics.domain.distances(ws)[0])
    outside, enlargement = 0.0, 1.0
    if isinstance(crop, Crop):
        enlargement = 1 / max(affine.scale_of(crop.crop_to_photo), 1e-6)
        if photo is not None and points and set(points) >= NEEDED:
            outside = share_outside(crop, photo.image.size, points)
    return Measurements(values, statistics.ranges, distance, outside, enlargement, recognizable)


def share_outside(crop: Crop, photo_size: tuple[int, int], points: FractionLandmarks) -> float:
    """The share 0..1 of a crop's face that lies outside of a photo of ``photo_size`` (width, height)."""
    along = (np.arange(24) + 0.5) / 12 - 1
    x, y = (v.ravel() for v in np.meshgrid(along, along))
    disc = np.stack([x, y], 1)[x**2 + y**2 <= 1] * np.array(HALF_AXES) + np.array(CENTER)
    to_crop = affine.similarity(landmark_array(FRAME, FRAME), landmark_array(points, FRAME))
    there = affine.transformed(crop.crop_to_photo, affine.transformed(to_crop, disc) * crop.image.width)
    outside = (there < 0).any(1) | (there > np.array(photo_size)).any(1)
    return float(outside.mean())
