"""The encoders of pSp (Richardson et al. 2021, "Encoding in Style") and e4e (Tov et al. 2021, "Designing an Encoder
for StyleGAN Image Manipulation"): from a picture to W+ through a pyramid of features.

Written from the papers; the body is the residual network of ArcFace (Deng et al. 2019, "IR-SE50") with squeeze and
excitation (Hu et al. 2018). Parameter names follow the public checkpoints, so that their tensors load by name; widths,
number of latents and the level that each of them looks at are read from the tensors' shapes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.checkpoints.foreign import LATENT_AVG, OFFSETS
from latent_editor.core.errors import BadModel
from latent_editor.generators import Generator

#: Height and width of the pictures that it takes.
SIZE_PX = 256
#: Residual units of the body by depth (IR-SE50); the first of each halves the picture.
UNITS = (3, 4, 14, 3)
_SLOPE = 0.01
_MAX_STYLES, _MAX_NUMBERS = 64, 1 << 29


@dataclass(frozen=True)
class PspConfig:
    """The shape of an encoder.

    Attributes:
        stem: Channels after the first convolution.
        depths: Channels of the four groups of residual units.
        squeezed: Channels inside the squeeze and excitation of each group.
        w_dim: Width of a latent.
        pools: How often each latent's head halves its features before one pixel is left: 4 looks at the coarse level,
            5 at the middle, 6 at the fine one.
        offsets: True adds each later latent to the first (e4e), False takes it as it is (pSp).
    """

    stem: int = 64
    depths: tuple[int, int, int, int] = (64, 128, 256, 512)
    squeezed: tuple[int, int, int, int] = (4, 8, 16, 32)
    w_dim: int = 512
    pools: tuple[int, ...] = (4,) * 3 + (5,) * 4 + (6,) * 11
    offsets: bool = True


class SqueezeExcite(nn.Module):
    """Scales each channel by what the means of all channels tell (Hu et al. 2018)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1, bias=False)
        self.fc2 = nn.Conv2d(squeezed, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate = x.mean(dim=(2, 3), keepdim=True)  # [N, C, 1, 1]
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(gate))))


class Unit(nn.Module):
    """A residual unit of the "improved" form (Deng et al. 2019, §3.2): norm, convolve, PReLU, convolve, norm."""

    def __init__(self, inputs: int, outputs: int, squeezed: int, stride: int) -> None:
        super().__init__()
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            SqueezeExcite(outputs, squeezed),
        )
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if inputs != outputs:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)


