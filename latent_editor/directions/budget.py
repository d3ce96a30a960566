"""How much is rendered for the directions of a model of one's own: as much as its speed allows while a user waits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.preview import small

#: Principal components of each view.
COMPONENTS: Mapping[str, int] = {"structure": 9, "colour": 6}
#: What finding directions may take, and what it may exceed before they stay unmeasured.
SECONDS, EXCESS = 30.0, 4.0
#: How many sliders there are about, and what the safe range of one costs at most, and what is usual, in faces.
LIMITED, EACH_LIMITED, USUAL = 12, 10, 8


@dataclass(frozen=True)
class Budget:
    """What finding directions costs.

    Attributes:
        samples: Random latents that components are found from.
        components: How many of each view (:mod:`latent_editor.directions.pca`).
        styles: How many from the weights of the style layers (:mod:`latent_editor.directions.sefa`).
        trials: Pictures that a direction is named by; 0 leaves directions without names and measured lengths.
        calibrated: Pictures that a length is measured on.
        layered: Whether components are also tried on some of the layers alone.
        limited: Pictures that the safe range and the change of identity are measured on; 0 leaves them unmeasured.
        gradients: Faces whose gradients directions are solved from; 0 goes without.
    """

    samples: int = 1024
    components: Mapping[str, int] = field(default_factory=lambda: COMPONENTS)
    styles: int = 0
    trials: int = 20
    calibrated: int = 4
    layered: bool = True
    limited: int = 8
    gradients: int = 0

    @property
    def pictures(self) -> int:
        """About how many pictures are rendered, without those of components in some layers."""
        seen = self.samples if self.components.get("colour") else 0
        each = 3 * self.calibrated + 2 * self.trials
        ranges = (USUAL + LIMITED * EACH_LIMITED) * self.limited
        return seen + each * (sum(self.components.values()) + self.styles) + ranges


#: For the embedded model, whose directions are found once and for all.
FULL = Budget(gradients=40)
#: For models of one's own, from most to least, with the size of picture that is rendered at least.
THOROUGH = Budget(1024, {"structure": 14, "colour": 10}, styles=14, trials=24, calibrated=8, layered=False)
MEDIUM = Budget(512, {"structure": 10, "colour": 6}, styles=8, trials=12, calibrated=4, layered=False, limited=4)
QUICK = Budget(256, {"structure": 8, "colour": 4}, styles=6, trials=8, calibrated=3, layered=False, limited=2)
HASTY = Budget(128, {"structure": 7, "colour": 3}, styles=5, trials=4, calibrated=2, layered=False, limited=0)
BLIND = Budget(256, {"structure": 8}, styles=8, trials=0, calibrated=0, layered=False, limited=0)
CHOICES = ((THOROUGH, 128), (MEDIUM, 128), (QUICK, 128), (QUICK, 64), (HASTY, 64), (HASTY, 32))


def seconds_per_picture(g: Generator) -> float:
    """How long one picture takes, of those that are rendered together."""
    dtype = fastest_dtype(g.device)
    with torch.inference_mode():
        g.synthesize(random_ws(g, [0]), dtype=dtype).mean().item()
        start = time.monotonic()
        g.synthesize(random_ws(g, [1, 2, 3, 4]), dtype=dtype).mean().item()
    return (time.monotonic() - start) / 4


def choose_effort(g: Generator, *, seconds: float = SECONDS) -> tuple[Generator, Budget]:
    """The most that fits into the time, by the measured speed of the generator and of its previews.

    Returns:
        The generator, or a small preview of it, to find directions with; and how much to do.
    """
    speeds: dict[int, float] = {}
    for budget, size_px in CHOICES:
        preview = small(g, size_px)
        if preview.size_px not in speeds:
            speeds[preview.size_px] = seconds_per_picture(preview)
        if budget.pictures * speeds[preview.size_px] <= seconds:
            return preview, budget
    if HASTY.pictures * min(speeds.values()) <= EXCESS * seconds:
        return small(g, min(speeds, key=lambda size: speeds[size])), HASTY
    return g, BLIND
