"""Statistics of a model's typical pictures: ranges of their properties, their latents, the similarity of their faces.

``python -m latent_editor.train similarity --model portraits --data T.tar`` computes them from data. Any other model
computes them from its own random images at first use, and stores them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadModel, MissingPart
from latent_editor.core.run import Run
from latent_editor.core.values import OnStep
from latent_editor.generators import Generator
from latent_editor.generators.base import random_ws
from latent_editor.generators.pictures import as_rgb, fastest_dtype, resized
from latent_editor.generators.refined import original
from latent_editor.models.per_model import per_model
from latent_editor.networks.clip import load_clip
from latent_editor.networks.encoder import has_encoder, load_encoder
from latent_editor.networks.face_identity import FaceIdentity, load_face_identity
from latent_editor.networks.face_views import NEEDED
from latent_editor.networks.faces import canonical_points, faces_known, shows_faces
from latent_editor.networks.identity import (
    ClipIdentity,
    IdentityNet,
    IdentityScale,
    OnnxIdentity,
    learn_scale,
    named_in_environment,
)
from latent_editor.networks.landmarks import LandmarkNet, load_landmark_net
from latent_editor.networks.latent_domain import LatentDomain, learn_domain
from latent_editor.networks.picture_properties import Range, picture_properties, typical_ranges

STATISTICS_FILE = "likeness.safetensors"
#: Limits of the number of random pictures and the time, for models without data.
MAX_SAMPLES, MIN_SAMPLES, SECONDS = 160, 48, 20.0
#: Number of pictures whose properties are measured: finding landmarks is the slowest part.
MEASURED = 240
#: Size of the pictures for the scale of identity.
FACE_PX = 128
#: Photographs lie further out than random pictures of the model by this factor, measured on the embedded model: its
#: validation portraits reach 1.4 times as far as its re-encoded random pictures.
MARGIN = 1.4
LABEL = "Learning typical pictures"
_BATCH = 8


@dataclass(frozen=True, eq=False)
class SimilarityStatistics:
    """The statistics of one generator.

    Attributes:
        fingerprint: Of the generator and the identity network.
        ranges: Typical ranges of :func:`picture_properties`, by name.
        identity: The scale of identity; None for a model without faces or without an identity network.
        domain: The distribution of latents; None for a model without an encoder.
        count: Number of pictures.
        from_data: Whether they were training data rather than the model's random pictures.
    """

    fingerprint: str
    ranges: Mapping[str, Range] = field(default_factory=dict)
    identity: IdentityScale | None = None
    domain: LatentDomain | None = None
    count: int = 0
    from_data: bool = False

    def save(self, path: str | Path) -> None:
        """Writes them as safetensors, atomically."""
        about = {
            "ranges": {name: asdict(r) for name, r in self.ranges.items()},
            "count": self.count,
            "from_data": self.from_data,
            "identity": _numbers(self.identity, _SCALE_NUMBERS),
            "domain": _numbers(self.domain, _DOMAIN_NUMBERS),
        }
        tensors: dict[str, Tensor] = {"kind": torch.zeros(1)}  # a file has at least one
        if self.identity is not None:
            tensors |= {"identity.mean": self.identity.mean, "identity.metric": self.identity.metric.half()}
        if self.domain is not None:
            tensors |= {f"domain.{name}": getattr(self.domain, name) for name in ("mean", "variances")}
            tensors["domain.basis"] = self.domain.basis.half()
        metadata = {"kind": "likeness statistics", "fingerprint": self.fingerprint, "about": json.dumps(about)}
        tensor_files.write_tensors(path, tensors, metadata)

    @staticmethod
    def load(path: str | Path) -> SimilarityStatistics:
        """Reads what :meth:`save` wrote.

        Raises:
            BadModel: the file is missing or damaged.
        """
        tensors, metadata = tensor_files.read_tensors(path, max_bytes=64 << 20)
        try:
            if metadata["kind"] != "likeness statistics":
                raise ValueError(f"its kind is {metadata['kind']!r}")
            about = json.loads(metadata["about"])
            ranges = {str(n): Range(float(r["low"]), float(r["high"])) for n, r in about["ranges"].items()}
            identity, domain = None, None
            if about["identity"] is not None:
                mean, metric = (tensors[f"identity.{name}"].float() for name in ("mean", "metric"))
                if metric.shape != (len(mean), len(mean)):
                    raise ValueError(f"its metric is {list(metric.shape)} for vectors of {len(mean)}")
                identity = IdentityScale(mean, metric, **{n: float(about["identity"][n]) for n in _SCALE_NUMBERS})
            if about["domain"] is not None:
                mean, basis, variances = (tensors[f"domain.{n}"].float() for n in ("mean", "basis", "variances"))
                if basis.shape != (len(variances), len(mean)):
                    raise ValueError(f"its basis is {list(basis.shape)} for {len(variances)} of {len(mean)}")
                numbers = {n: float(about["domain"][n]) for n in _DOMAIN_NUMBERS}
                domain = LatentDomain(mean, basis, variances, **numbers)
            count, from_data = int(about["count"]), bool(about["from_data"])
            return SimilarityStatistics(metadata["fingerprint"], ranges, identity, domain, count, from_data)
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise BadModel(f"{Path(path).name} is not a file of similarity statistics ({e}). Build it again.") from e


_SCALE_NUMBERS = ("strangers", "same", "same_limit", "auc")
_DOMAIN_NUMBERS = ("rest", "limit")


def _numbers(part: object, names: tuple[str, ...]) -> dict[str, float] | None:
    return None if part is None else {name: getattr(part, name) for name in names}


def identity_net(g: Generator) -> IdentityNet | None:
    """The identity network of a generator: the one named in the environment, or else its own or a borrowed one, or else
    its CLIP; None for a model without faces or without any.

    Raises:
        BadModel: the named file cannot be used.
    """
    g = original(g)
    points = canonical_points(g)
    if not points or not set(points) >= NEEDED:
        return None
    path = named_in_environment()
    if path is not None:
        return _onnx_identity(g, path)
    own = load_face_identity(g)
    if own is not None:
        return own
    try:
        return ClipIdentity(load_clip(g))
    except MissingPart:
        return None


def landmark_net(g: Generator) -> LandmarkNet | None:
    """The landmark network of a model that shows faces, or None."""
    try:
        return load_landmark_net(original(g)) if shows_faces(original(g)) else None
    except MissingPart:
        return None


def build_similarity_statistics(
    g: Generator,
    pictures: Tensor | None = None,
    *,
    net: IdentityNet | None = None,
    seconds: float = SECONDS,
    on_step: OnStep | None = None,
) -> SimilarityStatistics:
    """Computes the statistics of pictures, or of the model's random ones.

    Args:
        g: The generator.
        pictures: uint8 [N, 3, size_px, size_px], aligned as the training data, N ≥ 64; None for random ones.
        net: The identity network; None for :func:`identity_net`.
        seconds: Time limit for random pictures, after at least :data:`MIN_SAMPLES`.
        on_step: Called after each batch; a true answer stops.

    Raises:
        Stopped: ``on_step`` gave a true answer.
    """
    g, run = original(g), Run(seconds, on_step)
    points, net = canonical_points(g), net or identity_net(g)
    encoder = load_encoder(g) if has_encoder(g) else None
    dtype = fastest_dtype(g.device)
    total = MAX_SAMPLES if pictures is None else len(pictures)
    latents: list[Tensor] = []
    faces: list[Tensor] = []
    properties: list[dict[str, Tensor]] = []
    seen = 0
    while seen < total:
        with torch.inference_mode():
            if pictures is None:
                ws = random_ws(g, list(range(seen, seen + _BATCH)), truncation_psi=1.0)
                batch = as_rgb(g.synthesize(ws, dtype=dtype).clamp(-1, 1))
            else:
                batch = pictures[seen : seen + _BATCH].to(g.device).float() / 127.5 - 1
            if encoder is not None:
                latents.append(encoder(batch, dtype).float().cpu())
        faces.append(resized(batch, FACE_PX).cpu().clone())
        if seen * MEASURED >= len(properties) * _BATCH * max(total, MEASURED):  # evenly spread
            properties.append(picture_properties(landmark_net(g), batch, points))
        seen += len(batch)
        run.progress(seen, total, label=LABEL)
        if pictures is None and seen >= MIN_SAMPLES and run.over:
            break
    measured = {name: torch.cat([p[name] for p in properties]) for name in properties[0]}
    return SimilarityStatistics(
        _fingerprint(g, net),
        typical_ranges(measured, widened=0.25 if pictures is not None else 0.6),
        None if net is None else learn_scale(net, torch.cat(faces), points),
        None if encoder is None else learn_domain(torch.cat(latents), margin=1.0 if pictures is not None else MARGIN),
        seen,
        pictures is not None,
    )


def _fingerprint(g: Generator, net: IdentityNet | None) -> str:
    return f"{original(g).fingerprint}+{'none' if net is None else net.fingerprint}"


def load_similarity_statistics(
    g: Generator, *, net: IdentityNet | None = None, on_step: OnStep | None = None
) -> SimilarityStatistics:
    """The statistics of a generator: those in its folder, or else computed from random pictures and stored.

    Args:
        g: The generator.
        net: Another identity network; None for :func:`identity_net`.
        on_step: Called while they are computed; a true answer stops.

    Raises:
        Stopped: ``on_step`` gave a true answer.
        BadModel: the file is damaged and not a cache, or the named network cannot be used.
    """
    g = original(g)
    chosen = net or identity_net(g)
    wanted = _fingerprint(g, chosen)
    return _stored_or_built(g, wanted, net=chosen, on_step=on_step)


@per_model
def _onnx_identity(g: Generator, path: str) -> OnnxIdentity:
    return OnnxIdentity(path)


@per_model
def _stored_or_built(
    g: Generator, wanted: str, *, net: IdentityNet | None, on_step: OnStep | None
) -> SimilarityStatistics:
    name, found = _read_stored(g, net, wanted)
    if found is not None:
        return found
    made = build_similarity_statistics(g, net=net, on_step=on_step)
    # Statistics of another identity network are not stored beside those of an installed model.
    if g.bundle.is_cache or (name == STATISTICS_FILE and not g.bundle.has(name)):
        g.bundle.write(name, made.save)
    return made


def _read_stored(g: Generator, net: IdentityNet | None, wanted: str) -> tuple[str, SimilarityStatistics | None]:
    """The name of the file, and its statistics if they belong to the same weights."""
    # Each face recognition network that is not part of a model has a file of its own.
    foreign = net is not None and net.recognizes_people and not isinstance(net, FaceIdentity)
    name = f"likeness-{wanted.split('+')[1]}.safetensors" if foreign else STATISTICS_FILE
    found = g.bundle.read_optional(name, "the likeness", SimilarityStatistics.load)
    return name, found if found is not None and found.fingerprint == wanted else None


def similarity_statistics_known(g: Generator) -> bool:
    """Whether :func:`load_similarity_statistics` has its result ready.

    Raises:
        BadModel: as there.
    """
    g = original(g)
    if not faces_known(g):
        return False
    chosen = identity_net(g)
    wanted = _fingerprint(g, chosen)
    return _stored_or_built.is_built(g, wanted) or _read_stored(g, chosen, wanted)[1] is not None