class EqualLinear(nn.Module):
    """A linear layer with equalised learning rate (Karras et al. 2018, §4.1)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight / math.sqrt(self.weight.shape[1]), self.bias)


class Head(nn.Module):
    """ "map2style" (Richardson et al. 2021, §3): strided convolutions down to one pixel, then a linear layer.

    The convolutions sit at the even places of ``convs``; their activations, without parameters, at the odd ones.
    """

    def __init__(self, inputs: int, outputs: int, pools: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(pools):
            layers.append(nn.Conv2d(inputs if i == 0 else outputs, outputs, 3, stride=2, padding=1))
            layers.append(nn.LeakyReLU(_SLOPE))
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.convs(x).flatten(1))  # [N, outputs]


class PspEncoder(nn.Module):
    """A picture to ws, as pSp and e4e do it.

    Args:
        config: The shape.
        latent_avg: [num_ws, w_dim] that is added to the result; None for zeros.
    """

    latent_avg: Tensor

    def __init__(self, config: PspConfig, latent_avg: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        average = torch.zeros(len(config.pools), config.w_dim) if latent_avg is None else latent_avg
        self.register_buffer("latent_avg", average, persistent=False)
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, config.stem, 3, padding=1, bias=False), nn.BatchNorm2d(config.stem), nn.PReLU(config.stem)
        )
        units: list[nn.Module] = []
        width = config.stem
        for count, depth, squeezed in zip(UNITS, config.depths, config.squeezed, strict=True):
            for i in range(count):
                units.append(Unit(width, depth, squeezed, stride=2 if i == 0 else 1))
                width = depth
        self.body = nn.Sequential(*units)
        self.styles = nn.ModuleList(Head(width, config.w_dim, pools) for pools in config.pools)
        self.latlayer1 = nn.Conv2d(config.depths[2], width, 1)
        self.latlayer2 = nn.Conv2d(config.depths[1], width, 1)

    def forward(self, image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Encodes pictures.

        Args:
            image: [N, 3, H, W], −1..1, aligned as the generator's own; another size than 256 is resized, one channel
                is treated as gray, a fourth is ignored.
            dtype: Precision of the convolutions.

        Returns:
            float32 ws [N, num_ws, w_dim].
        """
        x = image.float().expand(-1, 3, -1, -1) if image.shape[1] == 1 else image[:, :3].float()
        if x.shape[2:] != (SIZE_PX, SIZE_PX):
            x = F.interpolate(x, (SIZE_PX, SIZE_PX), mode="bilinear", antialias=True)
        with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
            fine, middle, coarse = self._levels(x)
            by_pools = {6: fine, 5: middle, 4: coarse}
            ws = torch.stack([head(by_pools[n]) for head, n in zip(self.styles, self.config.pools, strict=True)], dim=1)
        ws = ws.float()  # [N, num_ws, w_dim]
        if self.config.offsets:  # e4e: one w, and what each later layer wants otherwise (§4.1)
            ws = torch.cat([ws[:, :1], ws[:, :1] + ws[:, 1:]], dim=1)
        return ws + self.latent_avg

    def _levels(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The pyramid (Lin et al. 2017): features of 64, 32 and 16 pixels, each with the coarser ones added."""
        ends = [sum(UNITS[: i + 1]) - 1 for i in range(len(UNITS))]  # the last unit of each group: 2, 6, 20, 23
        x = self.input_layer(x)
        kept = []
        for i, unit in enumerate(self.body):
            x = unit(x)
            if i in ends[1:]:
                kept.append(x)
        fine, middle, coarse = kept
        middle = _enlarged(coarse, middle) + self.latlayer1(middle)
        fine = _enlarged(middle, fine) + self.latlayer2(fine)
        return fine, middle, coarse


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)


def build_psp_encoder(tensors: Mapping[str, Tensor], g: Generator) -> PspEncoder:
    """Builds an encoder from the tensors of a checkpoint, ready for use with ``g``.

    Args:
        tensors: By name without ``encoder.``, with ``latent_avg`` and ``offsets_from_first`` beside them.
        g: The generator that it belongs to.

    Raises:
        BadModel: a tensor is missing, superfluous, misshapen or not finite, or the latents are not those of ``g``.
    """
    numbers = sum(value.numel() for value in tensors.values())
    if numbers > _MAX_NUMBERS:
        raise BadModel(f"The encoder holds {numbers:,} numbers; those of pSp and e4e have about 300,000,000.")
    config = _config(tensors)
    if (len(config.pools), config.w_dim) != (g.num_ws, g.w_dim):
        raise BadModel(
            f"The encoder gives latents [{len(config.pools)}, {config.w_dim}]; the generator takes "
            f"[{g.num_ws}, {g.w_dim}]. They do not belong together: get the checkpoint again."
        )
    average = tensors.get(LATENT_AVG)
    if average is not None and tuple(average.shape) != (g.num_ws, g.w_dim):
        raise BadModel(f"The tensor 'latent_avg' has the shape {list(average.shape)}; expected {[g.num_ws, g.w_dim]}.")
    state = {name: value for name, value in tensors.items() if name not in (LATENT_AVG, OFFSETS)}
    with torch.device("meta"):  # nothing is allocated before the tensors are known to fit
        net = PspEncoder(config)
    net.load_state_dict(dict(_checked(state, net.state_dict())), strict=True, assign=True)
    net.latent_avg = g.w_avg.detach().expand(g.num_ws, -1).clone() if average is None else average.detach().float()
    return net.eval().requires_grad_(False).to(g.device)


def _config(tensors: Mapping[str, Tensor]) -> PspConfig:
    """The shape of the encoder that these tensors belong to."""
    starts = [sum(UNITS[:i]) for i in range(len(UNITS))]
    squeezes = [_shape(tensors, f"body.{i}.res_layer.5.fc1.weight", 4) for i in starts]
    pools = _pools(tensors)
    return PspConfig(
        stem=_shape(tensors, "input_layer.0.weight", 4)[0],
        depths=(squeezes[0][1], squeezes[1][1], squeezes[2][1], squeezes[3][1]),
        squeezed=(squeezes[0][0], squeezes[1][0], squeezes[2][0], squeezes[3][0]),
        w_dim=_shape(tensors, "styles.0.linear.weight", 2)[0],
        pools=pools,
        offsets=bool(tensors[OFFSETS]) if OFFSETS in tensors else True,
    )


def _pools(tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """How many convolutions each latent's head has, which tells the level that it looks at."""
    places: dict[int, int] = {}  # the last place in ``convs`` by latent; convolutions are at the even ones
    for name in tensors:
        if found := re.fullmatch(r"styles\.(\d{1,4})\.(?:convs\.(\d{1,4})\.)?.*", name):
            style, place = int(found[1]), int(found[2] or -1)
            places[style] = max(place, places.get(style, -1))
    count = 1 + max(places, default=-1)
    if not 1 <= count <= _MAX_STYLES:
        raise BadModel(f"The encoder gives {count} latents; expected 1 to {_MAX_STYLES}. Is the file damaged?")
    pools = tuple(1 + places.get(i, -1) // 2 for i in range(count))
    for i, number in enumerate(pools):
        if number not in (4, 5, 6):
            raise BadModel(f"'encoder.styles.{i}' has {number} convolutions; expected 4, 5 or 6. Is it damaged?")
    return pools


def _shape(tensors: Mapping[str, Tensor], name: str, axes: int) -> tuple[int, ...]:
    if name not in tensors:
        raise BadModel(f"The encoder has no tensor {name!r}; an encoder of pSp or e4e has. Get the checkpoint again.")
    shape = tuple(tensors[name].shape)
    if len(shape) != axes or 0 in shape:
        raise BadModel(f"'encoder.{name}' has the shape {list(shape)}; expected {axes} axes, none of them empty.")
    return shape


def _checked(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The tensors that the network wants, float32 and finite."""
    left = sorted(set(state) - set(expected))
    if left:
        raise BadModel(f"The encoder has the tensor {left[0]!r}, which one of pSp or e4e does not. Is it a variant?")
    for name, want in expected.items():
        if name.endswith("num_batches_tracked"):  # counts training steps; nothing depends on it
            yield name, torch.zeros((), dtype=torch.long)
            continue
        if _shape(state, name, want.ndim) != tuple(want.shape):
            raise BadModel(
                f"'encoder.{name}' has the shape {list(state[name].shape)}; expected {list(want.shape)}. "
                "Is the file damaged?"
            )
        value = state[name].detach().float()
        if not bool(torch.isfinite(value).all()):
            raise BadModel(f"'encoder.{name}' holds values that are not finite. Get the checkpoint again.")
        yield name, value
