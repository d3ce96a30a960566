"""Animation: keyframes, loops, sliders driven by sound, motion transferred from a clip."""

from latent_editor.motion.animation import Animation, Keyframe, LatentPath, Motion, SliderTrack, ramp
from latent_editor.motion.curves import EASING_NAMES, Curve
from latent_editor.motion.driving import BANDS, follow, levels
from latent_editor.motion.movies import animate, draw
from latent_editor.motion.transfer import take_motion

__all__ = [
    "BANDS",
    "EASING_NAMES",
    "Animation",
    "Curve",
    "Keyframe",
    "LatentPath",
    "Motion",
    "SliderTrack",
    "animate",
    "draw",
    "follow",
    "levels",
    "ramp",
    "take_motion",
]
