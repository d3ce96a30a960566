"""What to tell somebody whose photo will not come out well: at most two sentences, none when all is well."""

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
from latent_editor.networks.face_views import CENTRE, FRAME, HALF_AXES, NEEDED
from latent_editor.networks.faces import canonical_points
from latent_editor.networks.identity import IdentityNet
from latent_editor.networks.similarity_statistics import SimilarityStatistics, landmark_net, load_similarity_statistics
from latent_editor.networks.picture_properties import Range, picture_properties
from latent_editor.ops import affine

MAX_SENTENCES = 2
#: Below this the landmark network rather sees no face. Portraits give 0.99 and more.
SURE = 0.5
#: Below this, in a sharp and well-lit picture, it is unsure: heads turned by 45° gave 0.34 to 0.99. The points alone
#: tell less: the network draws them towards those of a face that looks at the camera.
UNSURE = 0.97
#: Between these all is well whatever is usual: of a model that was learned from few pictures too little may be known,
#: and dark skin is no dark picture. In the units of the facts.
FINE = {"light": (0.12, 0.8), "detail": (-1.3, -0.5), "misfit": (0.0, 0.15), "turn": (-0.3, 0.3)}
#: Of the face, how much may lie beyond the photo's edge; and how much the photo may be enlarged before it shows.
CUT_OFF, ENLARGED = 0.08, 2.5


@dataclass(frozen=True)
class Facts:
    """What was measured about one picture.

    Attributes:
        values: Of :func:`latent_editor.networks.picture_properties.picture_properties`.
        ranges: What is usual of them.
        distance: Of the encoder's latent from those of usual pictures, 1 where the usual ends; None without encoder.
        beyond: Share of the face that lies beyond the photo's edge.
        enlarged: How many pixels of the crop one pixel of the photo became.
        alike: Whether the face was met all the same; None where that was not measured.
    """

    values: Mapping[str, float]
    ranges: Mapping[str, Range]
    distance: float | None = None
    beyond: float = 0.0
    enlarged: float = 1.0
    alike: bool | None = None

    def below(self, name: str) -> bool:
        """Whether a fact lies below what is usual, and below what is :data:`FINE`."""
        if name not in self.values or name not in self.ranges:
            return False
        low, _ = FINE.get(name, (math.inf, 0.0))
        return self.values[name] < min(self.ranges[name].low, low)

    def above(self, name: str) -> bool:
        """The same for above."""
        if name not in self.values or name not in self.ranges:
            return False
        _, high = FINE.get(name, (0.0, -math.inf))
        return self.values[name] > max(self.ranges[name].high, high)


@dataclass(frozen=True)
class Rule:
    """When to say what.

    Attributes:
        name: In a word, for programs.
        applies: Whether the facts call for it.
        sentence: What is wrong, and what to do.
    """

    name: str
    applies: Callable[[Facts], bool]
    sentence: str


def _turned(f: Facts) -> bool:
    unsure = f.values.get("face", 1.0) < UNSURE and not f.below("detail") and not f.below("light")
    return unsure or f.above("turn") or f.below("turn")


