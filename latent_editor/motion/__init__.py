"""Animation: keyframes, loops, sliders driven by sound, motion transferred from a clip."""

from latent_editor.motion.animation import Animation, Keyframe, LatentPath, Motion, SliderTrack, ramp
from latent_editor.motion.audio import BANDS, loudness_envelope, loudness_track
from latent_editor.motion.curves import EASING_NAMES, Curve
from latent_editor.motion.movies import animate, render_frames
from latent_editor.motion.transfer import extract_motion

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
    "extract_motion",
    "loudness_envelope",
    "loudness_track",
    "ramp",
    "render_frames",
]
