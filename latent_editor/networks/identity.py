"""Who is in a picture: a vector of the face, and how alike two of them are on a plain scale.

The vectors come from the model's CLIP, which was never taught to tell people apart, or from a network of one's own that
was (ArcFace, Deng et al. 2019), named in ``LATENT_EDITOR_IDENTITY``.
"""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.errors import BadModel, BadValue
from latent_editor.core.face_geometry import (
    ARCFACE_LANDMARKS_PX,
    ARCFACE_PX,
    FractionLandmarks,
    landmark_array,
)
from latent_editor.generators.pictures import as_rgb, fastest_dtype
from latent_editor.networks.clip import ClipModel
from latent_editor.networks.face_views import face_views, seen_otherwise
from latent_editor.ops import affine

#: A network of one's own that knows faces: the path of an ONNX file, which holds data and no program.
IDENTITY_VARIABLE = "LATENT_EDITOR_IDENTITY"
MAX_BYTES = 1 << 30
_BATCH = 16


class IdentityNet(Protocol):
    """What turns faces into vectors.

    Attributes:
        fingerprint: Changes when the network does.
        tells_people: Whether it was made to tell people apart; otherwise a metric is learned on its vectors.
    """

    fingerprint: str
    tells_people: bool

    def embed(self, pictures: Tensor, points: FractionLandmarks) -> Tensor:
        """pictures [N, C, S, S], −1..1, with their points as fractions of the side → float32 [N, D], on the CPU."""
        ...


class ClipIdentity:
    """The vectors of a CLIP for the face without what is around it."""

    tells_people = False

    def __init__(self, clip: ClipModel) -> None:
        self.clip = clip
        self.fingerprint = clip.fingerprint

    def embed(self, pictures: Tensor, points: FractionLandmarks) -> Tensor:
        dtype = fastest_dtype(pictures.device)
        with torch.inference_mode():
            vectors = [
                self.clip.encode_image(face_views(as_rgb(some), points, self.clip.size_px), dtype=dtype).cpu()
                for some in pictures.split(_BATCH)
            ]
        return torch.cat(vectors).clone()


class OnnxIdentity:
    """A network of one's own: aligned faces of 112 × 112, RGB in −1..1, to a vector. Read by OpenCV, on the CPU.

    Args:
        path: An ONNX file of at most :data:`MAX_BYTES`.

    Raises:
        BadModel: the file is missing, too large, not ONNX that OpenCV can read, or gives no vector for such a face.
    """

    tells_people = True

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()  # OpenCV's networks keep what they compute
        try:
            size = self.path.stat().st_size
            if size > MAX_BYTES:
                raise BadModel(f"{self.path.name} has {size:,} bytes; at most {MAX_BYTES:,} are read. {_ADVICE}")
            data = self.path.read_bytes()
            self.fingerprint = hashlib.sha256(data).hexdigest()[:12]
            self._net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
            self._forward(np.zeros((1, 3, ARCFACE_PX, ARCFACE_PX), np.float32))
        except OSError as e:
            raise BadModel(f"The identity network {str(path)!r} cannot be read ({e.strerror or e}). {_ADVICE}") from e
        except cv2.error as e:
            said = " ".join(str(e).split())[:160]
            raise BadModel(f"{self.path.name} is no ONNX network that OpenCV can run ({said}). {_ADVICE}") from e

    def embed(self, pictures: Tensor, points: FractionLandmarks) -> Tensor:
        side = pictures.shape[-1]
        names = [name for name in ARCFACE_LANDMARKS_PX if name in points]
        frame = affine.similarity(landmark_array(ARCFACE_LANDMARKS_PX, names), landmark_array(points, names) * side)
        arrays = as_rgb(pictures).float().clamp(-1, 1).permute(0, 2, 3, 1).cpu().numpy()
        faces = [affine.warp(np.ascontiguousarray(a), frame, (ARCFACE_PX, ARCFACE_PX)) for a in arrays]
        vectors = [self._forward(np.ascontiguousarray(face.transpose(2, 0, 1))[None]) for face in faces]
        return F.normalize(torch.from_numpy(np.stack(vectors)), dim=1)

    def _forward(self, face: np.ndarray) -> np.ndarray:
        with self._lock:
            self._net.setInput(face)
            vector = np.asarray(self._net.forward(), np.float32).reshape(-1)
        if len(vector) < 2 or not np.isfinite(vector).all():
            raise BadModel(
                f"{self.path.name} gives {len(vector)} numbers for a face"
                f"{'' if np.isfinite(vector).all() else ', not all finite'}; expected a vector. {_ADVICE}"
            )
        return vector.copy()


_ADVICE = (
    "Expected an ONNX file of a face recognition network that takes RGB of 112 × 112 (ArcFace and its kin); name it in "
    f"{IDENTITY_VARIABLE}, or leave that empty to use the model's CLIP."
)


