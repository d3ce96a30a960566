"""Restores a damaged picture, with a generator as the prior."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from latent_editor.core.errors import BadImage, BadValue, MissingPart
from latent_editor.core.refinement import Refinement
from latent_editor.core.values import Crop, Latent, OnStep
from latent_editor.degradations import (
    Chain,
    Degradation,
    Downsampled,
    Grayscale,
    Masked,
    degradation_of,
    filled_smoothly,
    hidden_from,
    links_of,
    loses_color,
    luminance,
)
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import as_rgb, fastest_dtype, from_rgb, to_image, to_tensor
from latent_editor.generators.refined import refined
from latent_editor.inversion.initialization import best_start, in_units_of_w
from latent_editor.inversion.objective import Objective
from latent_editor.inversion.optimization import OptimizationConfig, optimize
from latent_editor.inversion.run import Candidate, InversionRun, StoppingCriteria
from latent_editor.networks.colorizer import COLORIZER_FILE, load_colorizer
from latent_editor.networks.encoder import ENCODER_FILE, has_encoder, load_encoder
from latent_editor.networks.perceptual import load_discriminator, psnr_db
from latent_editor.networks.restorer import Case, Restorer, case_of, first_guess, load_restorer
from latent_editor.restoration.color_hints import ColorHint, draw_hints

#: Colorizes grayscale pictures [N, C, H, W].
Colorize = Callable[[Tensor], Tensor]

__all__ = ["RepairResult", "hidden_part", "repair"]

#: Encoder passes over its own render, after each projection onto what is known.
PASSES = 6
#: The pull towards the encoder's latent keeps plausible what the damaged picture does not show.
PRIOR = OptimizationConfig(space="w+", rate=0.15, pull=0.3)
#: The encoder's latent of a picture with guessed colors is scaled towards the mean by this, and computed only once: it
#: would see its own colors in the next pass, stronger each time, and photographs turned into rainbows.
_GUESSED_COLORS_SCALE = 0.6
#: Random pictures whose mean colors a model without a colorizer starts from, and their truncation.
_MEAN_COLOR_SAMPLES, _MEAN_COLOR_PSI = 32, 0.7


@dataclass(frozen=True, eq=False)
class RepairResult:
    """The result of a repair.

    Attributes:
        image: RGB, ``g.size_px`` squared: known content unchanged, the rest as the model draws it.
        latent: The latent of the rest. Sliders work on it; for a closer match, invert ``image``.
        degradation: What was repaired.
        agreement_db: PSNR between ``degradation(image)`` and the damaged picture.
    """

    image: Image.Image
    latent: Latent
    degradation: Degradation
    agreement_db: float


def repair(
    g: Generator,
    picture: Crop | Image.Image,
    degradation: Degradation | None = None,
    *,
    mask: Image.Image | None = None,
    scale: float | None = None,
    grayscale: bool = False,
    blur_px: float | None = None,
    noise: float | None = None,
    jpeg: float | None = None,
    color_hints: Sequence[ColorHint] = (),
    seconds: float = 10.0,
    on_step: OnStep | None = None,
) -> RepairResult:
    """Finds a plausible picture that a degradation turns into the given one.

    After PULSE (Menon et al. 2020), with an encoder to start from.

    1. Repair without the generator: interpolate missing pixels, inpaint holes from their edges, and colorize a
       grayscale picture if the model has a colorizer (:mod:`latent_editor.networks.colorizer`).
    2. Encode that. If the model has a restorer (:mod:`latent_editor.networks.restorer`), it sees the plain repair and
       predicts the features that turn the encoder's render into the whole picture.
    3. Without one: add mean colors to a grayscale picture; then render, project onto what is known, and encode again;
       then optimize in W+ so that the degraded render matches the given picture, with a pull towards the start. W+ is
       skipped for grayscale pictures: nothing constrains the colors, and they drift.
    4. Project: known pixels, low frequencies and luminance come from the given picture, colors from the colorizer,
       which are cleaner than the render's, and the rest from the render.

    Args:
        g: The generator.
        picture: Aligned; smaller than ``g.size_px`` if it has too few pixels.
        degradation: Any :class:`Degradation`; or describe it by the following.
        mask: White where the picture is missing, of the picture's own size.
        scale: Downsampling factor, above 1 to 16.
        grayscale: The picture has no colors.
        blur_px: Standard deviation of a Gaussian blur in pixels of the model, above 0 to 32.
        noise: Standard deviation of the noise in −1..1, above 0 to 1.
        jpeg: JPEG quality, 1 to 95.
        color_hints: Known colors of a grayscale picture.
        seconds: Time limit, from 0; with 0, a model without a restorer stops after the encoder.
        on_step: Called with the best so far; a true answer stops and keeps it.

    Raises:
        BadValue: no degradation, a number out of range, a mask that does not fit, or color hints for a picture that
            is not grayscale.
        MissingPart: color hints, and the model has no colorizer.
    """
    if not 0 <= seconds < float("inf"):
        raise BadValue(f"Got {seconds} seconds; expected a number from 0, usually 5 to 20.")
    image = picture.image if isinstance(picture, Crop) else picture
    if degradation is None:
        degradation = degradation_of(
            hidden=None if mask is None else hidden_part(mask, image.size, g.size_px),
            scale=scale,
            grayscale=grayscale,
            blur_px=blur_px,
            noise=noise,
            jpeg=jpeg,
            on_grid=image.size == (g.size_px, g.size_px) and not isinstance(picture, Crop),
        )
    if color_hints and not loses_color(degradation):
        raise BadValue("Got color hints for a picture with colors. Pass grayscale=True too, or leave the hints out.")
    damaged = _damaged(g, image, degradation)
    with torch.inference_mode(False):
        case = _case(degradation, damaged, _colorizer_of(g, color_hints))
        best = _restored(g, degradation, damaged, case, InversionRun(seconds, on_step))
    with torch.no_grad():
        colored = _recolored(best.image[None].float().clamp(-1, 1), case)
        whole = degradation.agree(colored, damaged).clamp(-1, 1)
        agreement = float(psnr_db(degradation(whole), damaged))
    latent = g.latent(best.ws, method=best.method, psnr_db=best.psnr_db, refinement=best.refinement)
    return RepairResult(to_image(whole[0]), latent, degradation, agreement)


def hidden_part(mask: Image.Image, picture_size: tuple[int, int], size_px: int) -> Tensor:
    """A mask image, white where the picture is missing, to float32 [1, 1, size_px, size_px], 0 or 1.

    Raises:
        BadValue: it has another size than the picture, or hides nothing or everything.
    """
    if mask.size != picture_size:
        raise BadValue(
            f"The mask has {mask.width} × {mask.height} pixels and the picture {picture_size[0]} × {picture_size[1]}; "
            "expected the same. Draw the mask on the picture itself."
        )
    values = np.asarray(mask.convert("L").resize((size_px, size_px), Image.Resampling.BILINEAR), dtype=np.float32)
    hidden = hidden_from(values / 255 > 0.02)  # a partly hidden pixel is not known either
    if not bool(hidden.any()):
        raise BadValue("The mask hides nothing; expected white where the picture is missing. Paint over the damage.")
    if bool(hidden.all()):
        raise BadValue("The mask hides the whole picture; expected some known pixels. Paint less of it.")
    return hidden


def _damaged(g: Generator, image: Image.Image, degradation: Degradation) -> Tensor:
    """The damaged picture in the generator's size, without content that the degradation would remove."""
    given = _in_generator_size(g, image)
    if degradation(given).shape != given.shape:
        raise BadValue(
            "The degradation changes the picture's shape; expected the same shape. Resize its result to the input's."
        )
    return degradation(given) if _is_idempotent(degradation) else given


