"""The repair event: its requests, its errors, and the session afterwards."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from support.web import served, service_of, small_generator

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Crop, Photo
from latent_editor.restoration import repair as restoration
from latent_editor.ui.api.strokes import stroke_mask
from latent_editor.ui.jobs import repair
from latent_editor.ui.jobs.job import checked
from latent_editor.ui.jobs.reconstruct import reconstruct_event
from latent_editor.ui.jobs.repair import RepairRequest, repair_event
from latent_editor.ui.service.model_service import ModelService


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> ModelService:
    monkeypatch.setattr(repair, "SECONDS", 0.3)
    g = small_generator()
    g.bundle.about["faces"] = False
    return service_of(g)


def with_crop(service: ModelService, *, side: int = 32) -> str:
    """A session with a cropped grayscale photo."""
    session = service.store.create("")
    gray = np.tile(np.linspace(40, 200, 48, dtype=np.uint8)[None, :, None], (48, 1, 3))
    photo = Photo(Image.fromarray(gray))
    crop_to_photo = np.array([[side / 32, 0, 8.0], [0, side / 32, 8.0]])
    crop = Crop(photo.image.crop((8, 8, 8 + side, 8 + side)).resize((32, 32)), crop_to_photo)
    service.store.update(session.id, lambda s: s.opened(photo).cropped(crop))
    return session.id


def answers(service: ModelService, session_id: str, faults: Any) -> list[dict]:
    return list(repair_event(service)(session_id, faults))


def test_a_repair_gives_a_photo_to_be_reconstructed(service: ModelService) -> None:
    session_id = with_crop(service)
    before = service.store.get(session_id)
    received = answers(service, session_id, {"grey": True})
    assert received[0]["image"].startswith("data:image/jpeg")
    assert received[-1]["crop"].startswith("data:image/jpeg")
    after = service.store.get(session_id)
    assert before.pending is not None
    assert after.pending is not None
    assert after.pending.crop is not None
    assert after.damaged is before.pending
    assert float(np.ptp(np.asarray(after.pending.crop.image), axis=2).max()) > 0  # it has colors now
    old, new = (np.asarray(pending.photo.image, float) for pending in (before.pending, after.pending))
    assert np.array_equal(new[:3, :3], old[:3, :3])
    inside = (slice(16, 32),) * 2  # of the photo; the crop starts at 8
    repaired = np.asarray(after.pending.crop.image, float)[8:24, 8:24]
    assert np.abs(new[inside] - repaired).mean() < 0.2 * np.abs(old[inside] - repaired).mean()
    *_, end = reconstruct_event(service)(session_id, 0.2, "w+")
    assert end["session"]["ready"]
    again = answers(
        service, session_id, {"grey": True, "strokes": [{"radius": 0.1, "points": [[0.5, 0.5], [0.6, 0.5]]}]}
    )
    assert "crop" in again[-1]
    assert service.store.get(session_id).damaged is before.pending  # repaired from the original, not from the repair


def test_a_photo_with_too_few_pixels_is_enlarged(service: ModelService) -> None:
    session_id = with_crop(service, side=16)
    assert "crop" in answers(service, session_id, {"scale": 2})[-1]
    pending = service.store.get(session_id).pending
    assert pending is not None
    assert pending.crop is not None
    assert pending.photo.image.size == (96, 96)
    np.testing.assert_allclose(pending.crop.crop_to_photo, [[1, 0, 16], [0, 1, 16]])


def test_strokes_become_a_mask() -> None:
    request = checked(RepairRequest, {"strokes": [{"radius": 0.1, "points": [[0.25, 0.5], [0.75, 0.5]]}]})
    mask = stroke_mask(request.strokes, (100, 100))
    assert mask is not None
    values = np.asarray(mask)
    assert (values[45:55, 25:75] == 255).all()
    assert (values[:38] == 0).all()
    assert values[50, 16] == 255
    assert values[50, 12] == 0
    assert stroke_mask((), (8, 8)) is None


@pytest.mark.parametrize(
    "wrong",
    [
        None, [], "grey", {"scale": 1000}, {"scale": float("nan")}, {"scale": "much"}, {"magic": 1}, {}, {"jpeg": 0},
        {"grey": True, "dabs": [{"x": 2, "y": 0, "colour": "red"}]}, {"grey": True, "dabs": [{"x": 0, "y": 0}]},
        {"grey": True, "dabs": [{"x": 0, "y": 0, "colour": "url(x)"}]}, {"dabs": [{"x": 0, "y": 0, "colour": "red"}]},
        {"strokes": [{"radius": 9, "points": [[0, 0]]}]}, {"strokes": [{"radius": 0.1, "points": []}]},
        {"strokes": [{"radius": 0.1, "points": [[float("inf"), 0]]}]},
        {"strokes": [{"radius": 0.5, "points": [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0], [1, 1]]}]},
    ],
)  # fmt: skip
def test_malformed_requests_are_refused_and_change_nothing(service: ModelService, wrong: Any) -> None:
    session_id = with_crop(service)
    (answer,) = answers(service, session_id, wrong)
    assert answer["error"]["kind"] == "BadValue"
    pending = service.store.get(session_id).pending
    assert pending is not None
    assert pending.crop is not None


def test_color_hints_reach_the_repair(service: ModelService, monkeypatch: pytest.MonkeyPatch) -> None:
    session_id = with_crop(service)
    (*_, answer) = answers(service, session_id, {"grey": True, "dabs": [{"x": 0.5, "y": 0.1, "colour": "#102030"}]})
    assert answer["error"]["kind"] == "MissingPart"  # this model has no colorizer
    monkeypatch.setattr(restoration, "load_colorizer", lambda g: colorize)
    seen = []

    def colorize(picture: torch.Tensor, known: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        seen.append(known)
        return picture

    assert "crop" in answers(service, session_id, {"grey": True, "dabs": [{"x": 0.5, "y": 0.1, "colour": "blue"}]})[-1]
    assert [bool(known[..., 3, 16]) for known in seen] == [True]


def test_without_a_photo_there_is_nothing_to_repair(service: ModelService) -> None:
    session = service.store.create("")
    (answer,) = answers(service, session.id, {"grey": True})
    assert answer["error"]["kind"] == "BadValue"
    with pytest.raises(BadValue, match="no photo"):
        session.repair_source()


@pytest.fixture
def client(service: ModelService) -> Iterator[TestClient]:
    with served(service) as client:
        yield client


def test_the_original_crop_is_served_for_the_brush(client: TestClient, service: ModelService) -> None:
    answer = client.get(f"/editor/s/{with_crop(service)}/damaged.jpg")
    assert answer.status_code == 200
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (32, 32)
    assert client.get(f"/editor/s/{service.store.create('').id}/damaged.jpg").status_code == 422
