"""The configuration of a StyleGAN2, from the arguments of public constructors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from latent_editor.checkpoints.arguments import boolean, choice, integer, mapping, real, refuse_unknown
from latent_editor.core.errors import BadModel
from latent_editor.ops.bias_act import ACTIVATIONS

ARCHITECTURES = ("skip", "resnet", "orig")
#: Plausibility limits, which no public network exceeds.
MAX_CLASSES, MAX_FEATURES, MAX_CHANNELS, MAX_LAYERS, MAX_SIZE_PX, MAX_TAPS = 65536, 16384, 16384, 64, 2048, 64
#: Arguments that only affect precision, memory or training, not the images.
HARMLESS = (
    "channels_last", "fp16_channels_last", "fused_modconv_default", "num_fp16_res", "num_ws", "use_fp16",
)  # fmt: skip
#: Fields of the configuration by their names in ``mapping_kwargs``.
MAPPING_ARGUMENTS = {
    "num_layers": "mapping_layers",
    "lr_multiplier": "mapping_lr_multiplier",
    "activation": "mapping_activation",
    "last_act": "mapping_last_act",
    "embed_features": "mapping_embed_features",
    "layer_features": "mapping_layer_features",
    "joint_norm": "mapping_joint_norm",
}
#: stylegan3's StyleGAN2 takes its options flat and clamps by default; stylegan2-ada-pytorch nests them and does not.
FLAT_CONV_CLAMP = 256

Taps = tuple[float, ...] | tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class StyleGAN2Config:
    """The configuration of a StyleGAN2 generator; field names as in the public checkpoints.

    ``channels_at(res)`` is ``min(channel_base // res, channel_max)``, unless ``channels`` lists a number for each
    resolution from 4 (third-party networks). With ``mapping_layers`` 0 the mapping is only the normalization of z, so
    that w is uniform on a sphere. ``mapping_last_act`` is None in public checkpoints (like the other layers); "linear"
    allows w of any sign, which this project's training uses.

    Raises:
        BadModel: a value that a StyleGAN2 cannot have.
    """

    z_dim: int = 512
    c_dim: int = 0
    w_dim: int = 512
    img_resolution: int = 128
    img_channels: int = 3
    channel_base: int = 32768
    channel_max: int = 512
    mapping_layers: int = 8
    mapping_lr_multiplier: float = 0.01
    conv_clamp: float | None = None
    resample_filter: Taps = (1, 3, 3, 1)
    architecture: str = "skip"
    mapping_last_act: str | None = None
    mapping_activation: str = "lrelu"
    mapping_embed_features: int | None = None
    mapping_layer_features: int | None = None
    use_noise: bool = True
    activation: str = "lrelu"
    kernel_size: int = 3
    channels: tuple[int, ...] | None = None
    mapping_joint_norm: bool = False

    def __post_init__(self) -> None:
        size = integer("img_resolution", self.img_resolution, 0, 1 << 30)
        if not 4 <= size <= MAX_SIZE_PX or size & (size - 1):
            raise BadModel(
                f"Got a StyleGAN2 of {size} pixels; expected a power of two from 4 to {MAX_SIZE_PX}. "
                "Is the file damaged?"
            )
        checked: dict[str, Any] = {
            "img_resolution": size,
            "c_dim": integer("c_dim", self.c_dim, 0, MAX_CLASSES),
            "w_dim": integer("w_dim", self.w_dim, 1, MAX_FEATURES),
            "img_channels": integer("img_channels", self.img_channels, 1, 512),
            "channel_base": integer("channel_base", self.channel_base, size, MAX_CHANNELS * MAX_SIZE_PX),
            "channel_max": integer("channel_max", self.channel_max, 1, 1 << 31),
            "mapping_layers": integer("mapping_kwargs.num_layers", self.mapping_layers, 0, MAX_LAYERS),
            "mapping_lr_multiplier": real("mapping_kwargs.lr_multiplier", self.mapping_lr_multiplier, 1e-8, 1e4),
            "resample_filter": _taps(self.resample_filter),
            "architecture": choice("architecture", self.architecture, ARCHITECTURES),
            "mapping_activation": choice("mapping_kwargs.activation", self.mapping_activation, ACTIVATIONS),
            "use_noise": boolean("use_noise", self.use_noise),
            "activation": choice("activation", self.activation, ACTIVATIONS),
            "kernel_size": integer("kernel_size", self.kernel_size, 1, 15),
            "channels": _channel_table(self.channels, size),
            "mapping_joint_norm": boolean("mapping_kwargs.joint_norm", self.mapping_joint_norm),
        }
        checked["z_dim"] = integer("z_dim", self.z_dim, 0 if checked["c_dim"] else 1, MAX_FEATURES)
        for name in ("mapping_embed_features", "mapping_layer_features"):
            value = getattr(self, name)
            checked[name] = None if value is None else integer(name, value, 1, MAX_FEATURES)
        if self.conv_clamp is not None:
            checked["conv_clamp"] = real("conv_clamp", self.conv_clamp, 0, 1e30)
        if self.mapping_last_act is not None:
            choice("mapping_kwargs.last_act", self.mapping_last_act, ACTIVATIONS)
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # integral floats and NumPy numbers become plain ones
        if self.channels_at(4) > MAX_CHANNELS:
            raise BadModel(f"Got a StyleGAN2 of {self.channels_at(4)} channels; at most {MAX_CHANNELS} are read.")
        if self.kernel_size % 2 == 0:
            raise BadModel(f"Got a StyleGAN2 with kernel_size = {self.kernel_size}; expected an odd number.")

    @staticmethod
    def from_init_kwargs(kwargs: Mapping[str, Any]) -> StyleGAN2Config:
        """Parses the constructor arguments of a public checkpoint, flat or nested in ``synthesis_kwargs``.

        Raises:
            BadModel: an argument that no public version has, or an invalid value.
        """
        arguments = mapping("init_kwargs", kwargs)
        of_mapping = mapping("mapping_kwargs", arguments.pop("mapping_kwargs", None))
        nested = arguments.pop("synthesis_kwargs", None)
        flat = {**arguments, **mapping("synthesis_kwargs", nested)}
        fields = StyleGAN2Config.__dataclass_fields__
        refuse_unknown("a StyleGAN2", flat, fields, HARMLESS)
        refuse_unknown("its mapping network", of_mapping, MAPPING_ARGUMENTS, ("w_avg_beta", "num_ws"))
        known = {name: value for name, value in flat.items() if name in fields}
        known.update({MAPPING_ARGUMENTS[k]: v for k, v in of_mapping.items() if k in MAPPING_ARGUMENTS})
        if nested is None and "conv_clamp" not in known:
            known["conv_clamp"] = FLAT_CONV_CLAMP
        if "resample_filter" in known:
            known["resample_filter"] = _taps(known["resample_filter"])
        return StyleGAN2Config(**known)

    def to_init_kwargs(self) -> dict[str, Any]:
        """The inverse of :meth:`from_init_kwargs`, flat and JSON-serializable."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        of_mapping = {k: values.pop(name) for k, name in MAPPING_ARGUMENTS.items()}
        values["resample_filter"] = [list(t) if isinstance(t, tuple) else t for t in self.resample_filter]
        return {**values, "mapping_kwargs": {k: v for k, v in of_mapping.items() if v is not None}}

    @property
    def resolutions(self) -> list[int]:
        return [2**i for i in range(2, self.img_resolution.bit_length())]

    @property
    def num_ws(self) -> int:
        """One w per convolution (one at 4 pixels, two at other resolutions), and one for the last ToRGB layer.

        The same for all architectures: other ToRGB layers share the w of the next convolution.
        """
        return 2 * len(self.resolutions)

    def channels_at(self, resolution: int) -> int:
        if self.channels is not None:
            return self.channels[max(resolution.bit_length() - 3, 0)]
        return min(self.channel_base // resolution, self.channel_max)


def _channel_table(value: Any, size_px: int) -> tuple[int, ...] | None:
    """Validates a list of channels by resolution from 4 pixels, or None.

    Raises:
        BadModel: a wrong length, or an invalid number.
    """
    if value is None:
        return None
    count = size_px.bit_length() - 2
    if not isinstance(value, (list, tuple)) or len(value) != count:
        raise BadModel(f"The model's file gives invalid channels; expected {count} numbers. Is the file damaged?")
    return tuple(integer("channels", number, 1, MAX_CHANNELS) for number in value)


def _taps(value: Any) -> Taps:
    """A filter's taps as tuples; None and empty are the identity.

    Raises:
        BadModel: not 1D or 2D, not finite, too many, or with sum 0, which cannot be normalized.
    """
    try:
        given = np.asarray((1,) if value is None else value)
        taps = np.zeros(1) if given.dtype.kind == "c" else given.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        taps = np.zeros(1)
    if taps.ndim in (1, 2) and taps.size == 0:
        taps = np.ones(1)
    good = taps.ndim in (1, 2) and max(taps.shape) <= MAX_TAPS and np.isfinite(taps).all()
    if not good or abs(taps.sum()) <= 1e-6 * abs(taps).max():
        raise BadModel(
            "The model's file gives an invalid resample_filter; expected one row or equal rows of at most "
            f"{MAX_TAPS} numbers whose sum is not 0. Is the file damaged?"
        )
    if taps.ndim == 1:
        return tuple(taps.tolist())
    return tuple(tuple(row) for row in taps.tolist())
