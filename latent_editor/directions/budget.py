"""How much to render when finding directions: as much as the model's speed allows while a user waits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.preview import small

#: Principal components of each view.
COMPONENTS: Mapping[str, int] = {"structure": 9, "color": 6}
#: Time for finding directions, and by what factor it may be exceeded before they stay unmeasured.
SECONDS, MAX_EXCESS = 30.0, 4.0
#: For the estimated cost of safe ranges: sliders, pictures per slider and face, and reference pictures per face.
SLIDERS, PICTURES_EACH, REFERENCES = 12, 10, 8


@dataclass(frozen=True)
class Budget:
    """How much to compute.

    Attributes:
        samples: Random latents for principal components.
        components: Number of components of each view (:mod:`latent_editor.directions.pca`).
        styles: Number of directions from the style layers' weights (:mod:`latent_editor.directions.sefa`).
        trials: Faces for naming; 0 leaves directions unnamed and uncalibrated.
        calibration_faces: Faces for the length of a unit.
        layered: Whether components are also tried on ranges of layers.
        range_faces: Faces for safe range and identity; 0 leaves them unmeasured.
        gradients: Faces for directions from gradients; 0 for none.
    """

    samples: int = 1024
    components: Mapping[str, int] = field(default_factory=lambda: COMPONENTS)
    styles: int = 0
    trials: int = 20
    calibration_faces: int = 4
    layered: bool = True
    range_faces: int = 8
    gradients: int = 0

    @property
    def pictures(self) -> int:
        """Approximate number of rendered pictures, without those of components in ranges of layers."""
        seen = self.samples if self.components.get("color") else 0
        each = 3 * self.calibration_faces + 2 * self.trials
        ranges = (REFERENCES + SLIDERS * PICTURES_EACH) * self.range_faces
        return seen + each * (sum(self.components.values()) + self.styles) + ranges


#: For the embedded model, whose directions are computed once, offline.
FULL = Budget(gradients=40)
#: For other models, from most to least expensive; :data:`CHOICES` adds the smallest size of pictures.
THOROUGH = Budget(1024, {"structure": 14, "color": 10}, styles=14, trials=24, calibration_faces=8, layered=False)
MEDIUM = Budget(
    512, {"structure": 10, "color": 6}, styles=8, trials=12, calibration_faces=4, layered=False, range_faces=4
)
SMALL = Budget(256, {"structure": 8, "color": 4}, styles=6, trials=8, calibration_faces=3, layered=False, range_faces=2)
MINIMAL = Budget(
    128, {"structure": 7, "color": 3}, styles=5, trials=4, calibration_faces=2, layered=False, range_faces=0
)
UNMEASURED = Budget(256, {"structure": 8}, styles=8, trials=0, calibration_faces=0, layered=False, range_faces=0)
CHOICES = ((THOROUGH, 128), (MEDIUM, 128), (SMALL, 128), (SMALL, 64), (MINIMAL, 64), (MINIMAL, 32))


def seconds_per_picture(g: Generator) -> float:
    """Time for one picture in a batch."""
    dtype = fastest_dtype(g.device)
    with torch.inference_mode():
        g.synthesize(random_ws(g, [0]), dtype=dtype).mean().item()
        start = time.monotonic()
        g.synthesize(random_ws(g, [1, 2, 3, 4]), dtype=dtype).mean().item()
    return (time.monotonic() - start) / 4


def choose_budget(g: Generator, *, seconds: float = SECONDS) -> tuple[Generator, Budget]:
    """The largest budget that fits into the time, by the measured speed of the generator and its previews.

    Returns:
        The generator to find directions with, possibly a small preview; and the budget.
    """
    speeds: dict[int, float] = {}
    for budget, size_px in CHOICES:
        preview = small(g, size_px)
        if preview.size_px not in speeds:
            speeds[preview.size_px] = seconds_per_picture(preview)
        if budget.pictures * speeds[preview.size_px] <= seconds:
            return preview, budget
    if MINIMAL.pictures * min(speeds.values()) <= MAX_EXCESS * seconds:
        return small(g, min(speeds, key=lambda size: speeds[size])), MINIMAL
    return g, UNMEASURED