def named_in_environment() -> str | None:
    """The path in :data:`IDENTITY_VARIABLE`, or None where that is empty."""
    return os.environ.get(IDENTITY_VARIABLE, "").strip() or None


@dataclass(frozen=True, eq=False)
class IdentityScale:
    """How vectors are compared, and what the numbers mean.

    Attributes:
        mean: float32 [D], of the vectors of faces.
        metric: float32 [D, D], what centred vectors are multiplied with before their cosine is taken.
        strangers, same: Cosines of two different faces, and of one face seen otherwise (medians).
        same_limit: Above it lie less than 1 % of strangers, and at most 95 % of the same faces.
        auc: How well cosines told the same faces from strangers where this was measured, 0.5..1.
    """

    mean: Tensor
    metric: Tensor
    strangers: float
    same: float
    same_limit: float
    auc: float

    def cosine(self, a: Tensor, b: Tensor) -> Tensor:
        """Vectors [N, D] and [N, D] → cosines [N]."""
        return (self._placed(a) * self._placed(b)).sum(dim=1)

    def degree(self, cosine: float) -> float:
        """A cosine on the plain scale: 0 as alike as two strangers usually are, 1 the same picture."""
        return min(max((cosine - self.strangers) / max(1 - self.strangers, 1e-6), 0.0), 1.0)

    def grade(self, cosine: float) -> int:
        """0: as alike as one face in another light usually is; 1: less so, yet more than 99 % of strangers; else 2."""
        return 0 if cosine >= max(self.same, self.same_limit) else 1 if cosine >= self.same_limit else 2

    def _placed(self, vectors: Tensor) -> Tensor:
        return F.normalize((vectors - self.mean) @ self.metric, dim=1)


#: Share of the mean within-class variance that is added to all directions, and views of each face. Measured on 399
#: portraits against pairs of the same sex, age, hair and beard: area under the curve 0.918 without the metric, 0.979
#: with this share, 0.970 with 1.
SHRINKAGE, VIEWS = 0.3, 2


def learn_scale(net: IdentityNet, pictures: Tensor, points: FractionLandmarks) -> IdentityScale:
    """Learns from faces of different people how to compare them.

    1. Each face is seen otherwise, twice.
    2. For a network that was not made for it, a metric from half of the faces that shrinks what changes with the view
       (within-class whitening; Hatch & Stolcke 2006).
    3. The scale from the other half: cosines of the same face, and of different ones.

    Args:
        net: What gives the vectors.
        pictures: float32 [N, 3, S, S], −1..1, of N ≥ 16 different people.
        points: Where the faces are.

    Raises:
        BadValue: too few pictures.
    """
    if len(pictures) < 16:
        raise BadValue(f"Got {len(pictures)} faces to learn a scale from; expected 16 at least.")
    # 1.
    views = [pictures, *(seen_otherwise(pictures, seed=seed) for seed in range(VIEWS))]
    vectors = torch.stack([net.embed(view, points) for view in views])  # [V, N, D]
    half = len(pictures) // 2
    dim = vectors.shape[2]
    mean, metric = torch.zeros(dim), torch.eye(dim)
    # 2.
    if not net.tells_people:
        learned, mean = vectors[:, :half], vectors[0].mean(dim=0)
        away = (learned - learned.mean(dim=0)).flatten(0, 1).double()
        within = away.t() @ away / (half * VIEWS)
        within += SHRINKAGE * within.trace() / dim * torch.eye(dim, dtype=within.dtype)
        metric = torch.linalg.cholesky(torch.linalg.inv(within)).float()
        metric = metric / metric.norm() * dim**0.5
    # 3.
    scale = IdentityScale(mean, metric, 0.0, 1.0, 1.0, 0.5)
    held = vectors[:, half:]
    same = torch.cat([scale.cosine(held[0], held[v]) for v in range(1, len(held))])
    placed = [scale._placed(view) for view in held]
    table = torch.cat([placed[0] @ view.t() for view in placed])
    pairs = ~torch.eye(held.shape[1], dtype=torch.bool).repeat(len(placed), 1)
    different = table[pairs]
    same_limit = max(_quantile(same, 0.05), _quantile(different, 0.99))
    middle, top = _quantile(different, 0.5), _quantile(same, 0.5)
    return IdentityScale(mean, metric, middle, top, same_limit, auc(same, different))


def _quantile(values: Tensor, share: float) -> float:
    return float(np.quantile(values.numpy(), share))


def auc(positive: Tensor, negative: Tensor) -> float:
    """Area under the curve: how often one of ``positive`` is above one of ``negative``, both [N]."""
    ordered = negative.sort().values
    below, at_most = torch.searchsorted(ordered, positive), torch.searchsorted(ordered, positive, right=True)
    return float((below + at_most).double().mean() / (2 * len(ordered)))
