"""The routes of recipes and videos: what was done to a face, kept as a file, replayed on another, or in motion."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from latent_editor.errors import BadValue
from latent_editor.exports import file_name
from latent_editor.face_parts import found_again
from latent_editor.motion import Animation, Curve, Slide, animate
from latent_editor.recipes import Recipe
from latent_editor.sessions import LAYER_NAMES, SLIDER_LIMIT, Session, Slider
from latent_editor.types import Edit
from latent_editor.ui.requests import SessionOf, StudioOf, download, read_upload
from latent_editor.ui.studio import Studio
from latent_editor.ui.views import session_view

router = APIRouter(prefix="/editor")

#: Larger pictures than these are reduced for a video: a visitor waits for each of them.
VIDEO_PX = 512
VIDEO_KINDS = {"mp4": "video/mp4", "webm": "video/webm", "gif": "image/gif"}


@router.get("/s/{session_id}/save/edits.recipe")
def save_recipe(session: SessionOf, studio: StudioOf) -> Response:
    """The sliders that change something, to be opened again on another face."""
    recipe = Recipe.of(_edits(session), studio.g, position=session.position)
    return download(recipe.to_bytes(), file_name(_stem(session), ".recipe"), "application/json")


@router.post("/s/{session_id}/recipe")
async def load_recipe(session: SessionOf, request: Request, studio: StudioOf) -> dict[str, Any]:
    """Does what a recipe says, as one entry of the history; what was done before it goes back to zero."""
    data, name = await read_upload(request)
    return await run_in_threadpool(_load_recipe, studio, session, data, name)


def _load_recipe(studio: Studio, session: Session, data: bytes, name: str) -> dict[str, Any]:
    latent = studio.latent(session)
    recipe = Recipe.from_bytes(data, name)
    edits = studio.on_gpu(lambda: found_again(studio.g, latent, recipe.edits(studio.g)))()
    label = f"recipe {recipe.name or name.removesuffix('.recipe')}"[:60]
    position = recipe.position if studio.g.has_transform else session.position

    def replayed(now: Session) -> Session:
        return now.replayed(label, _sliders(studio, now, edits), position)

    return session_view(studio.store.update_same(session, replayed))


def _sliders(studio: Studio, session: Session, edits: list[Edit]) -> tuple[Slider, ...]:
    """A recipe's edits as sliders, and those of the panel that it does not name at zero after them."""
    groups = {studio.layer_range(name): name for name in reversed(LAYER_NAMES)}
    known = {d.name: f"d{i}" for i, d in enumerate(studio.directions)}
    sliders: list[Slider] = []
    for i, edit in enumerate(edits):
        key = known.pop(edit.direction.name, None) or f"r{session.next_id}x{i}"
        sliders.append(Slider(key, edit, groups.get(edit.layers, "own")))
    names = {edit.direction.name for edit in edits}
    rest = [s for s in session.sliders if s.edit.direction.name not in names]
    sliders += [replace(s, edit=replace(s.edit, strength=0.0)) for s in rest]
    return tuple(sliders[:SLIDER_LIMIT])


@router.get("/s/{session_id}/save/loop.{kind}")
def save_video(
    session: SessionOf,
    studio: StudioOf,
    kind: str,
    seconds: Annotated[float, Query(ge=1, le=20)] = 4.0,
) -> Response:
    """A loop from the unedited face to the edited one and back."""
    if kind not in VIDEO_KINDS:
        raise BadValue(f"{kind[:20]!r} is no kind of video. Expected one of: {', '.join(VIDEO_KINDS)}.")
    edits = [edit for edit in _edits(session) if not edit.muted]
    slides = tuple(Slide(e.direction, Curve((0.0, seconds / 2), (0.0, e.strength)), e.layers, e.region) for e in edits)
    size_px, transform = min(studio.g.size_px, VIDEO_PX), session.position.matrix()
    turn: threading.Lock = studio.g.bundle.part("video turn", threading.Lock)  # one video of a model at a time
    with turn, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"loop.{kind}"

        def work() -> None:
            loop = Animation(seconds, True, slides)
            animate(studio.g, studio.latent(session), loop, path, size_px=size_px, transform=transform)

        studio.on_gpu(work)()
        data = path.read_bytes()
    return download(data, file_name(_stem(session), f" loop.{kind}"), VIDEO_KINDS[kind])


def _edits(session: Session) -> list[Edit]:
    """The sliders that stand elsewhere than at zero. Raises BadValue where none does."""
    edits = [edit for edit in session.edits if edit.strength]
    if not edits:
        raise BadValue("Nothing is changed yet. Move a slider first.")
    return edits


def _stem(session: Session) -> str:
    return session.photo.name if session.photo else "face"
