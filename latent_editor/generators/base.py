"""What every generator can do, whatever its architecture."""

from __future__ import annotations

import abc
import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latent_editor.core.errors import BadLatent, BadValue
from latent_editor.core.refinement import Refinement
from latent_editor.core.values import Latent
from latent_editor.generators.blend_masks import BlendMasks
from latent_editor.models.bundle import Bundle
from latent_editor.models.per_model import per_model

NOISE_MODES = ("const", "none", "random")


class Generator(nn.Module, abc.ABC):
    """A network from latents to pictures, together with the folder of its other parts.

    Attributes:
        size_px: Height and width of the pictures.
        channels: 3 for RGB.
        num_ws, w_dim: The shape of a W+ latent.
        z_dim: Length of a random input.
        c_dim: Number of classes, 0 for none.
        has_transform: Whether pictures can be moved and turned inside the network, by ``transform``.
        bundle: Name, folder and parts that belong to this generator.
    """

    has_transform: bool = False
    size_px: int
    channels: int
    num_ws: int
    w_dim: int
    z_dim: int
    c_dim: int

    def __init__(self) -> None:
        super().__init__()
        self.bundle = Bundle("unnamed")

    @property
    @abc.abstractmethod
    def w_avg(self) -> Tensor:
        """float32 [w_dim]: the mean of w, which truncation pulls towards."""

    @abc.abstractmethod
    def map(
        self, z: Tensor, c: Tensor | None = None, *, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> Tensor:
        """Maps random inputs to latents.

        Args:
            z: [N, z_dim], usually N(0, 1).
            c: [N, c_dim] class weights, or None where ``c_dim`` is 0.
            truncation_psi: 1 keeps w, 0 gives the mean (Karras et al. 2019, §B).
            truncation_cutoff: How many of the first ws are truncated; None for all.

        Returns:
            float32 ws [N, num_ws, w_dim].
        """

    @abc.abstractmethod
    def synthesize(
        self,
        ws: Tensor,
        *,
        noise: str = "const",
        dtype: torch.dtype | None = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        """Renders latents.

        Args:
            ws: [N, num_ws, w_dim].
            noise: "const" adds the network's fixed noise, "none" nothing, "random" a new one.
            dtype: Precision of the activations; None for float32.
            transform: [3, 3] or [N, 3, 3], made by :func:`transform_matrix`; only where ``has_transform``.

        Returns:
            float32 [N, channels, size_px, size_px], about −1..1.

        Raises:
            ValueError: a wrong shape or noise mode, or a transform for a generator without.
        """

    @abc.abstractmethod
    def activations(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor:
        """The feature maps inside the network where they are ``size_px`` wide, without noise.

        Args:
            ws: [N, num_ws, w_dim].
            size_px: A resolution that the network has.
            dtype: Precision of the activations; None for float32.

        Returns:
            float32 [N, C, size_px, size_px].
        """

    @property
    def activation_sizes(self) -> list[int]:
        """The sizes that :meth:`activations` takes, ascending."""
        return [2**i for i in range(2, self.size_px.bit_length())]

    def early_picture(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor | None:
        """The picture as the network has it on the way, where it sums up pictures of growing size; else None.

        Args:
            ws: [N, num_ws, w_dim].
            size_px: A resolution that the network has.
            dtype: Precision of the activations; None for float32.

        Returns:
            float32 [N, channels, size_px, size_px]; its colours need not be those of the finished picture.
        """
        return None

    def blended(
        self,
        ws: Tensor,
        shares: BlendMasks,
        *,
        noise: str = "const",
        dtype: torch.dtype | None = None,
        transform: Tensor | None = None,
        until: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Renders latents in groups, each as one picture that is blended of them on the way.

        Args:
            ws: [N · shares.count, num_ws, w_dim]; of every group the first carries the picture.
            shares: Where each of a group is drawn.
            noise, dtype, transform: As in :meth:`synthesize`, a transform for each group.
            until: Stop where the activations are so wide; None goes to the end.

        Returns:
            The activations there, float32 [N, C, size, size], and the picture so far, as in :meth:`early_picture`.

        Raises:
            BadValue: an architecture that cannot do this.
        """
        raise BadValue(
            f"The model {self.name!r} cannot draw an edit in a part of the picture only. Use the edit without a "
            "region, or a StyleGAN2 or StyleGAN3."
        )

    def style_weights(self) -> list[tuple[int, Tensor]]:
        """What turns a w into styles, layer by layer (the matrix A of Shen & Zhou 2021, §3.2).

        Returns:
            For each such layer the index of the w that it reads, and its weight, float32 [C, w_dim]; none where an
            architecture has no such layers.
        """
        return []

    def forward(
        self, z: Tensor, c: Tensor | None = None, *, truncation_psi: float = 1.0, noise: str = "const"
    ) -> Tensor:
        return self.synthesize(self.map(z, c, truncation_psi=truncation_psi), noise=noise)

    @property
    def device(self) -> torch.device:
        return self.w_avg.device

    @property
    def name(self) -> str:
        return self.bundle.name

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change when any weight does."""
        return fingerprint_of(self)

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
        return digest.hexdigest()[:12]

    def latent(
        self, ws: Tensor, *, method: str, psnr_db: float | None = None, refinement: Refinement | None = None
    ) -> Latent:
        """Wraps ws [num_ws, w_dim], and what is changed in this generator for them, as a latent."""
        return Latent(ws.detach().float().cpu(), self.name, self.fingerprint, psnr_db, method, refinement)

    def check(self, latent: Latent) -> None:
        """Raises BadLatent where ``latent`` cannot be rendered by this generator."""
        want = (self.num_ws, self.w_dim)
        if tuple(latent.ws.shape) != want or latent.fingerprint != self.fingerprint:
            raise BadLatent(
                f"This latent {list(latent.ws.shape)} was made with the model {latent.model!r} ({latent.fingerprint}); "
                f"loaded is {self.name!r} ({self.fingerprint}), which takes {list(want)}. "
                f"Load that model, or invert the photo again with this one."
            )


def transform_matrix(translate: tuple[float, float] = (0.0, 0.0), angle_deg: float = 0.0) -> Tensor:
    """How a picture is to be moved and turned inside a generator that ``has_transform``.

    The content is first turned about the picture's centre, then moved. The matrix is the inverse of that: it takes a
    point of the picture, in picture widths from the centre with y downwards, to the point of the content seen there,
    because this is what multiplies the coordinates of the Fourier features (Karras et al. 2021, §3.2).

    Args:
        translate: (x, y) in picture widths; the content moves right for x > 0 and down for y > 0.
        angle_deg: Counter-clockwise as seen.

    Returns:
        float32 [3, 3].

    Raises:
        BadValue: a number that is not finite.
    """
    if not all(math.isfinite(number) for number in (*translate, angle_deg)):
        raise BadValue(f"Got the shift {translate} and the angle {angle_deg}; expected finite numbers.")
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    turn_back = torch.tensor([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], dtype=torch.float64)
    move_back = torch.tensor([[1, 0, -translate[0]], [0, 1, -translate[1]], [0, 0, 1]], dtype=torch.float64)
    return (turn_back @ move_back).float()


def class_weights(g: Generator, indices: Sequence[int]) -> Tensor | None:
    """What a conditional generator takes beside z: one row for each of the classes ``indices``.

    Returns:
        float32 [len(indices), c_dim] on the generator's device, or None where it has no classes.

    Raises:
        BadValue: a class that the generator does not have.
    """
    for index in indices:
        if not 0 <= index < g.c_dim:
            has = f"has the classes 0 to {g.c_dim - 1}" if g.c_dim else "has no classes: leave it out"
            raise BadValue(f"Got the class {index}; the model {g.name!r} {has}.")
    if not g.c_dim:
        return None
    weights = torch.zeros(len(indices), g.c_dim)
    weights[torch.arange(len(indices)), torch.as_tensor(indices)] = 1
    return weights.to(g.device)


def random_ws(g: Generator, seeds: list[int], *, truncation_psi: float = 0.7, class_index: int | None = None) -> Tensor:
    """Latents of random pictures, the same for the same seeds on every machine.

    Args:
        class_index: The class of all of them, for a generator that has classes; None takes another for each seed.

    Returns:
        float32 ws [len(seeds), num_ws, w_dim].

    Raises:
        BadValue: a class that the generator does not have.
    """
    z = torch.stack([torch.randn(g.z_dim, generator=torch.Generator().manual_seed(s)) for s in seeds])
    classes = [s % g.c_dim for s in seeds if g.c_dim] if class_index is None else [class_index] * len(seeds)
    with torch.no_grad():
        return g.map(z.to(g.device), class_weights(g, classes), truncation_psi=truncation_psi)


def random_latent(g: Generator, seed: int, *, truncation_psi: float = 0.7, class_index: int | None = None) -> Latent:
    """The latent of a random picture, the same for the same seed on every machine. Arguments as :func:`random_ws`."""
    ws = random_ws(g, [seed], truncation_psi=truncation_psi, class_index=class_index)
    return g.latent(ws[0], method="random")


@per_model
def fingerprint_of(g: Generator) -> str:
    """See :attr:`Generator.fingerprint`, which is worked out once."""
    return g._fingerprint()
