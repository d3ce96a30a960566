"""Distills a small face recognition network from a large one, on data, random faces and edited faces.

Its vector for a face is to be the large network's, centered and reduced to its principal components, whatever light,
background and camera are (Hinton et al. 2015; the cosines between faces of a batch as well, Park et al. 2019).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latent_editor.core.errors import MissingPart
from latent_editor.core.face_geometry import FractionLandmarks
from latent_editor.directions import named_directions
from latent_editor.directions.measurement import acting
from latent_editor.generators import Generator, load_generator, random_ws
from latent_editor.generators.pictures import fastest_dtype, resized
from latent_editor.networks.face_identity import IDENTITY_FILE, FaceIdentity, read_identity, save_identity
from latent_editor.networks.face_views import augmented_views, face_views
from latent_editor.networks.faces import canonical_points
from latent_editor.train.augmentation import mirror
from latent_editor.train.learning import Trainer, add_run_arguments, train
from latent_editor.train.pictures import read_pictures
from latent_editor.train.teacher import FaceTeacher, read_teacher

TEACHER_PX, BATCH = 160, 32
#: Weight of the cosines between faces relative to the vectors' own error.
RELATIONS = 10.0
#: Truncation of generated faces, and how far half of them are moved along a slider: ± a number in this range.
PSI, STRENGTHS = 0.9, (1.5, 3.0)
#: Faces that are generated at a time.
_FEW = 16


@dataclass(frozen=True, eq=False)
class Reduction:
    """The teacher's vectors in fewer dimensions.

    Attributes:
        mean: [T].
        basis: [T, dim], orthonormal columns.
    """

    mean: Tensor
    basis: Tensor

    def __call__(self, vectors: Tensor) -> Tensor:
        """[N, T] → unit vectors [N, dim]."""
        return torch.nn.functional.normalize((vectors - self.mean) @ self.basis, dim=1)


def fit_reduction(vectors: Tensor, dim: int) -> Reduction:
    """The principal components of a teacher's vectors [N, T]."""
    mean = vectors.mean(dim=0)
    _, _, basis = torch.linalg.svd(vectors - mean, full_matrices=False)
    return Reduction(mean, basis[:dim].T.contiguous())


@torch.no_grad()
def teacher_vectors(teacher: FaceTeacher, images: Tensor) -> Tensor:
    """uint8 images [N, 3, S, S] → the teacher's identity vectors, float32 [N, T]."""
    return torch.cat([teacher.identity(teacher.maps(x.float() / 127.5 - 1)) for x in images.split(_FEW)])


@torch.no_grad()
def generated_faces(g: Generator, count: int, size_px: int) -> Tensor:
    """Random faces of the model, every other one moved along one of its sliders: uint8 [count, 3, size_px, size_px]."""
    directions, random = named_directions(g), torch.Generator().manual_seed(0)
    found = []
    for first in range(0, count, _FEW):
        ws = random_ws(g, list(range(first, min(first + _FEW, count))), truncation_psi=PSI)
        for i in range(0, len(ws), 2):
            d = directions[int(torch.randint(len(directions), (1,), generator=random))]
            low, high = STRENGTHS
            strength = low + (high - low) * float(torch.rand(1, generator=random))
            strength *= 1 if float(torch.rand(1, generator=random)) < 0.5 else -1
            ws[i] += strength * acting(d).to(ws.device)
        pictures = resized(g.synthesize(ws, dtype=fastest_dtype(g.device)).float().clamp(-1, 1), size_px)
        found.append(_bytes(pictures.cpu()))
    return torch.cat(found)


def losses(net: FaceIdentity, batch: tuple[Tensor, Tensor], dtype: torch.dtype) -> tuple[Tensor, dict[str, float]]:
    """The loss on views [N, 3, S, S] and their target vectors [N, dim], and its terms for the log."""
    views, targets = batch
    vectors = net(views, dtype)
    own = 1 - (vectors * targets).sum(dim=1).mean()
    relations = (vectors @ vectors.T - targets @ targets.T).square().mean()
    return own + RELATIONS * relations, {"own": own.item(), "relations": relations.item()}


def figures(net: FaceIdentity, pictures: Tensor, targets: Tensor, points: FractionLandmarks) -> dict[str, float]:
    """On images [N, 3, S, S]: the mean cosine to the targets, and the correlation of the cosines between faces."""
    vectors = net.embed(pictures, points)
    pairs = torch.triu_indices(len(vectors), len(vectors), 1)
    ours, theirs = ((v @ v.T)[pairs[0], pairs[1]] for v in (vectors, targets))
    correlation = torch.corrcoef(torch.stack([ours, theirs]))[0, 1]
    return {"cosine": float((vectors * targets).sum(dim=1).mean()), "correlation": float(correlation)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser, rate=2e-3, start="model folder")
    parser.add_argument("--teacher", type=Path, required=True, help="face recognition network to learn from")
    parser.add_argument("--generated", type=int, default=3000, help="random and edited faces (default %(default)s)")


def main(args: argparse.Namespace) -> None:
    """Trains for ``--minutes``, starting from the folder's network if it has one."""
    torch.set_num_threads(args.threads)
    g = load_generator(str(args.start))
    points = canonical_points(g)
    if points is None:
        raise MissingPart(f"The model {g.name!r} does not say where its faces are. Choose a model of faces.")
    existing = args.start / IDENTITY_FILE
    net = read_identity(existing) if existing.is_file() else FaceIdentity()
    size = net.config["size_px"]
    teacher = read_teacher(args.teacher, size_px=TEACHER_PX, dtype=torch.bfloat16)
    sources = [read_pictures(args.data, TEACHER_PX).images, generated_faces(g, args.generated, TEACHER_PX)]
    vectors = [teacher_vectors(teacher, images) for images in sources]
    reduce = fit_reduction(vectors[0], net.config["dim"])
    images = torch.cat([_shrunk(source, size) for source in sources])
    targets = reduce(torch.cat(vectors))
    held = read_pictures(args.validation, TEACHER_PX).images
    held_targets, held_pictures = reduce(teacher_vectors(teacher, held)), held.float() / 127.5 - 1

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        at = torch.randint(len(images), (BATCH,), generator=generator)
        seed = int(torch.randint(1 << 31, (1,), generator=generator))
        return face_views(mirror(augmented_views(images[at].float() / 127.5 - 1, seed=seed)), points, size), targets[at]

    trainer = Trainer(net, losses, args.rate, fastest_dtype(torch.device("cpu")))

    def validate() -> dict[str, float]:
        return figures(trainer.average, held_pictures, held_targets, points)

    train(trainer, draw, args.run, minutes=args.minutes, seed=args.seed, resume=args.resume, validate=validate)
    if args.export:
        save_identity(trainer.average, args.export / IDENTITY_FILE)


def _shrunk(images: Tensor, size_px: int) -> Tensor:
    """uint8 images [N, 3, S, S] at another size."""
    return torch.cat([_bytes(resized(x.float() / 127.5 - 1, size_px)) for x in images.split(256)])


def _bytes(pictures: Tensor) -> Tensor:
    """−1..1 → uint8."""
    return ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
