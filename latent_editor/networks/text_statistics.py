"""Joint statistics of a generator's latents and CLIP vectors, from which fast text directions are estimated.

``python -m latent_editor.train text --model portraits [--data PICTURES.tar]`` writes them into a model's folder.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadModel, Stopped
from latent_editor.core.values import OnStep, Step
from latent_editor.generators import Generator
from latent_editor.generators.base import class_weights
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.preview import small
from latent_editor.models.per_model import per_model
from latent_editor.networks.clip import ClipModel, clip_fingerprint, load_clip
from latent_editor.networks.encoder import load_encoder

STATISTICS_FILE = "text_statistics.safetensors"
#: Random pictures for statistics of a model's file, and for those that are computed while a user waits.
SAMPLES, QUICK_SAMPLES = 3000, 700
#: Time limit of the latter, after a minimum number of pictures.
QUICK_SECONDS, MIN_QUICK_SAMPLES = 20.0, 64
#: Numbers of sampled vectors and latents that are stored.
VECTORS, PROBES = 600, 6
#: Batch sizes; small while a user waits, who may want to stop.
_BATCH, _QUICK_BATCH = 32, 8
LABEL = "Learning what words change"


@dataclass(frozen=True, eq=False)
class TextStatistics:
    """Moments of x, the mean over layers of a latent, and e, the CLIP's vector of its picture, both centered.

    Attributes:
        xx: float32 [w_dim, w_dim], covariance of x.
        xe: float32 [w_dim, D], covariance of x with e.
        ee: float32 [D, D], covariance of e.
        vectors: float32 [M, D], a sample of e, not centered: the distribution of any score over the data.
        probes: float32 [P, num_ws, w_dim], a few latents for the calibration of directions.
        count: Number of pictures.
        fingerprint: Of the generator and the CLIP.
    """

    xx: Tensor
    xe: Tensor
    ee: Tensor
    vectors: Tensor
    probes: Tensor
    count: int
    fingerprint: str

    def save(self, path: str | Path) -> None:
        """Writes them as safetensors in half precision, atomically."""
        tensors = {"xx": self.xx.half(), "xe": self.xe.half(), "ee": (self.ee * _EE_GAIN).half()}
        tensors |= {"vectors": self.vectors.half(), "probes": self.probes.half()}
        metadata = {"kind": "text statistics", "fingerprint": self.fingerprint, "count": str(self.count)}
        tensor_files.write_tensors(path, tensors, metadata)

    @staticmethod
    def load(path: str | Path) -> TextStatistics:
        """Reads what :meth:`save` wrote.

        Raises:
            BadModel: the file is missing or damaged.
        """
        tensors, metadata = tensor_files.read_tensors(path)
        try:
            xx, xe, ee, vectors, probes = (tensors[k].float() for k in ("xx", "xe", "ee", "vectors", "probes"))
            if xx.shape != (len(xe), len(xe)) or ee.shape != (xe.shape[1], xe.shape[1]):
                raise ValueError(f"shapes {list(xx.shape)}, {list(xe.shape)}, {list(ee.shape)} do not belong together")
            count, fingerprint = int(metadata["count"]), metadata["fingerprint"]
            return TextStatistics(xx, xe, ee / _EE_GAIN, vectors, probes, count, fingerprint)
        except (KeyError, ValueError) as e:
            raise BadModel(f"{Path(path).name} is not a file of text statistics ({e}). Build it again.") from e


#: Vectors of length 1 have small variances; this keeps them in the range where half precision is exact enough.
_EE_GAIN = 256.0


class _Moments:
    """Sums for covariances, gathered batch by batch in float64."""

    def __init__(self, x_dim: int, e_dim: int) -> None:
        size = x_dim + e_dim
        self.x_dim, self.count = x_dim, 0
        self.total = torch.zeros(size, dtype=torch.float64)
        self.squares = torch.zeros(size, size, dtype=torch.float64)

    def add(self, x: Tensor, e: Tensor) -> None:
        both = torch.cat([x, e], dim=1).double().cpu()
        self.count += len(both)
        self.total += both.sum(dim=0)
        self.squares += both.t() @ both

    def covariances(self) -> tuple[Tensor, Tensor, Tensor]:
        mean = self.total / self.count
        cov = (self.squares / self.count - mean[:, None] * mean[None, :]).float()
        n = self.x_dim
        return cov[:n, :n].contiguous(), cov[:n, n:].contiguous(), cov[n:, n:].contiguous()


def statistics_fingerprint(g: Generator, clip: ClipModel) -> str:
    """Changes when the generator's or the CLIP's weights do."""
    return f"{g.fingerprint}+{clip.fingerprint}"


def build_text_statistics(
    g: Generator,
    pictures: Tensor | None = None,
    *,
    samples: int = SAMPLES,
    seconds: float = math.inf,
    on_step: OnStep | None = None,
) -> TextStatistics:
    """Computes the statistics of rendered random latents and, if given, of pictures.

    1. Random latents are rendered and encoded by the CLIP.
    2. Each picture is inverted by the encoder; x is its latent, and e the mean of the CLIP vectors of the picture,
       which shows the content, and of its reconstruction, which shows what the generator can render of it.

    Args:
        g: A generator with a CLIP, and an encoder if ``pictures`` are given.
        pictures: uint8 [N, 3, size_px, size_px], aligned as the training data.
        samples: Number of random latents.
        seconds: Time limit, after at least :data:`MIN_QUICK_SAMPLES` pictures.
        on_step: Called after each batch; a true answer stops, and the statistics so far are used.

    Raises:
        MissingPart: no CLIP, or pictures without an encoder.
    """
    clip = load_clip(g)
    total = samples + (0 if pictures is None else len(pictures))
    moments: _Moments | None = None
    start = time.monotonic()
    vectors, probes = [], []
    for ws, e in _observations(g, clip, pictures, samples, _BATCH if seconds == math.inf else _QUICK_BATCH):
        x = ws.mean(dim=1)
        moments = moments or _Moments(x.shape[1], e.shape[1])
        moments.add(x, e)
        vectors.append(e.cpu())
        probes.append(ws[:1].cpu())
        spent = time.monotonic() - start
        enough = moments.count >= MIN_QUICK_SAMPLES and spent >= seconds
        done = 1.0 if enough else max(moments.count / total, min(spent / seconds, moments.count / MIN_QUICK_SAMPLES))
        if (on_step and on_step(Step(moments.count, total, spent, done, label=LABEL))) or enough:
            break
    assert moments is not None
    # The last latents are those of pictures, if given, which are more realistic than random ones.
    sample, last = _spread(torch.cat(vectors), VECTORS), _spread(torch.cat(probes[len(probes) // 2 :]), PROBES)
    return TextStatistics(*moments.covariances(), sample, last, moments.count, statistics_fingerprint(g, clip))


def _spread(rows: Tensor, count: int) -> Tensor:
    """At most ``count`` rows, evenly spread."""
    return rows[torch.linspace(0, len(rows) - 1, min(count, len(rows))).long()].contiguous()


@torch.no_grad()
def _observations(
    g: Generator, clip: ClipModel, pictures: Tensor | None, samples: int, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of ws [N, num_ws, w_dim] and e [N, D]."""
    dtype = fastest_dtype(g.device)
    seeded = torch.Generator().manual_seed(0)
    for first in range(0, samples, batch_size):
        z = torch.randn(min(batch_size, samples - first), g.z_dim, generator=seeded).to(g.device)
        c = class_weights(g, [i % g.c_dim for i in range(len(z))] if g.c_dim else [])
        ws = g.map(z, c, truncation_psi=0.8)
        yield ws, clip.encode_image(g.synthesize(ws, dtype=dtype), dtype=dtype)
    if pictures is None:
        return
    encoder = load_encoder(g)
    for batch in pictures.split(batch_size):
        image = batch.to(g.device).float() / 127.5 - 1
        ws = encoder(image, dtype)
        seen = clip.encode_image(image, dtype=dtype), clip.encode_image(g.synthesize(ws, dtype=dtype), dtype=dtype)
        yield ws, (seen[0] + seen[1]) / 2