#: In the order of what matters most. Where there is no face, nothing that is said about it would mean anything.
RULES = (
    Rule(
        "no face",
        lambda f: f.values.get("face", 1.0) < SURE,
        "No face is seen where this model expects one, and it can draw nothing else: choose another photo, or move the "
        "square.",
    ),
    Rule(
        "cut off",
        lambda f: f.beyond > CUT_OFF,
        "Part of the face lies beyond the photo's edge and is made up: a photo that shows all of it comes out better.",
    ),
    Rule(
        "turned",
        _turned,
        "The face is turned away or partly hidden, and this model has never seen a profile view: a photo that looks at "
        "the camera comes out better.",
    ),
    Rule(
        "hidden",
        lambda f: f.above("misfit"),
        "Eyes, nose and mouth are not where a face has them, as if something hid part of it: a photo that shows the "
        "whole face comes out better.",
    ),
    Rule(
        "dark",
        lambda f: f.below("light"),
        "The face lies in the dark, more than this model knows it: brighten the photo, or choose one with more light.",
    ),
    Rule(
        "bright",
        lambda f: f.above("light"),
        "The face is overexposed, more than this model knows it: darken the photo, or choose one with less light.",
    ),
    Rule(
        "small",
        lambda f: f.enlarged > ENLARGED,
        "The face is small in this photo, so that its detail has to be made up: choose one taken from nearer.",
    ),
    Rule(
        "blurred",
        lambda f: f.below("detail"),
        "The face is blurred, so that its detail has to be made up: choose a sharper photo.",
    ),
    Rule(
        "grainy",
        lambda f: f.above("detail"),
        "The photo is grainy, and the grain will be smoothed away with fine detail: choose one with more light.",
    ),
    Rule(
        "without colour",
        lambda f: _far(f) and f.below("colour"),
        "The photo has no colours, which this model hardly knows: expect made-up tints.",
    ),
    Rule(
        "far",
        lambda f: _far(f) and f.alike is False,
        "This photo is unlike those that the model has learned from, so that the likeness may stay poor.",
    ),
)


def _far(f: Facts) -> bool:
    return f.distance is not None and f.distance > 1


def advise(
    g: Generator,
    crop: Crop | Image.Image,
    *,
    photo: Photo | None = None,
    alike: bool | None = None,
    identity: IdentityNet | None = None,
) -> tuple[str, ...]:
    """Plain advice about a picture that is to be reconstructed.

    Args:
        g: The generator.
        crop: What :func:`align` gave, or a picture that is aligned already.
        photo: What the crop was cut from: tells a face that is small or cut off.
        alike: Whether the reconstruction met the face; being unlike the data is only mentioned where it did not.
        identity: As in :func:`compare`.

    Returns:
        Two sentences at most, the most important first; none where all is well.
    """
    facts = measure(g, crop, photo=photo, alike=alike, statistics=load_similarity_statistics(g, net=identity))
    return sentences(facts)


def sentences(facts: Facts) -> tuple[str, ...]:
    """What the facts call for."""
    found = [rule for rule in RULES if rule.applies(facts)]
    if found and found[0].name == "no face":
        found = found[:1]
    return tuple(rule.sentence for rule in found[:MAX_SENTENCES])


def measure(
    g: Generator,
    crop: Crop | Image.Image,
    *,
    statistics: SimilarityStatistics,
    photo: Photo | None = None,
    alike: bool | None = None,
) -> Facts:
    """Measures what :data:`RULES` ask for. Arguments as in :func:`advise`."""
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
    beyond, enlarged = 0.0, 1.0
    if isinstance(crop, Crop):
        enlarged = 1 / max(affine.scale_of(crop.crop_to_photo), 1e-6)
        if photo is not None and points and set(points) >= NEEDED:
            beyond = beyond_edge(crop, photo.image.size, points)
    return Facts(values, statistics.ranges, distance, beyond, enlarged, alike)


def beyond_edge(crop: Crop, photo_size: tuple[int, int], points: FractionLandmarks) -> float:
    """The share 0..1 of a crop's face that lies outside of a photo of ``photo_size`` (width, height)."""
    along = (np.arange(24) + 0.5) / 12 - 1
    x, y = (v.ravel() for v in np.meshgrid(along, along))
    disc = np.stack([x, y], 1)[x**2 + y**2 <= 1] * np.array(HALF_AXES) + np.array(CENTRE)
    to_crop = affine.similarity(landmark_array(FRAME, FRAME), landmark_array(points, FRAME))
    there = affine.transformed(crop.crop_to_photo, affine.transformed(to_crop, disc) * crop.image.width)
    outside = (there < 0).any(1) | (there > np.array(photo_size)).any(1)
    return float(outside.mean())
