"""What a latent does in time: sliders with key frames, faces on the way, offsets taken from a clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from latent_editor.core.errors import BadLatent, BadValue
from latent_editor.core.region import Region
from latent_editor.core.values import Direction, Edit, Latent
from latent_editor.editing.edits import edited
from latent_editor.editing.style_mixing import interpolate
from latent_editor.generators import Generator
from latent_editor.media.encode import frame_count
from latent_editor.motion.curves import Curve, check_times, key_weights


@dataclass(frozen=True, eq=False)
class Keyframe:
    """One key frame.

    Attributes:
        time_s: When, from the start.
        edits: How the sliders stand then; one that only other key frames name stands at 0.
        latent: Whose face it is then; None for the one that is animated.
    """

    time_s: float
    edits: tuple[Edit, ...] = ()
    latent: Latent | None = None


@dataclass(frozen=True, eq=False)
class SliderTrack:
    """A slider that moves by itself.

    Attributes:
        direction: What it changes.
        curve: Its strength, in units of the direction.
        layers: Half-open range of ws; None takes the direction's own.
        region: The part of the picture that it acts in; None is all of it.
    """

    direction: Direction
    curve: Curve
    layers: tuple[int, int] | None = None
    region: Region | None = None

    def at(self, time_s: float, loop_s: float | None) -> Edit:
        """The slider as it stands at a time."""
        strength = self.curve.at(time_s, loop_s=loop_s)
        if self.direction.interpolates:  # some easings swing beyond their ends
            strength = min(max(strength, 0.0), 1.0)
        return Edit(self.direction, strength, self.layers, region=self.region)


@dataclass(frozen=True, eq=False)
class LatentPath:
    """A way past several faces.

    Attributes:
        times_s: When each is reached.
        latents: The faces.
        ease: One of :data:`latent_editor.motion.curves.EASING_NAMES`.
        path: "linear" or "spherical", as :func:`latent_editor.editing.style_mixing.interpolate` knows them.
    """

    times_s: tuple[float, ...]
    latents: tuple[Latent, ...]
    ease: str = "smooth"
    path: str = "spherical"

    def __post_init__(self) -> None:
        check_times(self.times_s, self.ease)
        if len(self.latents) != len(self.times_s):
            raise BadValue(f"Got {len(self.latents)} faces for {len(self.times_s)} times; expected one each.")


@dataclass(frozen=True, eq=False)
class Motion:
    """What a clip does to a latent, picture by picture.

    Attributes:
        offsets: float32 [frames, num_ws, w_dim], to be added.
        fps: Pictures a second.
    """

    offsets: Tensor
    fps: float

    @property
    def seconds(self) -> float:
        return len(self.offsets) / self.fps

    def at(self, time_s: float) -> Tensor:
        """float32 [num_ws, w_dim], between the two pictures around a time; the last one stays."""
        place = min(max(time_s * self.fps, 0.0), len(self.offsets) - 1.0)
        before = math.floor(place)
        after = min(before + 1, len(self.offsets) - 1)
        return self.offsets[before].lerp(self.offsets[after], place - before)


@dataclass(frozen=True, eq=False)
class Animation:
    """Everything that happens to a latent in a video.

    Attributes:
        seconds: How long.
        loop: The first picture follows the last: sliders and faces go on to their first key frame, which is not drawn
            twice.
        slides: Sliders that move.
        edits: Sliders that stand still.
        walk: Faces to go past, in place of the one that is animated; or None.
        motion: What a clip adds; or None.
    """

    seconds: float
    loop: bool = False
    slides: tuple[SliderTrack, ...] = ()
    edits: tuple[Edit, ...] = field(default_factory=tuple)
    walk: LatentPath | None = None
    motion: Motion | None = None

    def __post_init__(self) -> None:
        frame_count(self.seconds, 1)
        times = [t for s in self.slides for t in s.curve.times_s] + list(self.walk.times_s if self.walk else ())
        if times and max(times) > self.seconds + 1e-6:
            raise BadValue(
                f"A key frame lies at {max(times):g} seconds; the video has {self.seconds:g}. Make it longer."
            )
        if self.loop and times and max(times) > self.seconds - 1e-6:
            raise BadValue(
                f"A key frame lies at the end of a loop of {self.seconds:g} seconds, where the first one follows. "
                "Leave it out, or make the loop longer."
            )

    @staticmethod
    def of_keys(keys: Sequence[Keyframe], seconds: float, *, loop: bool = False, ease: str = "smooth") -> Animation:
        """From lists of edits at times.

        Args:
            keys: In any order. In a loop, one at the end that is like the first may be among them.
            seconds: How long.
            loop: As in the attributes.
            ease: One of :data:`latent_editor.motion.curves.EASING_NAMES`.

        Raises:
            BadValue: times that do not fit, or an unknown easing.
        """
        keys = sorted(keys, key=lambda key: key.time_s)
        if loop and len(keys) > 1 and keys[-1].time_s >= seconds - 1e-6 and _alike(keys[0], keys[-1]):
            keys = keys[:-1]
        times = tuple(key.time_s for key in keys)
        check_times(times, ease)
        strengths = [_strengths(key) for key in keys]
        first = {name: edit for row in strengths for name, edit in row.items()}
        slides = [
            SliderTrack(
                edit.direction,
                Curve(times, tuple(row[name].strength if name in row else 0.0 for row in strengths), ease),
                edit.layers,
                edit.region,
            )
            for name, edit in first.items()
        ]
        faces = [(key.time_s, key.latent) for key in keys if key.latent is not None]
        walk = LatentPath(tuple(t for t, _ in faces), tuple(face for _, face in faces), ease) if faces else None
        return Animation(seconds, loop, tuple(slides), walk=walk)

    def times(self, fps: float) -> list[float]:
        """When the pictures are: of a loop those before its end, else up to and with the end."""
        count = frame_count(self.seconds, fps)
        steps = count if self.loop else max(count - 1, 1)
        return [i * self.seconds / steps for i in range(count)]

    def edits_at(self, time_s: float) -> list[Edit]:
        """All sliders as they stand at a time."""
        loop_s = self.seconds if self.loop else None
        moving = [slide.at(time_s, loop_s) for slide in self.slides]
        return [*self.edits, *moving]

    def latent_at(self, g: Generator, latent: Latent, time_s: float) -> Latent:
        """The latent to draw at a time.

        Raises:
            BadLatent: latents, directions or offsets of another model.
        """
        g.check(latent)
        if self.walk is not None:
            loop_s = self.seconds if self.loop else None
            shares = key_weights(self.walk.times_s, time_s, ease=self.walk.ease, loop_s=loop_s)
            if len(shares) == 1:
                latent = self.walk.latents[0]
            else:
                latent = interpolate(g, self.walk.latents, shares.tolist(), path=self.walk.path)
        now = edited(latent, self.edits_at(time_s))
        if self.motion is not None:
            offsets = self.motion.at(time_s)
            if offsets.shape != now.ws.shape:
                raise BadLatent(
                    f"The motion has offsets of {list(offsets.shape)}, the latent {list(now.ws.shape)}: they belong to "
                    "different models. Take the motion from its clip again."
                )
            now = replace(now, ws=now.ws + offsets)
        return replace(now, psnr_db=None)


def ramp(
    direction: Direction, low: float, high: float, seconds: float, *, loop: bool, ease: str = "smooth"
) -> SliderTrack:
    """A slider that goes from ``low`` to ``high``, and in a loop back again."""
    return SliderTrack(direction, Curve((0.0, seconds / 2 if loop else seconds), (low, high), ease))


def _strengths(key: Keyframe) -> dict[tuple[str, tuple[int, int] | None, str | None], Edit]:
    """The edits of a key frame by what tells them apart; muted ones stand at 0, of the same ones the sum."""
    found: dict[tuple[str, tuple[int, int] | None, str | None], Edit] = {}
    for edit in key.edits:
        name = edit.direction.name, edit.layers, edit.region.digest if edit.region else None
        strength = (0.0 if edit.muted else edit.strength) + (found[name].strength if name in found else 0.0)
        found[name] = Edit(edit.direction, strength, edit.layers, region=edit.region)
    return found


def _alike(a: Keyframe, b: Keyframe) -> bool:
    def standing(key: Keyframe) -> dict[object, float]:
        return {name: edit.strength for name, edit in _strengths(key).items() if edit.strength}

    return standing(a) == standing(b) and (b.latent is a.latent)
