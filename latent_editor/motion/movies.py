"""Rendering animations to frames and videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL import Image
from torch import Tensor

from latent_editor.core.values import Latent, OnStep
from latent_editor.editing.style_mixing import render_with_noise
from latent_editor.generators import Generator
from latent_editor.media.encode import Video, VideoConfig, check_video, write_video
from latent_editor.media.exports import description
from latent_editor.motion.animation import Animation
from latent_editor.rendering import render


def render_frames(
    g: Generator,
    latent: Latent,
    animation: Animation,
    *,
    fps: float = 25.0,
    size_px: int | None = None,
    noise: str | int = "const",
    transform: Tensor | None = None,
) -> Iterator[Image.Image]:
    """Renders the frames of an animation lazily, in order.

    Args:
        g: The latent's generator.
        latent: The face to animate.
        animation: What happens to it.
        fps: Frames per second.
        size_px: Side of the frames; None keeps the generator's.
        noise: As in :func:`latent_editor.editing.style_mixing.render_with_noise`; a seed gives all frames the same
            noise.
        transform: Where to draw, as in :func:`latent_editor.rendering.render`; only with "const" noise.

    Raises:
        BadLatent: latents, directions or offsets of another model.
    """
    for time_s in animation.times(fps):
        now = animation.latent_at(g, latent, time_s)
        if noise == "const":
            yield render(g, now, size_px=size_px, transform=transform)
        else:
            yield render_with_noise(g, now, noise, size_px=size_px)


def animate(
    g: Generator,
    latent: Latent,
    animation: Animation,
    path: str | Path,
    *,
    size_px: int | None = None,
    noise: str | int = "const",
    transform: Tensor | None = None,
    config: VideoConfig | None = None,
    on_step: OnStep | None = None,
) -> Video:
    """Renders an animation and writes it as a video.

    Args:
        g: The latent's generator.
        latent: The face to animate.
        animation: What happens to it.
        path: Output file, ``.mp4``, ``.webm`` or ``.gif``.
        size_px: Side of the frames, 16 to 2048; None keeps the generator's.
        noise, transform: As in :func:`render_frames`.
        config: Frame rate, quality and audio; a missing description is generated.
        on_step: Called after every frame; a true answer stops, and nothing is written.

    Raises:
        BadLatent: latents, directions or offsets of another model.
        BadValue: a size, frame rate or duration out of range.
        BadMedia: the audio cannot be read.
        Stopped: ``on_step`` gave a true answer.
    """
    config = config or VideoConfig()
    if not config.description:
        names = [s.direction.name for s in animation.tracks]
        moving = f" Moving: {', '.join(dict.fromkeys(names))}." if names else ""
        about = description("A synthetic video", g.name, animation.edits) + moving
        config = replace(config, description=about)
    side = size_px or g.size_px
    check_video(path, (side, side), count := len(animation.times(config.fps)), config)
    pictures = render_frames(g, latent, animation, fps=config.fps, size_px=size_px, noise=noise, transform=transform)
    return write_video(path, pictures, count=count, config=config, on_step=on_step)
