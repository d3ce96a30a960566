"""The operations that StyleGAN adds to the usual ones, as PyTorch references."""

from latent_editor.ops.bias_act import bias_act
from latent_editor.ops.filtered_lrelu import filtered_lrelu
from latent_editor.ops.upfirdn2d import downsample2d, filter2d, setup_filter, upfirdn2d, upsample2d

__all__ = ["bias_act", "downsample2d", "filter2d", "filtered_lrelu", "setup_filter", "upfirdn2d", "upsample2d"]
