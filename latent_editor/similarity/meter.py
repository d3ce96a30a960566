"""Compares a reconstruction with its photo, and an edited face with the unedited one."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.core.face_geometry import FractionLandmarks, to_fractions
from latent_editor.core.values import Crop, Latent, Photo
from latent_editor.generators import Generator
from latent_editor.generators.pictures import from_rgb, resized, to_tensor
from latent_editor.generators.refined import generator_for, original
from latent_editor.networks.faces import canonical_points
from latent_editor.networks.identity import IdentityNet, IdentityScale
from latent_editor.networks.perceptual import load_discriminator, perceptual_distance, psnr_db
from latent_editor.networks.pixel_weights import NEEDED as WEIGHED
from latent_editor.networks.pixel_weights import face_weights
from latent_editor.networks.similarity_statistics import identity_net, load_similarity_statistics
from latent_editor.similarity.advice import measure, sentences
from latent_editor.similarity.heat_map import heat_map, residual

#: Anything that shows a picture: a crop, a picture, a latent or its ws [num_ws, w_dim], a tensor [(1,) C, H, W].
Pictured = Crop | Image.Image | Latent | Tensor

#: PSNR from which on a person is recognizable, and from which on a picture without faces is the same.
RECOGNIZED_DB, SAME_DB = 24.0, 28.0
SAME, ALIKE, OTHER = "the same person", "alike, but not quite", "somebody else"
STILL, LITTLE, ELSE = "still the same person", "a little", "somebody else"


@dataclass(frozen=True, eq=False)
class Similarity:
    """The similarity of a reconstruction to its photo.

    Attributes:
        psnr_db: Over all pixels; 100 for equal pictures.
        face_psnr_db: Weighted towards face, eyes, nose and mouth; None without landmarks.
        perceptual: Distance in the discriminator's features, from 0; None without a discriminator.
        identity: From 0, as similar as two strangers, to 1, the same picture; None without an identity network.
        words: Summary in words.
        auc: How well the identity network separates same faces from strangers, 0.5..1.
        advice: At most two sentences about what limits the similarity.
        residual: float32 [S, S], the perceived difference, ΔE in CIELAB.
        photo: float32 [1, C, S, S], −1..1: the photo.
    """

    psnr_db: float
    face_psnr_db: float | None
    perceptual: float | None
    identity: float | None
    words: str
    auc: float | None
    advice: tuple[str, ...]
    residual: Tensor = field(repr=False)
    photo: Tensor = field(repr=False)

    def heat_map(self, *, size_px: int = 512, legend: bool = True) -> Image.Image:
        """The residual as a picture; arguments as :func:`latent_editor.similarity.heat_map.heat_map`."""
        return heat_map(self.residual, self.photo, size_px=size_px, legend=legend)


@dataclass(frozen=True)
class IdentityChange:
    """Change of identity caused by an edit.

    "Still the same person" are faces as similar as one face in different light usually is; "a little" changed are those
    that are less similar, but more so than 99 % of strangers.

    Attributes:
        identity: As :attr:`Similarity.identity`, between the edited and the unedited face.
        change: 1 − identity.
        words: "still the same person", "a little" or "somebody else".
    """

    identity: float
    change: float
    words: str


def compare(
    g: Generator,
    photo: Crop | Image.Image | Tensor,
    reconstruction: Pictured,
    *,
    whole: Photo | None = None,
    identity: IdentityNet | None = None,
) -> Similarity:
    """Compares a photo's crop with its reconstruction.

    Args:
        g: The generator.
        photo: What :func:`align` gave, or a picture that is aligned already.
        reconstruction: Its latent (rendered with its refinement), or its picture.
        whole: The photo that the crop was cut from, for advice about its edges.
        identity: Another identity network (:class:`latent_editor.networks.identity.OnnxIdentity`); None for the one
            named in ``LATENT_EDITOR_IDENTITY``, else the model's CLIP.

    Returns:
        The similarity.

    Raises:
        BadLatent: a latent of another model.
        BadModel: an identity network that cannot be used.
        BadValue: a tensor that is not a picture.
    """
    target, picture = (_rgb(g, x) for x in (photo, reconstruction))
    g = original(g)
    points, discriminator = canonical_points(g), load_discriminator(g)
    face_db = None
    if points and set(points) >= WEIGHED:
        weights = face_weights(_points_of(photo, points, WEIGHED), target.shape[-1]).to(target.device)
        # The weights have mean 1: a weighted mean over pixels.
        mse = ((target - picture).square() * weights).mean() / 4
        face_db = float(-10 * mse.clamp_min(1e-10).log10())
    with torch.inference_mode():
        distance = None if discriminator is None else float(perceptual_distance(discriminator, target, picture)[0])
    statistics = load_similarity_statistics(g, net=identity)
    net, scale = identity or identity_net(g), statistics.identity
    cosine = None if net is None or scale is None else _cosine(net, scale, target, picture, points)
    whole_db = float(psnr_db(target, picture)[0])
    recognizable = (whole_db if face_db is None else face_db) >= RECOGNIZED_DB
    if net is None or scale is None or cosine is None:
        words = "the same" if whole_db >= SAME_DB else "alike" if recognizable else "not alike"
    else:
        # The CLIP's features come from the encoder and miss what that omits, so the PSNR is considered as well.
        grade = max(scale.grade(cosine), 0 if recognizable or net.recognizes_people else 1)
        words = (SAME, ALIKE, OTHER)[grade]
    resembles = words in (SAME, "the same", "alike")
    advice: tuple[str, ...] = ()
    if isinstance(photo, Crop | Image.Image):
        advice = sentences(measure(g, photo, statistics=statistics, photo=whole, recognizable=resembles))
    return Similarity(
        whole_db,
        face_db,
        distance,
        None if cosine is None or scale is None else scale.degree(cosine),
        words,
        None if scale is None else scale.auc,
        advice,
        residual(target, picture),
        target.cpu(),
    )


def identity_change(
    g: Generator, before: Pictured, after: Pictured, *, identity: IdentityNet | None = None
) -> IdentityChange | None:
    """The change of identity between two pictures, such as a face before and after its edits.

    Args:
        g: The generator.
        before, after: ``latent`` and ``edited(latent, edits)``, or their pictures.
        identity: As in :func:`compare`.

    Returns:
        None for a model without faces or without an identity network.

    Raises:
        BadLatent, BadModel, BadValue: as in :func:`compare`.
    """
    drawn = generator_for(g, before) if isinstance(before, Latent) else g
    first, second = (_rgb(drawn if isinstance(x, Tensor) else g, x) for x in (before, after))
    whole = original(g)
    net = identity or identity_net(whole)
    scale = None if net is None else load_similarity_statistics(whole, net=identity).identity
    if net is None or scale is None:
        return None
    cosine = _cosine(net, scale, first, second, canonical_points(whole))
    identity_left = scale.degree(cosine)
    return IdentityChange(identity_left, 1 - identity_left, (STILL, LITTLE, ELSE)[scale.grade(cosine)])


def _cosine(net: IdentityNet, scale: IdentityScale, a: Tensor, b: Tensor, points: FractionLandmarks) -> float:
    vectors = net.embed(torch.cat([a, b]), points)
    return float(scale.cosine(vectors[:1], vectors[1:])[0])


def _points_of(photo: object, canonical: FractionLandmarks, needed: frozenset[str]) -> FractionLandmarks:
    """The landmarks of a crop, or else the model's canonical ones."""
    if not isinstance(photo, Crop) or not set(photo.landmarks) >= needed:
        return canonical
    return to_fractions(photo.landmarks, photo.image.size)


def _rgb(g: Generator, what: Pictured) -> Tensor:
    """Any input as a picture of the generator: float32 [1, C, size_px, size_px], −1..1."""
    if isinstance(what, Crop | Image.Image):
        image = what.image if isinstance(what, Crop) else what
        return from_rgb(to_tensor(image, g.size_px, g.device), g.channels)
    if isinstance(what, Latent):
        drawing, ws = generator_for(g, what), what.ws[None]
    elif what.ndim == 2:
        drawing, ws = g, what[None]
    else:
        picture = what if what.ndim == 4 else what[None]
        if picture.ndim != 4 or len(picture) != 1 or picture.shape[1] not in (g.channels, 3):
            raise BadValue(
                f"Got a tensor of shape {list(what.shape)}; expected one picture [{g.channels}, H, W] in −1..1, or ws "
                f"[{g.num_ws}, {g.w_dim}]. Pass one at a time."
            )
        picture = resized(picture.to(g.device).float(), g.size_px).clamp(-1, 1)
        return picture if picture.shape[1] == g.channels else from_rgb(picture, g.channels)
    with torch.inference_mode():
        # In full precision, so that the PSNR is that of the inversion.
        return drawing.synthesize(ws.to(g.device)).clamp(-1, 1).clone()
