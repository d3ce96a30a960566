"""The configuration of a StyleGAN3 generator, and the layers derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from latent_editor.checkpoints.arguments import boolean, integer, mapping, real, refuse_unknown
from latent_editor.core.errors import BadModel

#: Limits of every number, far beyond any public checkpoint: they keep damaged or hostile files from allocating absurd
#: amounts of memory.
INTEGER_LIMITS = {
    "z_dim": (1, 8192), "c_dim": (0, 65536), "w_dim": (1, 8192), "img_resolution": (4, 4096), "img_channels": (1, 64),
    "channel_base": (1, 1 << 22), "channel_max": (1, 8192), "num_layers": (1, 64), "num_critical": (0, 63),
    "margin_size": (0, 256), "conv_kernel": (1, 11), "filter_size": (1, 64), "lrelu_upsampling": (1, 8),
    "mapping_layers": (0, 64),
}  # fmt: skip
REAL_LIMITS = {
    "first_cutoff": (1e-3, 4096.0), "first_stopband": (1e-3, 4096.0), "last_stopband_rel": (1e-3, 64.0),
    "output_scale": (1e-6, 1e6), "conv_clamp": (1e-6, 1e9), "mapping_lr_multiplier": (1e-6, 1e3),
}  # fmt: skip
#: Arguments that have no effect on a trained generator.
HARMLESS = frozenset({"num_fp16_res", "magnitude_ema_beta", "w_avg_beta"})
#: Limit of filter lengths; public checkpoints have up to 24 taps.
MAX_TAPS = 512


@dataclass(frozen=True)
class LayerShape:
    """One synthesis layer: a convolution and a filtered leaky ReLU between two sampling rates.

    Rates are in pixels per image width, frequencies in cycles per image width, sizes in pixels with margins.
    """

    index: int
    inputs: int
    outputs: int
    in_size: int
    out_size: int
    in_rate: int
    out_rate: int
    in_cutoff: float
    out_cutoff: float
    in_half_width: float
    out_half_width: float
    kernel: int
    filter_size: int
    oversampling: int
    is_torgb: bool
    is_critical: bool

    @property
    def name(self) -> str:
        return f"L{self.index}_{self.out_size}_{self.outputs}"

    @property
    def fine_rate(self) -> int:
        """The sampling rate at which the activation is applied."""
        return max(self.in_rate, self.out_rate) * self.oversampling

    @property
    def up(self) -> int:
        return self.fine_rate // self.in_rate

    @property
    def down(self) -> int:
        return self.fine_rate // self.out_rate

    @property
    def up_taps(self) -> int:
        """Length of the upsampling filter; 1 for none."""
        return 1 if self.up == 1 or self.is_torgb else self.filter_size * self.up

    @property
    def down_taps(self) -> int:
        """Length of the downsampling filter; 1 for none."""
        return 1 if self.down == 1 or self.is_torgb else self.filter_size * self.down

    @property
    def padding(self) -> tuple[int, int]:
        """Padding before and after each axis on the fine grid; negative values crop.

        The fine grid needs ``out_size`` pixels after downsampling and both filters; the convolution pads its output to
        ``in_size + kernel − 1``. An odd remainder goes to the end, after a shift by half the upsampling factor, which
        keeps the image centered.
        """
        needed = (self.out_size - 1) * self.down + 1 + (self.up_taps - 1) + (self.down_taps - 1)
        total = needed - (self.in_size + self.kernel - 1) * self.up
        before = (total + self.up) // 2
        return before, total - before


@dataclass(frozen=True)
class StyleGAN3Config:
    """The configuration of a StyleGAN3 generator; field names and defaults as in the public checkpoints.

    Configuration T has the defaults. R has ``conv_kernel`` 1, ``use_radial_filters``, and twice the ``channel_base``
    and ``channel_max``. All layers but the last two have a margin of ``margin_size`` pixels on each side.
    """

    z_dim: int = 512
    c_dim: int = 0
    w_dim: int = 512
    img_resolution: int = 256
    img_channels: int = 3
    channel_base: int = 32768
    channel_max: int = 512
    num_layers: int = 14
    num_critical: int = 2
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband_rel: float = 2**0.3
    margin_size: int = 10
    output_scale: float = 0.25
    conv_kernel: int = 3
    filter_size: int = 6
    lrelu_upsampling: int = 2
    use_radial_filters: bool = False
    conv_clamp: float | None = 256
    mapping_layers: int = 2
    mapping_lr_multiplier: float = 0.01

    def __post_init__(self) -> None:
        for name, (low, high) in INTEGER_LIMITS.items():
            object.__setattr__(self, name, integer(name, getattr(self, name), low, high))
        for name, (minimum, maximum) in REAL_LIMITS.items():
            if name != "conv_clamp" or self.conv_clamp is not None:
                object.__setattr__(self, name, float(real(name, getattr(self, name), minimum, maximum)))
        object.__setattr__(self, "use_radial_filters", boolean("use_radial_filters", self.use_radial_filters))
        if self.num_critical >= self.num_layers:
            raise BadModel(
                f"Got a StyleGAN3 with num_critical {self.num_critical} of {self.num_layers} layers; "
                "expected fewer than all. Is the file damaged?"
            )
        for layer in self.layers:
            _check_layer(layer)

    @staticmethod
    def from_init_kwargs(kwargs: Mapping[str, Any]) -> StyleGAN3Config:
        """Parses the constructor arguments of a public checkpoint, flat or nested in ``synthesis_kwargs``.

        Arguments that only affect training or speed (``num_fp16_res``, ``magnitude_ema_beta``) are ignored.

        Raises:
            BadModel: a value that is not a number, or outside of the limits.
        """
        flat = {k: v for k, v in kwargs.items() if k not in ("synthesis_kwargs", "mapping_kwargs")}
        flat.update(mapping("synthesis_kwargs", kwargs.get("synthesis_kwargs")))
        own = {f.name for f in fields(StyleGAN3Config) if not f.name.startswith("mapping_")}
        refuse_unknown("StyleGAN3", flat, own, HARMLESS)
        known = {name: flat[name] for name in own if name in flat}
        of_mapping = mapping("mapping_kwargs", kwargs.get("mapping_kwargs"))
        refuse_unknown("StyleGAN3's mapping", of_mapping, ("num_layers", "lr_multiplier"), HARMLESS)
        known.update(
            {f"mapping_{'layers' if k == 'num_layers' else k}": of_mapping[k] for k in of_mapping.keys() - HARMLESS}
        )
        return StyleGAN3Config(**known)

    def to_init_kwargs(self) -> dict[str, Any]:
        """The inverse of :meth:`from_init_kwargs`, flat and JSON-serializable."""
        kwargs = {f.name: getattr(self, f.name) for f in fields(self) if not f.name.startswith("mapping_")}
        mapping = {"num_layers": self.mapping_layers, "lr_multiplier": self.mapping_lr_multiplier}
        return {**kwargs, "mapping_kwargs": mapping}

    @property
    def num_ws(self) -> int:
        """One w for the Fourier features, and one for each layer, including ToRGB."""
        return self.num_layers + 2

    @cached_property
    def layers(self) -> tuple[LayerShape, ...]:
        """All layers, from cutoffs and stopbands in geometric progression (appendix C.2, "layer specifications")."""
        last = self.num_layers  # the index of the ToRGB layer
        share = np.minimum(np.arange(last + 1) / (last - self.num_critical), 1)
        last_cutoff = self.img_resolution / 2
        last_stopband = last_cutoff * self.last_stopband_rel
        cutoffs = self.first_cutoff * (last_cutoff / self.first_cutoff) ** share
        stopbands = self.first_stopband * (last_stopband / self.first_stopband) ** share
        rates = np.exp2(np.ceil(np.log2(np.minimum(stopbands * 2, self.img_resolution))))
        half_widths = np.maximum(stopbands, rates / 2) - cutoffs
        sizes = rates + 2 * self.margin_size
        sizes[-2:] = self.img_resolution
        channels = np.rint(np.minimum(self.channel_base / 2 / cutoffs, self.channel_max))
        channels[-1] = self.img_channels

        def layer(i: int) -> LayerShape:
            before = max(i - 1, 0)
            return LayerShape(
                i, int(channels[before]), int(channels[i]), int(sizes[before]), int(sizes[i]),
                int(rates[before]), int(rates[i]), float(cutoffs[before]), float(cutoffs[i]),
                float(half_widths[before]), float(half_widths[i]), kernel=1 if i == last else self.conv_kernel,
                filter_size=self.filter_size, oversampling=1 if i == last else self.lrelu_upsampling,
                is_torgb=i == last, is_critical=i >= last - self.num_critical,
            )  # fmt: skip

        return tuple(layer(i) for i in range(last + 1))

    @cached_property
    def activation_layers(self) -> dict[int, int]:
        """The last layer before ToRGB at each resolution (without margins)."""
        layers = {layer.out_rate: layer.index for layer in self.layers[:-2]}
        return {**layers, self.img_resolution: self.num_layers - 1}


def _check_layer(layer: LayerShape) -> None:
    """Raises BadModel if the configuration leads to an impossible layer."""
    where = f"Got a StyleGAN3 whose settings give the layer {layer.name}"
    if layer.outputs < 1 or layer.in_rate < 1 or layer.out_rate < 1:
        raise BadModel(f"{where} no channels or pixels; expected at least one. Is the file damaged?")
    if max(layer.up_taps, layer.down_taps) > MAX_TAPS:
        taps = max(layer.up_taps, layer.down_taps)
        raise BadModel(f"{where} a filter of {taps} taps; expected at most {MAX_TAPS}. Is the file damaged?")
    ends = ((layer.in_cutoff, layer.in_half_width), (layer.out_cutoff, layer.out_half_width))
    filters = [end for end, taps in zip(ends, (layer.up_taps, layer.down_taps), strict=True) if taps > 1]
    if any(not 0 < cutoff < layer.fine_rate / 2 or width <= 0 for cutoff, width in filters):
        raise BadModel(f"{where} a filter without a transition band; check first_cutoff and first_stopband.")
