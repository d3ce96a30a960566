"""StyleGAN's custom operations: PyTorch references, and compiled kernels where they are faster.

Callers do not choose: ``bias_act(x)`` runs the fastest implementation available for the device of ``x``. See
:mod:`latent_editor.ops.kernels` for how kernels are selected and built.
"""

from latent_editor.ops.bias_act import bias_act
from latent_editor.ops.epilogue import modulation_epilogue
from latent_editor.ops.filtered_lrelu import filtered_lrelu
from latent_editor.ops.library import SCHEMAS as SCHEMAS  # which declares the operations to PyTorch
from latent_editor.ops.modulated_conv import modulated_conv
from latent_editor.ops.styles import modulation_styles
from latent_editor.ops.to_rgb import to_rgb
from latent_editor.ops.upfirdn2d import downsample2d, filter2d, setup_filter, upfirdn2d, upsample2d

__all__ = [
    "bias_act", "downsample2d", "filter2d", "filtered_lrelu", "modulated_conv", "modulation_epilogue",
    "modulation_styles", "setup_filter", "to_rgb", "upfirdn2d", "upsample2d",
]  # fmt: skip
