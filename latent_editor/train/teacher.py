"""A frozen face recognition network, which defines identity and facial features in the training losses.

It is not part of a model and not needed for inference. Any network of this architecture works, as safetensors with
tensors named ``stem``, ``dw.0`` … and ``pw.0`` …; the embedded model was trained with the trunk of HSE FaceRes
(Savchenko 2018, Apache-2.0), a MobileNet of width 1 without its heads.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadModel

#: Stride and output channels of each depthwise separable block (Howard et al. 2017, table 1).
BLOCKS = (
    (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), (1, 512), (1, 512), (1, 512), (1, 512), (1, 512),
    (2, 1024), (1, 1024),
)  # fmt: skip
#: The blocks whose feature maps are used, counted from 1: at strides of 4, 8, 16 and 32 pixels.
TAPS = (3, 5, 11, 13)
TAP_CHANNELS = tuple(BLOCKS[i - 1][1] for i in TAPS)


class FaceTeacher(nn.Module):
    """Maps images to feature maps and to identity vectors.

    Args:
        size_px: Input size; other images are resized. The network was trained at 224; at 160, the cosine between
            smiling and neutral images of a person is the same (0.91), at half the cost.
    """

    def __init__(self, size_px: int = 224) -> None:
        super().__init__()
        self.size_px = size_px
        self.stem = nn.Conv2d(3, 32, 3, stride=2)
        widths = (32, *(width for _, width in BLOCKS))
        self.dw = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride, groups=width)
            for width, (stride, _) in zip(widths[:-1], BLOCKS, strict=True)
        )
        self.pw = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in itertools.pairwise(widths))

    def maps(self, image: Tensor) -> list[Tensor]:
        """image [N, 3, H, W], −1..1 → the feature maps of :data:`TAPS`, [N, C, H', W'] in the network's dtype."""
        x = image.float()
        if x.shape[-1] != self.size_px:
            smaller = x.shape[-1] > self.size_px
            x = F.interpolate(x, (self.size_px,) * 2, mode="bilinear", antialias=smaller, align_corners=False)
        x = ((x + 1) * 127.5).to(self.stem.weight.dtype).contiguous(memory_format=torch.channels_last)
        x = F.relu6(self.stem(_padded(x, 2)))
        found = []
        for i, (dw, pw, (stride, _)) in enumerate(zip(self.dw, self.pw, BLOCKS, strict=True), 1):
            x = F.relu6(pw(F.relu6(dw(_padded(x, stride)))))
            if i in TAPS:
                found.append(x)
        return found

    @staticmethod
    def identity(maps: list[Tensor]) -> Tensor:
        """Feature maps from :meth:`maps` → float32 unit vectors [N, 1024], whose dot product measures identity."""
        return F.normalize(maps[-1].float().mean(dim=(2, 3)), dim=1)


def _padded(x: Tensor, stride: int) -> Tensor:
    """TensorFlow's "same" padding: with a stride of 2, zeros on the right and bottom only."""
    return F.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))


def read_teacher(path: str | Path, *, size_px: int = 224, dtype: torch.dtype = torch.float32) -> FaceTeacher:
    """Reads a teacher, frozen.

    Raises:
        BadModel: the file is damaged, or contains another network.
    """
    tensors, _ = tensor_files.read_tensors(path)
    net = FaceTeacher(size_px)
    try:
        net.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as e:
        name = Path(path).name
        raise BadModel(f"{name} is not a MobileNet of width 1 ({str(e).splitlines()[0]}). Choose another file.") from e
    net = net.eval().requires_grad_(False).to(dtype)
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def identity_loss(a: Tensor, b: Tensor) -> Tensor:
    """Mean of 1 − cosine between two batches of :meth:`FaceTeacher.identity`."""
    return (1 - (a * b).sum(dim=1)).mean()


def maps_loss(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Mean absolute difference of the three finer feature maps, relative to the mean magnitude of those of ``a``."""
    terms = [
        (x.float() - y.float()).abs().mean() / (x.float().abs().mean() + 1e-3)
        for x, y in zip(a[:-1], b[:-1], strict=True)
    ]
    return torch.stack(terms).mean()
