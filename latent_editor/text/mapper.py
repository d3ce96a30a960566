"""StyleCLIP's latent mapper (Patashnik et al. 2021, §5): networks trained for one prompt give each face its own
direction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadDirection, BadModel, BadValue
from latent_editor.core.provenance import Provenance
from latent_editor.core.run import Run, update
from latent_editor.core.values import Direction, Latent, OnStep
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.preview import small
from latent_editor.networks.boundaries import Whitening, latent_whitening
from latent_editor.networks.clip import ClipModel, load_clip
from latent_editor.networks.perceptual import load_discriminator
from latent_editor.networks.text_statistics import load_text_statistics
from latent_editor.text.directions import find_preserved, text_direction
from latent_editor.text.fast import estimate, find_target
from latent_editor.text.prompts import read_prompt
from latent_editor.text.refine import augmented

LABEL = "Training for this prompt"
KIND = "text mapper"
#: The first layer of each group: pose and shape, features, color and texture (Karras et al. 2019, fig. 3).
GROUPS = (0, 4, 8)
#: The strength that a mapper is trained for: its offset is this many units.
REACH = 2.0


@dataclass(frozen=True)
class MapperOptions:
    """Options of training.

    Attributes:
        width: Of the hidden layers. The paper's are as wide as w and train for hours; these train in minutes.
        batch: Faces per step.
        psi: Truncation of the faces.
        size_px: Size of the pictures.
        beyond: Target change of the text's score, as a multiple of the goal.
        stay: Weight of the squared distance to the estimate, relative to its length (λ of L2).
        keep: Weight of the perceptual change.
        guard: Weight of changes of preserved attributes, relative to the goal.
        rate: Learning rate of Adam.
    """

    width: int = 64
    batch: int = 4
    psi: float = 0.8
    size_px: int = 128
    beyond: float = 1.3
    stay: float = 0.5
    keep: float = 0.3
    guard: float = 0.3
    rate: float = 2e-3


class _Networks(nn.Module):
    """One network for each group of layers, and an offset that all faces share."""

    def __init__(self, start: Tensor, width: int) -> None:
        """start: [num_ws, w_dim], the offset that an untrained mapper gives every face."""
        super().__init__()
        num_ws, w_dim = start.shape
        bounds = [first for first in GROUPS if first < num_ws]
        self.sizes = [stop - first for first, stop in zip(bounds, [*bounds[1:], num_ws], strict=True)]
        self.groups = nn.ModuleList(_network(w_dim, width) for _ in bounds)
        self.common = nn.Parameter(start.clone())
        self.register_buffer("scale", start.square().mean().sqrt().clamp_min(1e-9))
        self.scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """x: [N, num_ws, w_dim], ws in whitened coordinates → offsets [N, num_ws, w_dim]."""
        parts = [net(rows) for net, rows in zip(self.groups, x.split(self.sizes, dim=1), strict=True)]
        return self.common + self.scale * torch.cat(parts, dim=1)


def _network(w_dim: int, width: int) -> nn.Sequential:
    layers = [nn.Linear(w_dim, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2)]
    last = nn.Linear(width, w_dim)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


@dataclass(frozen=True, eq=False)
class TextMapper:
    """A trained mapper of one generator.

    Attributes:
        prompt: The prompt that it was trained for.
        fingerprint: Of the generator.
        steps: Number of training steps.
        networks: Maps a face to its offset.
    """

    prompt: str
    fingerprint: str
    steps: int
    networks: _Networks

    @torch.no_grad()
    def direction(self, g: Generator, latent: Latent) -> Direction:
        """The direction for one face, an ordinary slider that belongs to this face.

        Raises:
            BadDirection: the mapper belongs to another generator.
            BadLatent: the latent belongs to another generator.
        """
        if self.fingerprint != g.fingerprint:
            raise BadDirection(
                f"The mapper of {self.prompt!r} was trained for the model {self.fingerprint}; loaded is {g.name!r} "
                f"({g.fingerprint}). Train it for this model."
            )
        g.check(latent)
        vector = self.networks(_whitened(latent_whitening(g), latent.ws[None]))[0] / REACH
        provenance = Provenance("mapper", self.prompt, note=f"{self.steps} steps")
        return Direction(self.prompt, vector.float().clone(), source="text", provenance=provenance)

    def save(self, path: str | Path) -> None:
        """Writes it as safetensors in half precision, atomically."""
        tensors = {name: tensor.half() for name, tensor in self.networks.state_dict().items()}
        metadata = {
            "kind": KIND,
            "version": "1",
            "prompt": self.prompt,
            "fingerprint": self.fingerprint,
            "steps": str(self.steps),
        }
        tensor_files.write_tensors(path, tensors, metadata)

    @staticmethod
    def load(path: str | Path) -> TextMapper:
        """Reads what :meth:`save` wrote.

        Raises:
            BadModel: the file is missing, damaged, of a newer version, or not a mapper.
        """
        tensors, metadata = tensor_files.read_tensors(path, max_bytes=256 << 20)
        if metadata.get("kind") != KIND or metadata.get("version") != "1":
            raise BadModel(f"{Path(path).name} holds no mapper of version 1. Train it with `latent-editor mapper`.")
        try:
            networks = _Networks(tensors["common"].float(), len(tensors["groups.0.0.weight"]))
            networks.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
            if not all(bool(t.isfinite().all()) for t in tensors.values()):
                raise ValueError("it holds values that are not finite")
            prompt = read_prompt(metadata["prompt"]).text
            return TextMapper(prompt, metadata["fingerprint"], int(metadata["steps"]), networks.eval())
        except (KeyError, ValueError, RuntimeError, IndexError) as e:
            raise BadModel(f"{Path(path).name} is no mapper that can be read ({e}). Train it again.") from e


def train_mapper(
    g: Generator,
    prompt: str,
    *,
    seconds: float = 120.0,
    max_steps: int | None = None,
    options: MapperOptions | None = None,
    on_step: OnStep | None = None,
) -> TextMapper:
    """Trains a mapper for one prompt, on random faces.

    1. It starts as the fast direction at +2, the same for every face.
    2. Each step draws some faces, adds their offsets, renders both and shows them to the CLIP. The loss: what is
       missing to the goal in the text's score; what qualities change that the prompt does not name; how far offsets are
       from the start, and pictures from what they were.
    3. The mean of the weights over the last steps is what is returned: a batch of four is a noisy teacher.

    Args:
        g: A generator with a CLIP.
        prompt: As for :func:`~latent_editor.text.directions.text_direction`.
        seconds: Time limit; half a minute or more is worthwhile.
        max_steps: Limit of training steps; None leaves it to the time.
        options: Options of training.
        on_step: Called after each step with an edited picture; a true answer stops and keeps the mapper so far.

    Raises:
        BadPrompt, MissingPart: as for a direction.
        BadValue: no time.
    """
    if not 0 < seconds < float("inf"):
        raise BadValue(f"Got {seconds} seconds; expected more than 0.")
    options, read, clip = options or MapperOptions(), read_prompt(prompt), load_clip(g)
    start = text_direction(g, prompt)
    networks = _Networks(start.vector * REACH, options.width)
    teacher = _Teacher(g, clip, prompt, start.vector * REACH, options)
    mean = {name: tensor.clone() for name, tensor in networks.state_dict().items()}
    optimizer = torch.optim.Adam(networks.parameters(), lr=options.rate, betas=(0.9, 0.98))
    run = Run(seconds, on_step, max_steps=max_steps)
    for step in run.steps():
        with torch.enable_grad():
            loss, picture = teacher.loss(networks, step)
        update(optimizer, loss)
        decay = min(0.98, run.step / (run.step + 10))
        for name, tensor in networks.state_dict().items():
            mean[name].lerp_(tensor, 1 - decay)
        run.report(LABEL, image=picture)
    networks.load_state_dict(mean)
    return TextMapper(read.text, g.fingerprint, run.step, networks.eval().requires_grad_(False))


class _Teacher:
    """The state that all training steps share."""

    def __init__(self, g: Generator, clip: ClipModel, prompt: str, start: Tensor, options: MapperOptions) -> None:
        self.g, self.clip, self.options = g, clip, options
        self.preview, self.dtype = small(g, options.size_px), fastest_dtype(g.device)
        self.whitening, target = latent_whitening(g), find_target(clip, read_prompt(prompt))
        self.preserved, self.weight = find_preserved(g, clip, read_prompt(prompt), target)
        self.axis, self.goal = target.axis, estimate(load_text_statistics(g), target).goal
        self.discriminator, self.start = load_discriminator(g), start

    def loss(self, networks: _Networks, step: int) -> tuple[Tensor, Tensor]:
        """The loss on the faces of this step, and one of their pictures [C, S, S]."""
        options = self.options
        seeds = [100_000 + step * options.batch + i for i in range(options.batch)]
        ws = random_ws(self.g, seeds, truncation_psi=options.psi)
        offsets = networks(_whitened(self.whitening, ws.cpu())).to(ws.device)
        after = self.preview.synthesize(ws + offsets, dtype=self.dtype)
        with torch.no_grad():
            before = self.preview.synthesize(ws, dtype=self.dtype)
            zero = self.clip.encode_image(before, dtype=self.dtype).cpu()
        change = self.clip.encode_image(augmented(after, step), dtype=self.dtype).cpu() - zero
        gain = change @ self.axis / self.goal
        loss = (F.softplus((options.beyond - gain) * 3) / 1.5).mean()
        if len(self.preserved):
            leaks = (change @ self.preserved.t()) * self.weight / self.goal
            loss = loss + options.guard * leaks.square().sum(dim=1).mean()
        away = (offsets.cpu() - self.start) / networks.scale
        loss = loss + options.stay * away.square().mean()
        if self.discriminator is not None:
            maps = self.discriminator.maps(before, self.dtype)
            distance = self.discriminator.distance(self.discriminator.maps(after, self.dtype), maps)
            loss = loss + options.keep * distance.mean().cpu()
        return loss, after[0].detach().float()


def _whitened(whitening: Whitening, ws: Tensor) -> Tensor:
    """ws [N, num_ws, w_dim] in whitened coordinates, layer by layer."""
    return (ws.float() - whitening.mean) @ whitening.whiten
