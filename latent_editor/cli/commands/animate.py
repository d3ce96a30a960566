"""``animate FACE.latent -o OUT.mp4``: renders a video of a face that moves."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.commands.edit import find_direction
from latent_editor.cli.commands.mix import noise
from latent_editor.cli.output import check_output
from latent_editor.cli.parser import (
    Result,
    add_command,
    name_and_strength,
    number,
    positive_number,
    shorten,
    whole_number,
)
from latent_editor.cli.preparing import show_preparation
from latent_editor.cli.progress import ProgressBar, stop_on_interrupt

if TYPE_CHECKING:
    from collections.abc import Callable

    from latent_editor.cli.parser import Commands
    from latent_editor.core.values import Direction, Latent, Step
    from latent_editor.generators import Generator
    from latent_editor.motion import Animation, Motion, SliderTrack

    NamedRange = tuple[str, float, float]

#: Length of a video when no option, clip or audio track sets it.
DEFAULT_SECONDS = 4.0


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "animate", run, about="Make a video with sliders, other faces, audio or a driving clip."
    )
    parser.add_argument("latent", metavar="FACE.latent")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.mp4", help="or .webm or .gif")
    what = parser.add_argument_group("what moves (repeatable)")
    for option, name, about in (
        ("--slider", "NAME=A..B", "move a slider from A to B (and back again with --loop)"),
        ("--prompt", "PROMPT=A..B", "the same for an edit described by a prompt"),
    ):
        what.add_argument(option, action="append", default=[], type=name_and_range, metavar=name, help=about)
    what.add_argument(
        "--keyframe",
        action="append",
        default=[],
        type=_keyframe,
        metavar="'SECONDS: NAME=X, NAME=Y'",
        help="slider positions at a given time; sliders not listed are at 0",
    )
    what.add_argument(
        "--target-face", action="append", default=[], metavar="FACE.latent", help="a face to morph into, in this order"
    )
    what.add_argument("--recipe", metavar="FILE", help="a recipe of edits to apply to every frame")
    audio = parser.add_argument_group("audio")
    audio.add_argument("--audio", metavar="TRACK", help="audio track of the video")
    audio.add_argument(
        "--audio-reactive",
        action="append",
        default=[],
        type=_audio_reactive,
        metavar="NAME=A..B[,BAND]",
        help="a slider that follows the loudness of the audio from A (silent) to B (loud), "
        "optionally of one frequency band: low, mid or high (repeatable)",
    )
    clip = parser.add_argument_group("motion transfer")
    clip.add_argument("--clip", metavar="CLIP", help="driving video, whose face moves this one")
    clip.add_argument(
        "--layers", action="append", metavar="L", help="layers to transfer motion in (default: coarse and middle)"
    )
    clip.add_argument("--amount", type=number, default=1.0, metavar="X", help="strength of the motion (default: 1)")
    clip.add_argument(
        "--neutral", type=whole_number, default=0, metavar="N", help="frame of the clip at rest (default: 0)"
    )
    _add_video(parser.add_argument_group("video"))


def _add_video(video: argparse._ArgumentGroup) -> None:
    video.add_argument(
        "--seconds", type=positive_number, metavar="S", help="length (default: that of the clip or the track, else 4)"
    )
    video.add_argument("--fps", type=positive_number, default=25.0, metavar="N", help="frames per second (default: 25)")
    video.add_argument("--size", type=whole_number, metavar="PX", help="width and height (default: the model's)")
    video.add_argument("--loop", action="store_true", help="make a seamless loop")
    video.add_argument(
        "--ease", default="smooth", metavar="E", help="linear, smooth (default), ease-in, ease-out or spline"
    )
    video.add_argument("--quality", type=whole_number, default=75, metavar="Q", help="1 to 100 (default: 75)")
    video.add_argument(
        "--noise", type=noise, default="const", metavar="N", help="noise inputs: const (default), none, or a seed"
    )


def run(arguments: argparse.Namespace) -> Result:
    from latent_editor.media.encode import VIDEO_SUFFIXES, VideoConfig, check_video, frame_count
    from latent_editor.motion import animate

    output = check_output(arguments.output, *VIDEO_SUFFIXES)
    latent = le.Latent.load(arguments.latent)
    faces = [le.Latent.load(path) for path in arguments.target_face]
    recipe = le.Recipe.load(arguments.recipe) if arguments.recipe else None
    audio = Path(arguments.audio) if arguments.audio else None
    config = VideoConfig(fps=arguments.fps, quality=arguments.quality, audio=audio)
    g = le.load_generator(arguments.model)
    g.check(latent)
    side = arguments.size if arguments.size is not None else g.size_px
    # Fail before the slow work if the video cannot be written as asked.
    check_video(output, (side, side), frame_count(arguments.seconds or DEFAULT_SECONDS, arguments.fps), config)
    named = bool(_uses_sliders(arguments) or recipe)
    show_preparation(g, *(() if named else ("faces", "text") if arguments.prompt else ("faces",)))
    with stop_on_interrupt() as stopped, ProgressBar("Rendering") as bar:

        def on_step(step: Step) -> bool:
            bar.show(step)
            return stopped.is_set()

        animation = _animation(g, latent, faces, recipe, arguments, on_step)
        video = animate(
            g, latent, animation, output, size_px=side, noise=arguments.noise, config=config, on_step=on_step
        )
    data = {
        "model": g.name,
        "output": str(output),
        "frames": video.frames,
        "seconds": round(video.seconds, 3),
        "fps": arguments.fps,
        "size_px": list(video.size),
        "sound": video.has_audio,
        "moving": [track.direction.name for track in animation.tracks],
    }
    loop = ", a loop" if arguments.loop else ""
    return Result(data, f"{output}: {video.frames} frames in {video.seconds:g} s, {side} × {side}{loop}")


def _animation(
    g: Generator,
    latent: Latent,
    faces: list[Latent],
    recipe: le.Recipe | None,
    arguments: argparse.Namespace,
    on_step: Callable[[Step], bool],
) -> Animation:
    """Everything that moves, as one animation."""
    from latent_editor.motion import Animation, Keyframe, LatentPath, ramp

    directions = le.named_directions(g) if _uses_sliders(arguments) else le.Directions()
    edits = tuple(le.retarget_edits(g, latent, recipe.edits(g))) if recipe else ()
    motion = _motion(g, arguments, on_step) if arguments.clip else None
    tracks, seconds = _audio_tracks(directions, arguments, motion.seconds if motion else None)
    moving: list[tuple[Direction, float, float]] = [
        (find_direction(directions, name), low, high) for name, low, high in arguments.slider
    ]
    moving += [(le.text_direction(g, prompt, latent=latent), low, high) for prompt, low, high in arguments.prompt]
    tracks += [ramp(d, low, high, seconds, loop=arguments.loop, ease=arguments.ease) for d, low, high in moving]
    if arguments.keyframe:
        keyframes = [
            Keyframe(time_s, tuple(le.Edit(find_direction(directions, name), x) for name, x in rows))
            for time_s, rows in arguments.keyframe
        ]
        tracks += Animation.from_keyframes(keyframes, seconds, loop=arguments.loop, ease=arguments.ease).tracks
    path = None
    if faces:
        steps = len(faces) + 1 if arguments.loop else len(faces)
        times = tuple(i * seconds / steps for i in range(len(faces) + 1))
        path = LatentPath(times, (latent, *faces), arguments.ease)
    if not (tracks or path or motion):
        raise le.BadValue(
            "Nothing moves. Add --slider, --prompt, --keyframe, --target-face, --audio-reactive or --clip."
        )
    return Animation(seconds, arguments.loop, tuple(tracks), edits, path, motion)


def _uses_sliders(arguments: argparse.Namespace) -> bool:
    return bool(arguments.slider or arguments.keyframe or arguments.audio_reactive)


def _motion(g: Generator, arguments: argparse.Namespace, on_step: Callable[[Step], bool]) -> Motion:
    from latent_editor.media.decode import read_clip
    from latent_editor.motion import extract_motion

    clip = read_clip(arguments.clip, fps=arguments.fps, seconds=arguments.seconds)
    layers = arguments.layers or ["coarse", "middle"]
    return extract_motion(clip, g, layers=layers, amount=arguments.amount, neutral=arguments.neutral, on_step=on_step)


def _audio_tracks(
    directions: le.Directions, arguments: argparse.Namespace, clip_s: float | None
) -> tuple[list[SliderTrack], float]:
    """The audio-reactive sliders, and the length of the video in seconds."""
    from latent_editor.media.decode import read_track
    from latent_editor.media.encode import frame_count
    from latent_editor.motion import loudness_envelope, loudness_track

    if arguments.audio_reactive and not arguments.audio:
        raise le.BadValue("--audio-reactive needs an audio track. Name one with --audio.")
    if not arguments.audio:
        return [], arguments.seconds or clip_s or DEFAULT_SECONDS
    audio = read_track(arguments.audio, seconds=arguments.seconds or clip_s)
    seconds = arguments.seconds or clip_s or audio.seconds
    count = frame_count(seconds, arguments.fps)
    tracks = []
    for (name, low, high), band in arguments.audio_reactive:
        loudness = loudness_envelope(audio, arguments.fps, count, band=band)
        tracks.append(loudness_track(find_direction(directions, name), low, high, loudness, arguments.fps))
    return tracks, seconds


def name_and_range(text: str) -> NamedRange:
    """ "age=-2..2" → ("age", -2, 2); "age=2" starts at 0."""
    name, equals, span = text.rpartition("=")
    low, dots, high = span.partition("..")
    if not equals or not name.strip():
        raise argparse.ArgumentTypeError(f'got {shorten(text)!r}, expected a name and a range, as in "age=-2..2"')
    return (name.strip(), number(low), number(high)) if dots else (name.strip(), 0.0, number(span))


def _audio_reactive(text: str) -> tuple[NamedRange, str]:
    """ "smile=0..2,low" → (("smile", 0, 2), "low")."""
    span, _, band = text.rpartition(",") if "," in text.rpartition("=")[2] else (text, "", "all")
    return name_and_range(span), band.strip()


def _keyframe(text: str) -> tuple[float, list[tuple[str, float]]]:
    """ "1.5: age=2, smile=1" → (1.5, [("age", 2), ("smile", 1)])."""
    time_s, colon, rest = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f'got {shorten(text)!r}, expected a time and sliders, as in "1.5: age=2"')
    return number(time_s), [name_and_strength(part) for part in rest.split(",") if part.strip()]