def _in_generator_size(g: Generator, image: Image.Image) -> Tensor:
    """The picture at the generator's size; a smaller one is enlarged by nearest neighbor, which loses nothing."""
    if min(image.size) < 1:
        raise BadImage("Got an empty picture; expected one of at least one pixel.")
    if image.width == image.height and image.width < g.size_px:
        small = to_tensor(image, image.width, g.device)
        return from_rgb(F.interpolate(small, size=(g.size_px, g.size_px), mode="nearest"), g.channels)
    return from_rgb(to_tensor(image, g.size_px, g.device), g.channels)


def _is_idempotent(degradation: Degradation) -> bool:
    """True if degrading twice is degrading once: mask, downsampling, grayscale; not blur, noise or JPEG."""
    return all(isinstance(link, Masked | Downsampled | Grayscale) for link in links_of(degradation))


@torch.no_grad()
def _case(degradation: Degradation, damaged: Tensor, color: Colorize | None) -> Case:
    """Step 1 of :func:`repair`."""
    masks = [link for link in links_of(degradation) if isinstance(link, Masked)]
    rest = tuple(link for link in links_of(degradation) if not isinstance(link, Masked))
    hidden = torch.stack([mask.hidden for mask in masks]).amax(dim=0).to(damaged) if masks else None
    return case_of(Chain(rest) if rest else None, damaged, hidden, color)


def _recolored(picture: Tensor, case: Case) -> Tensor:
    """A picture with the case's guessed colors where it is known; the difference fades into what is missing."""
    if not case.colored:
        return picture
    differs = (case.guess - luminance(case.guess)) - (picture - luminance(picture))
    return picture + filled_smoothly(differs, case.known)


