"""Animations of a latent: slider tracks, keyframes, paths between faces, and motion offsets from a clip."""

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
    """The state of an animation at one time.

    Attributes:
        time_s: From the start.
        edits: The sliders at that time; one that only other keyframes name is at 0.
        latent: The face at that time; None for the animated one.
    """

    time_s: float
    edits: tuple[Edit, ...] = ()
    latent: Latent | None = None


@dataclass(frozen=True, eq=False)
class SliderTrack:
    """A slider that moves over time.

    Attributes:
        direction: What it changes.
        curve: Its strength over time, in units of the direction.
        layers: Half-open range of ws; None uses the direction's own.
        region: The part of the picture that it acts in; None is all of it.
    """

    direction: Direction
    curve: Curve
    layers: tuple[int, int] | None = None
    region: Region | None = None

    def at(self, time_s: float, loop_s: float | None) -> Edit:
        """The slider at a time."""
        strength = self.curve.at(time_s, loop_s=loop_s)
        if self.direction.interpolates:  # some easings overshoot
            strength = min(max(strength, 0.0), 1.0)
        return Edit(self.direction, strength, self.layers, region=self.region)


@dataclass(frozen=True, eq=False)
class LatentPath:
    """A path through several faces.

    Attributes:
        times_s: When each face is reached.
        latents: The faces.
        ease: One of :data:`latent_editor.motion.curves.EASING_NAMES`.
        interpolation: "linear" or "spherical", as in :func:`latent_editor.editing.style_mixing.interpolate`.
    """

    times_s: tuple[float, ...]
    latents: tuple[Latent, ...]
    ease: str = "smooth"
    interpolation: str = "spherical"

    def __post_init__(self) -> None:
        check_times(self.times_s, self.ease)
        if len(self.latents) != len(self.times_s):
            raise BadValue(f"Got {len(self.latents)} faces for {len(self.times_s)} times; expected one each.")


@dataclass(frozen=True, eq=False)
class Motion:
    """Motion of a clip's face, as offsets of a latent, frame by frame.

    Attributes:
        offsets: float32 [frames, num_ws, w_dim], added to the ws.
        fps: Frames per second.
    """

    offsets: Tensor
    fps: float

    @property
    def seconds(self) -> float:
        return len(self.offsets) / self.fps

    def at(self, time_s: float) -> Tensor:
        """float32 [num_ws, w_dim], interpolated between the frames around a time; the last one stays."""
        place = min(max(time_s * self.fps, 0.0), len(self.offsets) - 1.0)
        before = math.floor(place)
        after = min(before + 1, len(self.offsets) - 1)
        return self.offsets[before].lerp(self.offsets[after], place - before)


