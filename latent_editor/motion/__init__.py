"""Faces that move: key frames with easing, loops, sliders that follow a sound, motion taken from a clip."""

from latent_editor.motion.animation import Animation, Key, Motion, Slide, Walk, sweep
from latent_editor.motion.curves import EASING_NAMES, Curve
from latent_editor.motion.driving import BANDS, follow, levels
from latent_editor.motion.movies import animate, draw
from latent_editor.motion.transfer import take_motion

__all__ = [
    "BANDS",
    "EASING_NAMES",
    "Animation",
    "Curve",
    "Key",
    "Motion",
    "Slide",
    "Walk",
    "animate",
    "draw",
    "follow",
    "levels",
    "sweep",
    "take_motion",
]