@per_model
def load_text_statistics(g: Generator, *, on_step: OnStep | None = None, whole: bool = False) -> TextStatistics:
    """The statistics of a generator: from its file, or computed quickly if there is none or it is out of date.

    Computed ones are stored in the model's folder, unless ``on_step`` stopped the computation.

    Args:
        on_step: Called after each batch; a true answer stops, and the statistics so far are used.
        whole: Raise Stopped instead of using partial statistics.
    """
    return stored_text_statistics(g) or _quick(g, on_step, whole)


def stored_text_statistics(g: Generator) -> TextStatistics | None:
    """The statistics in the model's folder, or None if there are none of this generator and its CLIP.

    Raises:
        BadModel: the file is damaged, and it is not a cache.
    """
    found = g.bundle.read_optional(STATISTICS_FILE, "text prompts", TextStatistics.load)
    if found is None:
        return None
    return found if found.fingerprint == statistics_fingerprint(g, load_clip(g)) else None


def text_statistics_stored(g: Generator) -> bool:
    """Whether :func:`stored_text_statistics` returns some, without building the CLIP.

    Raises:
        MissingPart: there is no CLIP for this generator.
        BadModel: the file is damaged, and it is not a cache.
    """
    wanted = f"{g.fingerprint}+{clip_fingerprint(g)}"
    if not g.bundle.has(STATISTICS_FILE):
        return False
    try:
        return TextStatistics.load(g.bundle.file(STATISTICS_FILE, "text prompts")).fingerprint == wanted
    except BadModel:
        if g.bundle.is_cache:
            return False
        raise


def _quick(g: Generator, on_step: OnStep | None, whole: bool) -> TextStatistics:
    stopped = False

    def report(step: Step) -> bool:
        nonlocal stopped
        stopped = on_step is not None and bool(on_step(step))
        return stopped

    preview = small(g, load_clip(g).size_px)
    made = build_text_statistics(preview, samples=QUICK_SAMPLES, seconds=QUICK_SECONDS, on_step=report)
    if stopped and whole:
        raise Stopped
    if not stopped and (g.bundle.is_cache or not g.bundle.has(STATISTICS_FILE)):
        g.bundle.write(STATISTICS_FILE, made.save)
    return made
