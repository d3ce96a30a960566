"""The interface of all generators."""

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
    """A generator network, with the bundle of its model.

    Attributes:
        size_px: Height and width of the images.
        channels: 3 for RGB.
        num_ws, w_dim: The shape of a W+ latent.
        z_dim: Length of z.
        c_dim: Number of classes, 0 if unconditional.
        has_transform: Whether the network can translate and rotate its images by ``transform`` (StyleGAN3).
        bundle: Name, folder and other parts of the model.
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
        """float32 [w_dim]: the mean of w, the target of truncation."""

    @abc.abstractmethod
    def map(
        self, z: Tensor, c: Tensor | None = None, *, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> Tensor:
        """The mapping network, with truncation.

        Args:
            z: [N, z_dim], usually N(0, 1).
            c: [N, c_dim] class vectors, or None if ``c_dim`` is 0.
            truncation_psi: 1 keeps w, 0 gives the mean (Karras et al. 2019, §B).
            truncation_cutoff: Number of leading ws to truncate; None for all.

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
            noise: "const" for the network's fixed noise, "none", or "random".
            dtype: Precision of the activations; None for float32.
            transform: [3, 3] or [N, 3, 3], from :func:`transform_matrix`; only if ``has_transform``.

        Returns:
            float32 [N, channels, size_px, size_px], about −1..1.

        Raises:
            ValueError: a wrong shape or noise mode, or a transform that the generator does not support.
        """

    @abc.abstractmethod
    def activations(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor:
        """The feature maps of the synthesis network at a resolution, without noise.

        Args:
            ws: [N, num_ws, w_dim].
            size_px: A resolution that the network has.
            dtype: Precision of the activations; None for float32.

        Returns:
            float32 [N, C, size_px, size_px].
        """

    @property
    def activation_sizes(self) -> list[int]:
        """The resolutions that :meth:`activations` supports, ascending."""
        return [2**i for i in range(2, self.size_px.bit_length())]

    def intermediate_image(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor | None:
        """The RGB sum of the skip connections at a resolution; None for networks without skip connections.

        Args:
            ws: [N, num_ws, w_dim].
            size_px: A resolution that the network has.
            dtype: Precision of the activations; None for float32.

        Returns:
            float32 [N, channels, size_px, size_px]; its colors may differ from the final image.
        """
        return None

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
        """Renders groups of latents, each as one image whose activations are blended by masks.

        Args:
            ws: [N · masks.count, num_ws, w_dim]; the first of each group is the base image.
            masks: The regions of the other latents of a group.
            noise, dtype, transform: As in :meth:`synthesize`, one transform per group.
            until: Stop at this resolution; None renders the whole image.

        Returns:
            The activations, float32 [N, C, size, size], and the image so far, as in :meth:`intermediate_image`.

        Raises:
            BadValue: the architecture does not support it.
        """
        raise BadValue(
            f"The model {self.name!r} does not support edits in regions. Use the edit without a region, or a "
            "StyleGAN2 or StyleGAN3."
        )

    def style_weights(self) -> list[tuple[int, Tensor]]:
        """The affine layers that map w to styles (the matrix A of Shen & Zhou 2021, §3.2).

        Returns:
            For each layer the index of its w, and its weight, float32 [C, w_dim]; empty if the architecture has none.
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
        """Hash of all weights, 12 hex digits."""
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
        """Makes a latent of ws [num_ws, w_dim], optionally with a refinement of this generator."""
        return Latent(ws.detach().float().cpu(), self.name, self.fingerprint, psnr_db, method, refinement)

    def check(self, latent: Latent) -> None:
        """Raises BadLatent if this generator cannot render ``latent``."""
        shape = (self.num_ws, self.w_dim)
        if tuple(latent.ws.shape) != shape or latent.fingerprint != self.fingerprint:
            raise BadLatent(
                f"This latent {list(latent.ws.shape)} was made with the model {latent.model!r} ({latent.fingerprint}); "
                f"the loaded model is {self.name!r} ({self.fingerprint}), which takes {list(shape)}. "
                f"Load the original model, or invert the photo again with this one."
            )


def transform_matrix(translate: tuple[float, float] = (0.0, 0.0), angle_deg: float = 0.0) -> Tensor:
    """The matrix that rotates and translates the image inside a generator with ``has_transform``.

    The content is first rotated about the center of the image, then translated. The matrix is the inverse: it maps a
    point of the image (in image widths from the center, y down) to the content seen there, because it multiplies the
    coordinates of the Fourier features (Karras et al. 2021, §3.2).

    Args:
        translate: (x, y) in image widths; the content moves right for x > 0 and down for y > 0.
        angle_deg: Counterclockwise.

    Returns:
        float32 [3, 3].

    Raises:
        BadValue: a number that is not finite.
    """
    if not all(math.isfinite(number) for number in (*translate, angle_deg)):
        raise BadValue(f"Got the shift {translate} and the angle {angle_deg}; expected finite numbers.")
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    rotate_back = torch.tensor([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], dtype=torch.float64)
    translate_back = torch.tensor([[1, 0, -translate[0]], [0, 1, -translate[1]], [0, 0, 1]], dtype=torch.float64)
    return (rotate_back @ translate_back).float()


def class_weights(g: Generator, indices: Sequence[int]) -> Tensor | None:
    """One-hot class vectors for a conditional generator.

    Returns:
        float32 [len(indices), c_dim] on the generator's device, or None if it is unconditional.

    Raises:
        BadValue: a class that the generator does not have.
    """
    for index in indices:
        if not 0 <= index < g.c_dim:
            has = f"has the classes 0 to {g.c_dim - 1}" if g.c_dim else "has no classes: omit the class"
            raise BadValue(f"Got the class {index}; the model {g.name!r} {has}.")
    if not g.c_dim:
        return None
    weights = torch.zeros(len(indices), g.c_dim)
    weights[torch.arange(len(indices)), torch.as_tensor(indices)] = 1
    return weights.to(g.device)


def random_ws(g: Generator, seeds: list[int], *, truncation_psi: float = 0.7, class_index: int | None = None) -> Tensor:
    """Random latents, reproducible on every machine.

    Args:
        g: The generator.
        seeds: A seed for each latent.
        truncation_psi: As in :meth:`Generator.map`.
        class_index: The class of all of them; None derives a class from each seed.

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
    """A random latent, reproducible on every machine. Arguments as :func:`random_ws`."""
    ws = random_ws(g, [seed], truncation_psi=truncation_psi, class_index=class_index)
    return g.latent(ws[0], method="random")


@per_model
def fingerprint_of(g: Generator) -> str:
    """:attr:`Generator.fingerprint`, computed once."""
    return g._fingerprint()
