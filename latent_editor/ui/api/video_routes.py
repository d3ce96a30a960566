"""Routes for the files of videos: audio and clips to upload, finished videos to download."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from latent_editor.core.errors import BadMedia
from latent_editor.media.decode import read_clip, read_track
from latent_editor.media.exports import file_name
from latent_editor.sessions.session import Session
from latent_editor.ui.api.requests import ServiceOf, SessionOf, WorkersOf, download, read_upload
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.upload_store import MediaFile

router = APIRouter(prefix="/editor")

VIDEO_TYPES = {"mp4": "video/mp4", "webm": "video/webm", "gif": "image/gif"}
#: Longest video, in seconds.
MAX_SECONDS = 60
_CHECK_RATE_HZ, _CHECK_FPS = 8000, 25.0


@router.post("/s/{session_id}/footage")
async def upload_media(session: SessionOf, request: Request, service: ServiceOf, workers: WorkersOf) -> dict[str, Any]:
    """Stores an audio or video file; the answer says how long its sound is, 0 for none."""
    data, name = await read_upload(request)
    return await workers.compute(lambda: _store_media(service, session, data, name))


def _store_media(service: ModelService, session: Session, data: bytes, name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file_name(name, "")
        path.write_bytes(data)
        try:
            sound_s = read_track(path, seconds=MAX_SECONDS, rate_hz=_CHECK_RATE_HZ).seconds
        except BadMedia:
            sound_s = 0.0
            read_clip(path, fps=_CHECK_FPS, seconds=1 / _CHECK_FPS)  # raises if it is neither
    return {"key": service.uploads.put(session.id, name, MediaFile(data), len(data)), "sound_s": round(sound_s, 2)}


@router.get("/s/{session_id}/save/film/{key}")
def download_video(session: SessionOf, service: ServiceOf, key: str) -> Response:
    """A finished video."""
    item = service.uploads.get(session.id, key, bytes)
    return download(item.content, item.name, VIDEO_TYPES[item.name.rsplit(".", 1)[1]])
