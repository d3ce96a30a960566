"""Repairing a damaged picture by what a generator knows of such pictures."""

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
    Masked,
    degradation_of,
    filled_smoothly,
    loses_color,
    hidden_from,
    links_of,
    luminance,
)
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import as_rgb, fastest_dtype, from_rgb, to_image, to_tensor
from latent_editor.generators.refined import refined
from latent_editor.inversion.initialization import best_start, in_units_of
from latent_editor.inversion.objective import Objective
from latent_editor.inversion.optimization import OptimizationConfig, optimize
from latent_editor.inversion.run import Candidate, InversionRun, StoppingCriteria
from latent_editor.networks.colorizer import COLORIZER_FILE, load_colorizer
from latent_editor.networks.encoder import ENCODER_FILE, has_encoder, load_encoder
from latent_editor.networks.perceptual import load_discriminator, psnr_db
from latent_editor.networks.restorer import Case, Restorer, case_of, first_guess, load_restorer
from latent_editor.restoration.color_hints import ColorHint, draw_hints

#: Gives likely colors to gray pictures [N, C, H, W].
Colorize = Callable[[Tensor], Tensor]

__all__ = ["RepairResult", "hidden_part", "repair"]

#: Times that the encoder is shown what it made of the picture, brought into agreement with what is known.
PASSES = 6
#: The pull to where the encoder has led, which keeps plausible what the damaged picture does not show.
PRIOR = OptimizationConfig(space="w+", rate=0.15, pull=0.3)
#: What the encoder says of a picture of guessed colors is believed by so much, and once: it would see its own colors
#: in the next, stronger each time, and photographs turned into rainbows.
_BELIEVED = 0.6
#: Random pictures whose mean gives a gray one its first colors.
_COLORED, _PSI = 32, 0.7


@dataclass(frozen=True, eq=False)
class RepairResult:
    """What came of a repair.

    Attributes:
        image: RGB, ``g.size_px`` squared: what is known as it was, the rest as the model draws it.
        latent: What the rest is drawn from. Sliders work on it; to bring it closer, invert ``image``.
        damage: What was repaired.
        agreement_db: PSNR of what the damage makes of ``image`` to the damaged picture.
    """

    image: Image.Image
    latent: Latent
    damage: Degradation
    agreement_db: float


def repair(
    g: Generator,
    picture: Crop | Image.Image,
    damage: Degradation | None = None,
    *,
    mask: Image.Image | None = None,
    scale: float | None = None,
    gray: bool = False,
    blur_px: float | None = None,
    noise: float | None = None,
    jpeg: float | None = None,
    colors: Sequence[ColorHint] = (),
    seconds: float = 10.0,
    on_step: OnStep | None = None,
) -> RepairResult:
    """Finds the picture that a fault made the given one of (PULSE, Menon et al. 2020, with an encoder to start from).

    1. Repair it in a plain way: few pixels enlarged, holes filled from their edges. Where the model has a colorizer,
       gray gets the colors that it most likely had (:mod:`latent_editor.networks.colorizer`).
    2. Encode that. Where the model has a restorer, that network sees the plain repair, and gives the features that make
       the encoder's render the whole picture (:mod:`latent_editor.networks.restorer`): that is the repair.
    3. Without one: give gray the usual colors; render, bring the render into agreement with what is known, encode
       again; then W+: optimize the latent so that its degraded picture is the given one, with a pull to where it began.
       Colors are left out of it: nothing holds them, and they drift.
    4. Known pixels, low frequencies, luminance are those of the given picture, and colors the colorizer's, which are
       cleaner than the render's; the render gives the rest.

    Args:
        g: The generator.
        picture: Aligned; smaller than ``g.size_px`` where it has too few pixels.
        damage: What is wrong, any :class:`Degradation`; or name it by the following.
        mask: White where the picture is missing, of the picture's own size.
        scale: How many times too few pixels it has, above 1 to 16.
        gray: It has no colors.
        blur_px: Standard deviation of its blur in pixels of the model, above 0 to 32.
        noise: Standard deviation of its grain in −1..1, above 0 to 1.
        jpeg: Quality of its JPEG, 1 to 95.
        colors: Of a gray picture, colors that are known: they are taken as hints.
        seconds: Time for it, from 0; a model without a restorer ends after the encoder with 0.
        on_step: Told of the best so far; a true answer stops and keeps it.

    Raises:
        BadValue: nothing is said to be wrong, numbers outside of their range, a mask that does not fit, colors of a
            picture that is not said to be gray.
        MissingPart: colors are told, and the model has no colorizer.
    """
    if not 0 <= seconds < float("inf"):
        raise BadValue(f"Got {seconds} seconds; expected a number from 0, usually 5 to 20.")
    image = picture.image if isinstance(picture, Crop) else picture
    if damage is None:
        hidden = None if mask is None else hidden_part(mask, image.size, g.size_px)
        damage = degradation_of(
            hidden=hidden,
            scale=scale,
            grayscale=gray,
            blur_px=blur_px,
            noise=noise,
            jpeg=jpeg,
            on_grid=image.size == (g.size_px, g.size_px) and not isinstance(picture, Crop),
        )
    if colors and not loses_color(damage):
        raise BadValue("Colors are told of a picture that has its own; expected a gray one. Say that it is gray.")
    given = _given(g, image)
    if damage(given).shape != given.shape:
        raise BadValue("The damage changes the picture's shape; expected the same shape. Bring it back to its size.")
    damaged = damage(given) if _flattens(damage) else given
    with torch.inference_mode(False):
        case = _case(damage, damaged, _colorizer_of(g, colors))
        best = _drawn(g, damage, damaged, case, InversionRun(seconds, on_step))
    with torch.no_grad():
        found = _recolored(best.image[None].float().clamp(-1, 1), case)
        whole = damage.agree(found, damaged).clamp(-1, 1)
        agreement = float(psnr_db(damage(whole), damaged))
    latent = g.latent(best.ws, method=best.method, psnr_db=best.psnr_db, refinement=best.refinement)
    return RepairResult(to_image(whole[0]), latent, damage, agreement)


