"""Other faces than the visitor's own: examples to learn from, faces to mix in or to take a part of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

import torch
from torch import Tensor

from latent_editor.core.values import Crop, Latent
from latent_editor.sessions.session import Session
from latent_editor.ui.service.model_service import ModelService


@dataclass(frozen=True, eq=False)
class OtherFace:
    """Another face: its latent, the crop it was encoded from, and the stem of its file's name, each if there is one."""

    latent: Latent
    crop: Crop | None = None
    name: str | None = None

    @property
    def nbytes(self) -> int:
        picture = self.crop.image.width * self.crop.image.height * 3 if self.crop else 0
        refinement = self.latent.refinement.nbytes if self.latent.refinement else 0
        return self.latent.ws.nbytes + picture + refinement


def keep_other_face(service: ModelService, session: Session, face: OtherFace, file_name: str) -> str:
    """Stores a face for the visitor and returns its key."""
    return service.uploads.put(session.id, file_name, face, face.nbytes)


def find_other_face(service: ModelService, session: Session, key: str, seed: int | None) -> OtherFace:
    """The uploaded face with this key, or the random one of a seed. Raises BadValue if the upload is gone."""
    if seed is not None:
        return OtherFace(service.random(seed))
    item = service.uploads.get(session.id, key, OtherFace)
    return OtherFace(item.content.latent, item.content.crop, PurePath(item.name).stem)


def example_set(service: ModelService, session: Session, keys: list[str]) -> Tensor:
    """The examples with these keys, ws [N, num_ws, w_dim]. Raises BadValue if one is gone."""
    rows = [service.uploads.get(session.id, key, OtherFace).content.latent.ws for key in keys]
    return torch.stack(rows) if rows else torch.zeros(0, service.g.num_ws, service.g.w_dim)