@dataclass(frozen=True, eq=False)
class Animation:
    """Everything that happens to a latent in a video.

    Attributes:
        seconds: Duration.
        loop: The first frame follows the last: sliders and faces continue to their first keyframe, which is not drawn
            twice.
        tracks: Sliders that move.
        edits: Sliders that do not move.
        path: Faces to pass through, instead of the animated one; or None.
        motion: Offsets from a clip; or None.
    """

    seconds: float
    loop: bool = False
    tracks: tuple[SliderTrack, ...] = ()
    edits: tuple[Edit, ...] = field(default_factory=tuple)
    path: LatentPath | None = None
    motion: Motion | None = None

    def __post_init__(self) -> None:
        frame_count(self.seconds, 1)
        times = [t for track in self.tracks for t in track.curve.times_s] + list(self.path.times_s if self.path else ())
        if times and max(times) > self.seconds + 1e-6:
            raise BadValue(f"A keyframe is at {max(times):g} seconds; the video has {self.seconds:g}. Make it longer.")
        if self.loop and times and max(times) > self.seconds - 1e-6:
            raise BadValue(
                f"A keyframe is at the end of a loop of {self.seconds:g} seconds, where the first one follows. "
                "Leave it out, or make the loop longer."
            )

    @staticmethod
    def from_keyframes(
        keyframes: Sequence[Keyframe], seconds: float, *, loop: bool = False, ease: str = "smooth"
    ) -> Animation:
        """An animation through keyframes.

        Args:
            keyframes: In any order. In a loop, a last one at the end may repeat the first.
            seconds: Duration.
            loop: As in the attributes.
            ease: One of :data:`latent_editor.motion.curves.EASING_NAMES`.

        Raises:
            BadValue: times that do not fit, or an unknown easing.
        """
        keyframes = sorted(keyframes, key=lambda keyframe: keyframe.time_s)
        first, last = keyframes[:1], keyframes[-1:]
        if loop and len(keyframes) > 1 and last[0].time_s >= seconds - 1e-6 and _same_state(first[0], last[0]):
            keyframes = keyframes[:-1]
        times = tuple(keyframe.time_s for keyframe in keyframes)
        check_times(times, ease)
        strengths = [_strengths(keyframe) for keyframe in keyframes]
        moving = {slider: edit for row in strengths for slider, edit in row.items()}
        tracks = [
            SliderTrack(
                edit.direction,
                Curve(times, tuple(row[slider].strength if slider in row else 0.0 for row in strengths), ease),
                edit.layers,
                edit.region,
            )
            for slider, edit in moving.items()
        ]
        faces = [(keyframe.time_s, keyframe.latent) for keyframe in keyframes if keyframe.latent is not None]
        path = LatentPath(tuple(t for t, _ in faces), tuple(face for _, face in faces), ease) if faces else None
        return Animation(seconds, loop, tuple(tracks), path=path)

    def times(self, fps: float) -> list[float]:
        """The times of the frames: of a loop without its end, otherwise including it."""
        count = frame_count(self.seconds, fps)
        steps = count if self.loop else max(count - 1, 1)
        return [i * self.seconds / steps for i in range(count)]

    def edits_at(self, time_s: float) -> list[Edit]:
        """All sliders at a time."""
        loop_s = self.seconds if self.loop else None
        moving = [track.at(time_s, loop_s) for track in self.tracks]
        return [*self.edits, *moving]

    def latent_at(self, g: Generator, latent: Latent, time_s: float) -> Latent:
        """The latent to render at a time.

        Raises:
            BadLatent: latents, directions or offsets of another model.
        """
        g.check(latent)
        if self.path is not None:
            loop_s = self.seconds if self.loop else None
            shares = key_weights(self.path.times_s, time_s, ease=self.path.ease, loop_s=loop_s)
            if len(shares) == 1:
                latent = self.path.latents[0]
            else:
                latent = interpolate(g, self.path.latents, shares.tolist(), path=self.path.interpolation)
        now = edited(latent, self.edits_at(time_s))
        if self.motion is not None:
            offsets = self.motion.at(time_s)
            if offsets.shape != now.ws.shape:
                raise BadLatent(
                    f"The motion has offsets of {list(offsets.shape)}, the latent {list(now.ws.shape)}: they belong to "
                    "different models. Extract the motion from its clip again."
                )
            now = replace(now, ws=now.ws + offsets)
        return replace(now, psnr_db=None)


def ramp(
    direction: Direction, low: float, high: float, seconds: float, *, loop: bool, ease: str = "smooth"
) -> SliderTrack:
    """A slider that moves from ``low`` to ``high``, and in a loop back again."""
    return SliderTrack(direction, Curve((0.0, seconds / 2 if loop else seconds), (low, high), ease))


#: What distinguishes two sliders: name, layers, digest of the region.
_SliderKey = tuple[str, tuple[int, int] | None, str | None]


def _strengths(keyframe: Keyframe) -> dict[_SliderKey, Edit]:
    """The edits of a keyframe by slider; muted ones are at 0, several of the same slider are summed."""
    found: dict[_SliderKey, Edit] = {}
    for edit in keyframe.edits:
        slider = edit.direction.name, edit.layers, edit.region.digest if edit.region else None
        strength = (0.0 if edit.muted else edit.strength) + (found[slider].strength if slider in found else 0.0)
        found[slider] = Edit(edit.direction, strength, edit.layers, region=edit.region)
    return found


def _same_state(a: Keyframe, b: Keyframe) -> bool:
    def moved(keyframe: Keyframe) -> dict[_SliderKey, float]:
        return {slider: edit.strength for slider, edit in _strengths(keyframe).items() if edit.strength}

    return moved(a) == moved(b) and (b.latent is a.latent)