def hidden_part(mask: Image.Image, picture_size: tuple[int, int], size_px: int) -> Tensor:
    """A mask as an image, white where the picture is missing → float32 [1, 1, size_px, size_px], 0 or 1.

    Raises:
        BadValue: it has another size than the picture, or hides nothing or everything.
    """
    if mask.size != picture_size:
        raise BadValue(
            f"The mask has {mask.width} × {mask.height} pixels and the picture {picture_size[0]} × {picture_size[1]}; "
            "expected the same. Draw the mask on the picture itself."
        )
    values = np.asarray(mask.convert("L").resize((size_px, size_px), Image.Resampling.BILINEAR), dtype=np.float32)
    hidden = hidden_from(values / 255 > 0.02)  # what is hidden in part is not known either
    if not bool(hidden.any()):
        raise BadValue("The mask hides nothing; expected white where the picture is missing. Paint over the fault.")
    if bool(hidden.all()):
        raise BadValue("The mask hides the whole picture; expected that some of it is known. Paint less of it.")
    return hidden


def _given(g: Generator, image: Image.Image) -> Tensor:
    """The damaged picture in the generator's size: a smaller one by squares, which lose nothing."""
    if min(image.size) < 1:
        raise BadImage("Got an empty picture; expected one of at least one pixel.")
    if image.width == image.height and image.width < g.size_px:
        small = to_tensor(image, image.width, g.device)
        return from_rgb(F.interpolate(small, size=(g.size_px, g.size_px), mode="nearest"), g.channels)
    return from_rgb(to_tensor(image, g.size_px, g.device), g.channels)


def _flattens(damage: Degradation) -> bool:
    """Whether to do once more to the given picture what was done to it leaves what is known of it, and nothing else.

    So it is for masks, few pixels and gray, and not for a blur.
    """
    return all(type(link).__name__ in ("Masked", "Downsampled", "Grayscale") for link in links_of(damage))


@torch.no_grad()
def _case(damage: Degradation, damaged: Tensor, color: Colorize | None) -> Case:
    """Step 1 of :func:`repair`."""
    masks = [link for link in links_of(damage) if isinstance(link, Masked)]
    rest = tuple(link for link in links_of(damage) if not isinstance(link, Masked))
    hidden = torch.stack([mask.hidden for mask in masks]).amax(dim=0).to(damaged) if masks else None
    return case_of(Chain(rest) if rest else None, damaged, hidden, color)


def _recolored(picture: Tensor, case: Case) -> Tensor:
    """A picture in a case's guessed colors where it is known; what they differ by fades into what is missing."""
    if not case.colored:
        return picture
    differs = (case.guess - luminance(case.guess)) - (picture - luminance(picture))
    return picture + filled_smoothly(differs, case.known)


