"""StyleGAN2 (Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN"): skip, resnet and orig.

Written from the paper. Parameter names follow the public checkpoints, so that their tensors load by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latent_editor.generators.base import NOISE_MODES, Generator
from latent_editor.generators.blend_masks import BlendMasks
from latent_editor.generators.following import Following
from latent_editor.generators.graphs import CudaGraphCache
from latent_editor.generators.layers import FullyConnected, MappingNetwork, PivotGain, resampling_filter
from latent_editor.generators.modulation import ModulatedConv, Skip, ToRGB
from latent_editor.generators.stylegan2_config import MAX_TAPS, StyleGAN2Config

__all__ = ["MAX_TAPS", "BlockState", "StyleGAN2", "StyleGAN2Config"]


class StyleGAN2Mapping(MappingNetwork):
    """The mapping network of a :class:`StyleGAN2Config`."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__(
            config.z_dim,
            config.c_dim,
            config.w_dim,
            layers=config.mapping_layers,
            act=config.mapping_activation,
            last_act=config.mapping_last_act,
            lr_multiplier=config.mapping_lr_multiplier,
            embed_features=config.mapping_embed_features,
            layer_features=config.mapping_layer_features,
            joint_norm=config.mapping_joint_norm,
        )


class Block(nn.Module):
    """All layers of one resolution.

    Attributes:
        convolutions: Number of convolutions, each with its own w; the ToRGB layer, if any, uses the next w.
        residual: float32 [1, C, resolution, resolution], added to the activations by a refined generator; else None.
        following: Moves the residual along with the image; None adds it as it is.
    """

    resample_filter: Tensor
    residual: Tensor | None
    following: Following | None = None

    def __init__(self, resolution: int, config: StyleGAN2Config) -> None:
        super().__init__()
        outputs = config.channels_at(resolution)
        inputs = config.channels_at(resolution // 2)
        self.first = resolution == 4
        self.convolutions = 1 if self.first else 2
        self.resnet = config.architecture == "resnet" and not self.first
        # Both paths of a residual block are scaled for unit variance of their sum (§4.1).
        self.gain = math.sqrt(0.5) if self.resnet else 1.0
        self.register_buffer("resample_filter", resampling_filter(config.resample_filter), persistent=False)
        self.register_buffer("residual", None, persistent=False)
        if self.first:
            self.const = nn.Parameter(torch.randn(outputs, 4, 4))
        else:
            self.conv0 = ModulatedConv(inputs, outputs, resolution, config, up=2)
        self.conv1 = ModulatedConv(outputs, outputs, resolution, config, gain=self.gain)
        self.has_rgb = config.architecture == "skip" or resolution == config.img_resolution
        if self.has_rgb:
            self.torgb = ToRGB(outputs, config)
        if self.resnet:
            self.skip = Skip(inputs, outputs)

    def affines(self) -> list[FullyConnected]:
        """The affine layers that map ws to styles, in the order of their ws."""
        layers = [self.conv1] if self.first else [self.conv0, self.conv1]
        return [layer.affine for layer in layers] + ([self.torgb.affine] if self.has_rgb else [])

    def forward(
        self,
        x: Tensor | None,
        image: Tensor | None,
        ws: Tensor,
        noise: str,
        dtype: torch.dtype,
        added: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Activations and image of half the resolution → of this resolution. ws [N, ≥ convolutions + 1, w_dim].

        ``added`` [1, C, resolution, resolution] is added to the activations, like ``residual``.
        """
        f = self.resample_filter
        if x is None:
            const = self.const.to(dtype).contiguous()
            x = const.expand(len(ws), *const.shape).contiguous(memory_format=torch.channels_last)
            x = self.conv1(x, ws[:, 0], f, noise)
        else:
            around = self.skip(x, f, self.gain) if self.resnet else None
            x = self.conv0(x, ws[:, 0], f, noise)
            x = self.conv1(x, ws[:, 1], f, noise)
            x = x if around is None else around + x
        for features in (self._residual(x, image, ws, noise), added):
            if features is not None:
                x = x + features.to(x.dtype)
        if self.has_rgb:
            image = self.torgb(x, ws[:, self.convolutions], image, f)
        return x, image

    def _residual(self, x: Tensor, image: Tensor | None, ws: Tensor, noise: str) -> Tensor | None:
        if self.residual is None or self.following is None:
            return self.residual
        plain = self.torgb(x, ws[:, self.convolutions], image, self.resample_filter)
        return self.following(self.residual, plain, noise, x.dtype)


@dataclass(frozen=True, eq=False)
class BlockState:
    """The input of a synthesis block, from which rendering can resume.

    Attributes:
        resolution: The resolution of the block.
        rows: Number of leading ws that it depends on.
        x: [N, C, resolution / 2, resolution / 2], activations of the previous block.
        image: float32 [N, img_channels, resolution / 2, resolution / 2], the RGB sum so far, if any.
    """

    resolution: int
    rows: int
    x: Tensor
    image: Tensor | None


class Synthesis(PivotGain):
    """The synthesis network g: W+ → image (fig. 7: skip, residual or plain architecture)."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        for resolution in config.resolutions:
            setattr(self, f"b{resolution}", Block(resolution, config))

    def blocks(self) -> Iterator[tuple[int, int, Block]]:
        """The blocks with their resolution and the index of their first w.

        The ToRGB layer of a block shares its w with the first convolution of the next block.
        """
        first = 0
        for resolution in self.config.resolutions:
            block: Block = getattr(self, f"b{resolution}")
            yield resolution, first, block
            first += block.convolutions

    def affines(self) -> Iterator[tuple[int, FullyConnected]]:
        """The affine layers that map ws to styles, with the index of their w."""
        for _, first, block in self.blocks():
            yield from enumerate(block.affines(), first)

    def forward(
        self,
        ws: Tensor,
        noise: str,
        dtype: torch.dtype,
        until: int | None = None,
        *,
        start: BlockState | None = None,
        states: list[BlockState] | None = None,
        masks: BlendMasks | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """ws [N, num_ws, w_dim] → activations and image at the resolution ``until``, by default the last.

        Args:
            start: State to resume from; None renders everything.
            states: A list to which the inputs of all blocks but the first are appended.
            masks: Blends the latents of each group after each block; None renders them separately.
        """
        ws = self.apply_gain(ws)
        x, image = (None, None) if start is None else (start.x, start.image)
        for resolution, first, block in self.blocks():
            if start is not None and resolution < start.resolution:
                continue
            if states is not None and x is not None:
                # The previous ToRGB layer used the same w as the first convolution of this block.
                states.append(BlockState(resolution, first + (image is not None), x, image))
            added = None if masks is None else masks.features.get(resolution)
            x, image = block(x, image, ws[:, first:], noise, dtype, added)
            if masks is not None:
                x = masks.blend(x, resolution)
                image = None if image is None else masks.blend(image, resolution)
            if resolution == until:
                break
        assert x is not None
        return x, image


class StyleGAN2(Generator):
    """A StyleGAN2 generator of any architecture, resolution and number of channels."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        self.size_px, self.channels = config.img_resolution, config.img_channels
        self.num_ws, self.w_dim, self.z_dim, self.c_dim = config.num_ws, config.w_dim, config.z_dim, config.c_dim
        self.mapping = StyleGAN2Mapping(config)
        self.synthesis = Synthesis(config)
        self.cuda_graphs = CudaGraphCache()

    @property
    def w_avg(self) -> Tensor:
        return self.mapping.w_avg

    def map(
        self, z: Tensor, c: Tensor | None = None, *, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> Tensor:
        return self.mapping.truncate(self.mapping(z, c), self.num_ws, truncation_psi, truncation_cutoff)

    def synthesize(
        self,
        ws: Tensor,
        *,
        noise: str = "const",
        dtype: torch.dtype | None = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        self._check(ws, noise)
        if transform is not None:
            raise ValueError("StyleGAN2 does not support `transform`.")
        precision = dtype or torch.float32

        def draw(ws: Tensor) -> Tensor:
            _, image = self.synthesis(ws, noise, precision)
            assert image is not None
            return image.contiguous()

        if self._use_cuda_graph(ws, noise):
            tensors = [*self.synthesis.parameters(), *self.synthesis.buffers()]
            return self.cuda_graphs.draw(draw, ws.float(), (noise, precision), tensors)
        return draw(ws.float())

    def _use_cuda_graph(self, ws: Tensor, noise: str) -> bool:
        """Whether to use a CUDA graph: at batch 1 on a GPU, where launch overhead dominates."""
        if ws.device.type != "cuda" or len(ws) != 1 or noise == "random" or torch.is_grad_enabled():
            return False
        if any(block.following is not None for _, _, block in self.synthesis.blocks()):
            return False  # the flow is found on the CPU
        return not torch.compiler.is_compiling() and not self.w_avg.is_inference()

    def synthesize_from(
        self, ws: Tensor, start: BlockState | None = None, *, noise: str = "const", dtype: torch.dtype | None = None
    ) -> tuple[Tensor, list[BlockState]]:
        """Renders latents like :meth:`synthesize`, optionally resuming from a state of an earlier call.

        Args:
            ws: [N, num_ws, w_dim]; the first ``start.rows`` must equal those that ``start`` was computed with.
            start: A state of an earlier call with the same dtype and noise; None renders everything.
            noise, dtype: As in :meth:`synthesize`.

        Returns:
            float32 [N, channels, size_px, size_px], and the inputs of all blocks after ``start``.
        """
        self._check(ws, noise)
        states: list[BlockState] = []
        _, image = self.synthesis(ws.float(), noise, dtype or torch.float32, start=start, states=states)
        assert image is not None
        return image.contiguous(), states

    def activations(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor:
        self._check(ws, "none")
        if size_px not in self.config.resolutions:
            raise ValueError(f"Got the resolution {size_px}; expected one of {self.config.resolutions}.")
        x, _ = self.synthesis(ws.float(), "none", dtype or torch.float32, until=size_px)
        return x.float().contiguous()

    def intermediate_image(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor | None:
        if self.config.architecture != "skip" or size_px not in self.config.resolutions:
            return None
        self._check(ws, "const")
        return self.synthesis(ws.float(), "const", dtype or torch.float32, until=size_px)[1]

    def blended(
        self,
        ws: Tensor,
        masks: BlendMasks,
        *,
        noise: str = "const",
        dtype: torch.dtype | None = None,
        transform: Tensor | None = None,
        until: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        self._check(ws, noise)
        if transform is not None:
            raise ValueError("StyleGAN2 does not support `transform`.")
        if until is not None and until not in self.config.resolutions:
            raise ValueError(f"Got the resolution {until}; expected one of {self.config.resolutions}.")
        x, image = self.synthesis(ws.float(), noise, dtype or torch.float32, until, masks=masks)
        step = masks.count
        return x[::step].float().contiguous(), None if image is None else image[::step].contiguous()

    def style_weights(self) -> list[tuple[int, Tensor]]:
        return [(i, affine.weight.detach() * affine.weight_gain) for i, affine in self.synthesis.affines()]

    def _check(self, ws: Tensor, noise: str) -> None:
        if noise not in NOISE_MODES:
            raise ValueError(f"Got noise {noise!r}; expected one of {', '.join(NOISE_MODES)}.")
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.w_dim):
            raise ValueError(f"Got ws of shape {list(ws.shape)}; expected [N, {self.num_ws}, {self.w_dim}].")