def _restored(g: Generator, degradation: Degradation, damaged: Tensor, case: Case, run: InversionRun) -> Candidate:
    """Steps 2 and 3 of :func:`repair`."""
    objective = Objective(damaged, load_discriminator(g), degrade=degradation)
    restorer = load_restorer(g)
    if restorer is not None and has_encoder(g):
        _restore(g, restorer, objective, degradation, case, run)
    else:
        _encode_in_agreement(g, objective, degradation, case, run)
        if run.seconds > 0 and not run.over and not loses_color(degradation):
            _optimize(g, objective, run)
    assert run.best is not None
    run.report_best(run.best.method, last=True)
    return run.best


@torch.no_grad()
def _restore(
    g: Generator, restorer: Restorer, objective: Objective, degradation: Degradation, case: Case, run: InversionRun
) -> None:
    """Step 2 of :func:`repair`."""
    size, dtype = restorer.config["features_px"], objective.dtype
    ws = first_guess(g, load_encoder(g), case, lambda x: degradation.agree(x, objective.target))
    features = restorer(case, g.activations(ws, size, dtype=dtype), dtype)
    refinement = Refinement({size: features[0].half().cpu()})
    found = refined(g, refinement).synthesize(ws, dtype=dtype)
    run.best = Candidate(ws[0], found[0], float(objective.psnr_db(found)), refinement, "restorer")
    run.report_best("restorer")


def _colorizer_of(g: Generator, hints: Sequence[ColorHint]) -> Colorize | None:
    """Colorizes grayscale pictures, following the hints; None for a model without a colorizer."""
    colorizer = load_colorizer(g) if g.channels == 3 else None
    if colorizer is not None:
        return lambda x: colorizer(*draw_hints(x, hints), dtype=fastest_dtype(x.device))
    if hints:
        raise MissingPart(
            f"The model {g.name!r} has no colorizer ({COLORIZER_FILE}) to follow color hints. Leave the hints out, "
            "or train one: python -m latent_editor.train colorizer."
        )
    return None


@torch.no_grad()
def _encode_in_agreement(
    g: Generator, objective: Objective, degradation: Degradation, case: Case, run: InversionRun
) -> None:
    """Step 3 of :func:`repair`, up to W+."""
    damaged = objective.target
    picture = case.guess if case.colored else degradation.guess(damaged)
    if loses_color(degradation) and not case.colored:
        picture = degradation.agree(picture + _mean_colors(g), damaged).clamp(-1, 1)
    if not has_encoder(g):
        ws = best_start(g, picture, objective.discriminator, seconds=run.seconds)
        found = g.synthesize(ws)
        run.offer(Candidate(ws[0], found[0], float(objective.psnr_db(found)), method="nearest"))
        run.report_best("nearest")
        return
    encode, guessed_colors = load_encoder(g), loses_color(degradation)
    for i in range(1 if guessed_colors else PASSES):
        ws = encode(as_rgb(picture))
        ws = g.w_avg + _GUESSED_COLORS_SCALE * (ws - g.w_avg) if guessed_colors else ws
        found = g.synthesize(ws, dtype=objective.dtype)
        # The last is the most plausible, even if an earlier one agrees better.
        run.best = Candidate(
            ws[0], found[0], float(objective.psnr_db(found)), method="encoder again" if i else "encoder"
        )
        run.report_best(run.best.method)
        if run.stopped or (i and run.seconds > 0 and run.elapsed > run.seconds / 2):
            return
        picture = degradation.agree(found.float().clamp(-1, 1), damaged).clamp(-1, 1)


def _optimize(g: Generator, objective: Objective, run: InversionRun) -> None:
    """W+ in step 3 of :func:`repair`."""
    assert run.best is not None
    config = PRIOR if g.bundle.has(ENCODER_FILE) else in_units_of_w(g, PRIOR)
    optimize(
        g, objective, run, run.best.ws[None], config, criteria=StoppingCriteria(run.seconds, patience=30, max_steps=150)
    )


def _mean_colors(g: Generator) -> Tensor:
    """Mean chroma of the model's pictures (what they have beside luminance): [1, channels, S, S]."""
    total: Any = 0.0
    for first in range(0, _MEAN_COLOR_SAMPLES, 8):
        ws = random_ws(g, list(range(first, first + 8)), truncation_psi=_MEAN_COLOR_PSI)
        pictures = g.synthesize(ws).float().clamp(-1, 1)
        total = total + (pictures - luminance(pictures)).sum(dim=0, keepdim=True)
    colors: Tensor = total / _MEAN_COLOR_SAMPLES
    return colors
