"""Fits the mapping network to encoded images, so that random faces are as good as reconstructions.

The encoder whitens W: all axes have the same variance, even those that a face hardly depends on. Random latents from
N(0, I) put noise on all of them and look mottled. The fitted mapping network gives axes that are visible in images the
full variance of encoded images, and the others little.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.generators.layers import FullyConnected
from latent_editor.generators.stylegan2 import StyleGAN2, StyleGAN2Config, StyleGAN2Mapping
from latent_editor.train.gan import STATE_FILE
from latent_editor.train.networks import Networks, load_state
from latent_editor.train.pictures import read_pictures
from latent_editor.train.sheets import contact_sheet

#: Number of visible axes, and the scale of the standard deviation along the others.
AXES, REST = 64, 0.3


@torch.no_grad()
def encode(nets: Networks, pictures: Tensor, dtype: torch.dtype = torch.bfloat16) -> tuple[Tensor, Tensor]:
    """uint8 images [N, 3, S, S] → their w [N, w_dim], and the mean offset of each layer [num_ws, w_dim]."""
    ws, offsets = [], torch.zeros([])
    for batch in pictures.split(64):
        w, offset = nets.encoder.parts(batch.float() / 127.5 - 1, dtype)
        ws.append(w)
        offsets = offsets + offset.sum(dim=0)
    return torch.cat(ws), offsets / len(pictures)


@torch.no_grad()
def center(nets: Networks, w_mean: Tensor, offset_mean: Tensor) -> None:
    """Moves the origin of W+ to the data's mean: an exact change of coordinates in generator and encoder.

    Args:
        nets: The networks, changed in place.
        w_mean: [w_dim].
        offset_mean: [num_ws, w_dim].
    """
    shift = w_mean + offset_mean  # [num_ws, w_dim]
    for index, affine in nets.generator.synthesis.affines():
        affine.bias.add_((affine.weight * affine.weight_gain) @ shift[index] / affine.bias_gain)
    nets.encoder.to_w.bias.sub_(w_mean)
    nets.encoder.to_offsets.bias.sub_(offset_mean.flatten() / nets.encoder.OFFSET_GAIN)


@torch.no_grad()
def visible_axes(g: StyleGAN2, w: Tensor, axes: int) -> Tensor:
    """The directions in W of the principal components of activations and colors.

    Args:
        g: The generator.
        w: [N, w_dim], centered.
        axes: Number of components.

    Returns:
        [axes, w_dim]: row k changes component k by one standard deviation, in a linear approximation.
    """
    views = []
    for batch in w.split(64):
        ws = batch.unsqueeze(1).expand(-1, g.num_ws, -1)
        structure = F.avg_pool2d(g.activations(ws, 16, dtype=torch.bfloat16), 2).flatten(1)
        color = F.adaptive_avg_pool2d(g.synthesize(ws, noise="none", dtype=torch.bfloat16), 16).flatten(1)
        views.append((structure, color))
    parts = [torch.cat(p) for p in zip(*views, strict=True)]
    parts = [(p - p.mean(dim=0)) / p.std(dim=0).square().sum().sqrt() for p in parts]
    u, _, _ = torch.pca_lowrank(torch.cat(parts, dim=1), q=axes, center=False)
    scores = u * len(w) ** 0.5
    return scores.T @ w / len(w)


@torch.no_grad()
def fit_mapping(config: StyleGAN2Config, w: Tensor, to_w: Tensor) -> StyleGAN2Mapping:
    """A linear mapping of N(0, I): full variance along the visible axes, little along the others.

    A deep mapping trained with a sliced Wasserstein distance was rejected: within minutes on two cores, it shrank
    towards the mean, whereas this one has the right variances immediately. Adversarial training can continue from here.

    Args:
        config: A configuration with one linear layer.
        w: Encoded images [N, w_dim], centered.
        to_w: [axes, w_dim], from :func:`visible_axes`.
    """
    mapping = StyleGAN2Mapping(config)
    basis, _ = torch.linalg.qr(to_w.T, mode="complete")  # [w_dim, w_dim]; the first axes span the rows of to_w
    others = basis[:, len(to_w) :]  # [w_dim, w_dim − axes]
    spread = (w @ others).std(dim=0)
    columns = torch.cat([to_w.T, others * spread * REST], dim=1)  # [w_dim, z_dim]
    layer = mapping.get_submodule("fc0")
    assert isinstance(layer, FullyConnected)
    layer.weight.copy_(columns / layer.weight_gain)
    layer.bias.zero_()
    return mapping.eval()


def fit_prior(nets: Networks, pictures: Tensor, *, axes: int = AXES) -> Networks:
    """Centers W on the data and replaces the mapping network; reconstructions do not change."""
    w, offset_mean = encode(nets, pictures)
    center(nets, w.mean(dim=0), offset_mean)
    w = w - w.mean(dim=0)
    to_w = visible_axes(nets.generator, w, axes)
    kwargs = nets.generator.config.to_init_kwargs()
    kwargs["mapping_kwargs"] = {"num_layers": 1, "lr_multiplier": 1.0, "last_act": "linear"}
    g = StyleGAN2(StyleGAN2Config.from_init_kwargs(kwargs))
    g.synthesis.load_state_dict(nets.generator.synthesis.state_dict())
    g.mapping = fit_mapping(g.config, w, to_w)
    return Networks(g.eval(), nets.encoder, nets.discriminator)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder or tar of images")
    parser.add_argument("--start", type=Path, help="model folder to start from")
    parser.add_argument("--run", type=Path, help="run folder whose averaged networks replace those of --start")
    parser.add_argument("--out", type=Path, required=True, help="folder for the networks")
    parser.add_argument("--threads", type=int, help="CPU threads")


def main(args: argparse.Namespace) -> None:
    if args.threads:
        torch.set_num_threads(args.threads)
    nets = Networks.read(args.start)
    if args.run is not None:
        state = load_state(args.run / STATE_FILE)
        for name, module in nets.modules().items():
            module.load_state_dict(state["averaged"][name])  # type: ignore[index]
    pictures = read_pictures(args.data, nets.generator.size_px).images
    nets = fit_prior(nets, pictures)
    nets.write(args.out)
    contact_sheet(nets, pictures, args.out / "sheet.jpg")