def _drawn(g: Generator, damage: Degradation, damaged: Tensor, case: Case, run: InversionRun) -> Candidate:
    """Steps 2 and 3 of :func:`repair`."""
    objective = Objective(damaged, load_discriminator(g), degrade=damage)
    restorer = load_restorer(g)
    if restorer is not None and has_encoder(g):
        _restore(g, restorer, objective, damage, case, run)
    else:
        _encode_in_agreement(g, objective, damage, case, run)
        if run.seconds > 0 and not run.over and not loses_color(damage):
            _optimize(g, objective, run)
    assert run.best is not None
    run.report_best(run.best.method, last=True)
    return run.best


@torch.no_grad()
def _restore(
    g: Generator, restorer: Restorer, objective: Objective, damage: Degradation, case: Case, run: InversionRun
) -> None:
    """Step 2 of :func:`repair`."""
    size, dtype = restorer.config["features_px"], objective.dtype
    ws = first_guess(g, load_encoder(g), case, lambda x: damage.agree(x, objective.target))
    features = restorer(case, g.activations(ws, size, dtype=dtype), dtype)
    refinement = Refinement({size: features[0].half().cpu()})
    found = refined(g, refinement).synthesize(ws, dtype=dtype)
    run.best = Candidate(ws[0], found[0], float(objective.psnr_db(found)), refinement, "restorer")
    run.report_best("restorer")


def _colorizer_of(g: Generator, hints: Sequence[ColorHint]) -> Colorize | None:
    """What gives colors to gray pictures, those of dabs where there are some; None for a model that knows none."""
    colorizer = load_colorizer(g) if g.channels == 3 else None
    if colorizer is not None:
        return lambda gray: colorizer(*draw_hints(gray, hints), dtype=fastest_dtype(gray.device))
    if hints:
        raise MissingPart(
            f"The model {g.name!r} has no colorizer ({COLORIZER_FILE}) to take hints. Leave the colors out, or "
            "train one: python -m latent_editor.train colorizer."
        )
    return None


@torch.no_grad()
def _encode_in_agreement(g: Generator, objective: Objective, damage: Degradation, case: Case, run: InversionRun) -> None:
    """Step 3 of :func:`repair`, but for W+."""
    damaged = objective.target
    picture = case.guess if case.colored else damage.guess(damaged)
    if loses_color(damage) and not case.colored:
        picture = damage.agree(picture + _mean_colors(g), damaged).clamp(-1, 1)
    if not has_encoder(g):
        ws = best_start(g, picture, objective.discriminator, seconds=run.seconds)
        found = g.synthesize(ws)
        run.offer(Candidate(ws[0], found[0], float(objective.psnr_db(found)), method="nearest"))
        run.report_best("nearest")
        return
    encode, gray = load_encoder(g), loses_color(damage)
    for i in range(1 if gray else PASSES):
        ws = encode(as_rgb(picture))
        ws = g.w_avg + _BELIEVED * (ws - g.w_avg) if gray else ws
        found = g.synthesize(ws, dtype=objective.dtype)
        # The last is the most plausible, also where an earlier one agrees better.
        run.best = Candidate(
            ws[0], found[0], float(objective.psnr_db(found)), method="encoder again" if i else "encoder"
        )
        run.report_best(run.best.method)
        if run.stopped or (i and run.seconds > 0 and run.elapsed > run.seconds / 2):
            return
        picture = damage.agree(found.float().clamp(-1, 1), damaged).clamp(-1, 1)


def _optimize(g: Generator, objective: Objective, run: InversionRun) -> None:
    """W+ in step 3 of :func:`repair`."""
    assert run.best is not None
    config = PRIOR if g.bundle.has(ENCODER_FILE) else in_units_of(g, PRIOR)
    optimize(
        g, objective, run, run.best.ws[None], config, criteria=StoppingCriteria(run.seconds, patience=30, max_steps=150)
    )


def _mean_colors(g: Generator) -> Tensor:
    """What the model's pictures have beside their luminance, in the mean: [1, channels, S, S]."""
    total: Any = 0.0
    for first in range(0, _COLORED, 8):
        ws = random_ws(g, list(range(first, first + 8)), truncation_psi=_PSI)
        pictures = g.synthesize(ws).float().clamp(-1, 1)
        total = total + (pictures - luminance(pictures)).sum(dim=0, keepdim=True)
    colors: Tensor = total / _COLORED
    return colors
