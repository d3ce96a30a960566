"""Image degradations: differentiable forward models that a repair inverts.

Each is a frozen value. Called, it does to pictures what the damage did, differentiably: [N, C, H, W] in −1..1 to the
same shape and range. ``agree(picture, damaged)`` is the way back: the picture nearest to ``picture`` that the damage
would have made ``damaged`` of, so that what is known stays as it is. ``guess(damaged)`` is what one would do without
any knowledge of faces. :class:`Chain` puts several one after another.
"""

from latent_editor.degradations.chain import Chain, damage_of, has_grey, links_of
from latent_editor.degradations.compression import Compressed, quantization
from latent_editor.degradations.damage import Damage, gaussian, luminance
from latent_editor.degradations.fading import Blurred, Downsampled, Grey, Noisy
from latent_editor.degradations.missing import Masked, filled_smoothly, hidden_from

__all__ = [
    "Blurred", "Chain", "Compressed", "Damage", "Downsampled", "Grey", "Masked", "Noisy", "damage_of",
    "filled_smoothly", "gaussian", "has_grey", "hidden_from", "links_of", "luminance", "quantization",
]  # fmt: skip
