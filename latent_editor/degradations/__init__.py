"""Image degradations: differentiable forward models that a repair inverts.

Each is a frozen value. Calling it degrades pictures differentiably: [N, C, H, W] in −1..1 to the same shape and range.
``agree(picture, damaged)`` projects ``picture`` onto the pictures that degrade to ``damaged``, so that known content
stays unchanged. ``guess(damaged)`` is the standard repair without knowledge of faces. :class:`Chain` applies several in
order.
"""

from latent_editor.degradations.chain import Chain, degradation_of, links_of, loses_color
from latent_editor.degradations.compression import Compressed, quantization
from latent_editor.degradations.degradation import LUMA, Degradation, gaussian, luminance
from latent_editor.degradations.fading import Blurred, Downsampled, Grayscale, Noisy
from latent_editor.degradations.missing import Masked, filled_smoothly, hidden_from

__all__ = [
    "LUMA", "Blurred", "Chain", "Compressed", "Degradation", "Downsampled", "Grayscale", "Masked", "Noisy",
    "degradation_of", "filled_smoothly", "gaussian", "hidden_from", "links_of", "loses_color", "luminance",
    "quantization",
]  # fmt: skip
