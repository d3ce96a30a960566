"""The routes for other faces than the visitor's own: examples of something, and faces to mix in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, FiniteFloat
from starlette.concurrency import run_in_threadpool

from latent_editor.core.values import Crop, Edit, Latent
from latent_editor.editing.style_mixing import mix_direction
from latent_editor.inversion import invert
from latent_editor.media.exports import jpeg_bytes, latent_from_bytes
from latent_editor.sessions.session import Session, Slider
from latent_editor.ui.api.requests import SessionOf, StudioOf, data_address, read_upload
from latent_editor.ui.api.views import session_view
from latent_editor.ui.service.model_service import ModelService

router = APIRouter(prefix="/editor")

#: Side of the small picture that shows what was taken.
SHOWN_PX = 96


class Mixture(BaseModel, extra="forbid"):
    """What to mix in: the key of a face that was brought, or the seed of an example; which layers, and how much."""

    key: str = ""
    seed: int | None = None
    layers: Literal["all", "coarse", "middle", "fine"] = "all"
    amount: FiniteFloat = Field(default=0.5, ge=-1, le=1)


@router.post("/s/{session_id}/example")
async def take_example(session: SessionOf, request: Request, service: StudioOf) -> dict[str, Any]:
    """Takes a photo or a saved latent as an example: its face is found and encoded; no more than its crop is kept."""
    data, name = await read_upload(request)
    return await run_in_threadpool(_take_example, service, session, data, name)


@dataclass(frozen=True, eq=False)
class Example:
    """Another face: its latent, and the crop of the photo that it was made of, where there is one."""

    latent: Latent
    crop: Crop | None = None


def _take_example(service: ModelService, session: Session, data: bytes, name: str) -> dict[str, Any]:
    crop = None
    if name.endswith((".latent", ".safetensors")):
        latent = latent_from_bytes(data, name)
        service.g.check(latent)
        image = service.frame(Session("").begun(latent), (), size_px=SHOWN_PX)
    else:
        crop = service.crops(service.open(data, name))[0]
        latent = service.on_gpu(lambda: invert(service.g, crop, method="encoder"))()
        image = jpeg_bytes(crop.image.resize((SHOWN_PX, SHOWN_PX)))
        latent = replace(latent, refinement=None)  # the crop tells more
    size = latent.ws.nbytes + (crop.image.width * crop.image.height * 3 if crop else 0)
    if latent.refinement is not None:
        size += latent.refinement.nbytes
    key = service.uploads.put(session.id, name, Example(latent, crop), size)
    return {"key": key, "image": data_address(image)}


def example_set(service: ModelService, session: Session, keys: list[str]) -> torch.Tensor:
    """The examples of these keys, ws [N, num_ws, w_dim]. Raises BadValue where one is gone."""
    rows = [service.uploads.get(session.id, key, Example).content.latent.ws for key in keys]
    return torch.stack(rows) if rows else torch.zeros(0, service.g.num_ws, service.g.w_dim)


@router.post("/s/{session_id}/mix")
def mix_in(session: SessionOf, mixture: Mixture, service: StudioOf) -> dict[str, Any]:
    """Mixes another face in, as a slider: its layers can be changed later, and how much of them."""
    base = service.latent(session)
    other, name = other_face(service, session, mixture.key, mixture.seed)
    called = f"mix {'another face' if name is None else name}"[:60]
    direction = mix_direction(service.g, base, other.latent, "all", name=called)
    edit = Edit(direction, mixture.amount, service.layer_range(mixture.layers))

    return session_view(added_to(service, session, base, lambda n: Slider(f"m{n}", edit, mixture.layers)))


def other_face(service: ModelService, session: Session, key: str, seed: int | None) -> tuple[Example, str | None]:
    """The face of an example's key, with the name of its file, or the nameless one of a seed. Raises BadValue."""
    if seed is not None:
        return Example(service.random(seed)), None
    item = service.uploads.get(session.id, key, Example)
    return item.content, item.name.rsplit(".", 1)[0]


def added_to(service: ModelService, session: Session, face: Latent, slider: Callable[[int], Slider]) -> Session:
    """The session with a slider that was made for ``face``, from its number; nothing changes where another is there."""
    return service.store.update_same(session, lambda now: now.added(slider(now.next_id)) if now.latent is face else now)
