"""From an animation to a video."""

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


def draw(
    g: Generator,
    latent: Latent,
    animation: Animation,
    *,
    fps: float = 25.0,
    size_px: int | None = None,
    noise: str | int = "const",
    transform: Tensor | None = None,
) -> Iterator[Image.Image]:
    """The pictures of an animation, drawn one after the other as they are asked for.

    Args:
        g: The latent's generator.
        latent: What is animated.
        animation: How.
        fps: Pictures a second.
        size_px: Side of the pictures; None keeps the generator's.
        noise: As in :func:`latent_editor.editing.style_mixing.render_with_noise`; a seed gives all pictures the same
            noise.
        transform: Where to draw, as in :func:`latent_editor.rendering.render`; with the fixed noise only.

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
    """Draws an animation and writes it as a video.

    Args:
        g: The latent's generator.
        latent: What is animated.
        animation: How.
        path: Where; ``.mp4``, ``.webm`` or ``.gif``.
        size_px: Side of the pictures, 16 to 2048; None keeps the generator's.
        noise, transform: As in :func:`draw`.
        config: Rate, quality, sound; its description is made where it has none.
        on_step: Called after every picture; a true answer stops, and nothing is written.

    Raises:
        BadLatent: latents, directions or offsets of another model.
        BadValue: a size, rate or length that no video has.
        BadMedia: the sound cannot be read.
        Stopped: ``on_step`` gave a true answer.
    """
    config = config or VideoConfig()
    if not config.description:
        names = [s.direction.name for s in animation.slides]
        moving = f" Moving: {', '.join(dict.fromkeys(names))}." if names else ""
        about = description("A synthetic video", g.name, animation.edits) + moving
        config = replace(config, description=about)
    side = size_px or g.size_px
    check_video(path, (side, side), count := len(animation.times(config.fps)), config)
    pictures = draw(g, latent, animation, fps=config.fps, size_px=size_px, noise=noise, transform=transform)
    return write_video(path, pictures, count=count, config=config, on_step=on_step)
