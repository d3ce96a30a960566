"""New sliders, mixed faces, slider packs and videos: their routes and events, with a tiny model."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from support.media_files import psnr, read_pictures
from support.web import change, png

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Direction, Latent, Step
from latent_editor.editing.style_mixing import mix
from latent_editor.sessions.session import Session
from latent_editor.sessions.slider import Slider
from latent_editor.ui.api import example_routes
from latent_editor.ui.jobs import fit_direction
from latent_editor.ui.jobs.fit_direction import disentangle_event, fit_event
from latent_editor.ui.jobs.video import video_event
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.other_faces import OtherFace
from latent_editor.ui.service.pictures import full_picture
from latent_editor.ui.service.upload_store import UploadStore

PACK = {"Content-Type": "application/octet-stream", "X-File-Name": "mine.sliders"}


def key_of(path: str) -> str:
    return path.rsplit("/", 1)[1]


def picture(client: TestClient, path: str) -> np.ndarray:
    data = client.get(f"{path}/save/picture.png").content
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def test_a_pack_restores_sliders_with_their_measurements(client: TestClient, path: str, service: ModelService) -> None:
    session = service.store.get(key_of(path))
    measured = Direction(
        "mine", torch.randn(service.g.num_ws, service.g.w_dim), -1.5, 2.0, entanglement={"own": 3.0, "hair": 1.0}
    )
    service.store.update(session.id, lambda s: s.slider_replaced("d0", Slider.from_direction("x1", measured), "test"))
    pack = client.get(f"{path}/save/pack.sliders?key=x1")
    assert pack.headers["content-disposition"].endswith("mine.sliders")
    client.post(f"{path}/random?seed=2")
    state = client.post(f"{path}/pack", content=pack.content, headers=PACK).json()
    opened = state["sliders"][0]
    assert (opened["name"], opened["strength"], opened["low"], opened["high"]) == ("mine", 0.0, -1.5, 2.0)
    assert opened["leakage"] == {"own": 3.0, "hair": 1.0}
    assert state["history"][-1]["label"] == "open mine"
    many = client.get(f"{path}/save/pack.sliders").content
    again = client.post(f"{path}/pack", content=many, headers=PACK).json()
    assert len(again["sliders"]) == 2 * len(state["sliders"])
    before = client.get(path).json()
    assert client.post(f"{path}/pack", content=b"<html>", headers=PACK).json()["error"]["kind"] == "BadDirection"
    assert client.get(path).json() == before


def test_pinned_sliders_stay_for_the_next_face(client: TestClient, path: str) -> None:
    change(client, path, "add", key="d4")
    change(client, path, "move", key="d4", value=2.0)
    assert change(client, path, "pin", key="d4", value=True)["sliders"][0]["pinned"]
    state = client.post(f"{path}/random?seed=5").json()
    assert [(s["key"], s["strength"], s["pinned"]) for s in state["sliders"][:2]] == [("d4", 0, True), ("d0", 0, False)]
    change(client, path, "pin", key="d4", value=False)
    assert "d4" not in [s["key"] for s in client.post(f"{path}/random?seed=6").json()["sliders"]]


def test_the_state_contains_the_scale_of_the_edits(client: TestClient, path: str) -> None:
    assert change(client, path, "move", key="d0", value=1.0)["kept"] == 1
    assert change(client, path, "move", key="d0", value=9.0)["kept"] == pytest.approx(2 / 3, abs=1e-3)


def test_another_face_is_mixed_in_by_layers_as_one_slider(client: TestClient, path: str, service: ModelService) -> None:
    seed = service.example_seeds[1]  # the visitor's face has the first seed
    state = client.post(f"{path}/mix", json={"seed": seed, "layers": "coarse", "amount": 1.0}).json()
    assert (state["sliders"][0]["layers"], state["sliders"][0]["strength"], state["sliders"][0]["limit"]) == (
        "coarse",
        1.0,
        1,
    )
    assert len(state["history"]) == 2
    now = service.store.get(key_of(path))
    wanted = mix(service.g, service.latent(now), service.random(seed), "coarse")
    mixed = picture(client, path)
    there = np.array(full_picture(service, Session("").started_with(wanted), ()).convert("RGB"))
    assert np.abs(mixed.astype(int) - there).mean() < 0.5
    change(client, path, "undo")
    assert not np.array_equal(picture(client, path), mixed)
    assert client.post(f"{path}/mix", json={"key": "gone"}).status_code == 422
    assert client.post(f"{path}/mix", json={"seed": 1, "layers": "hair"}).status_code == 422


def test_examples_are_photos_or_saved_latents(
    client: TestClient,
    path: str,
    service: ModelService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(example_routes, "invert", lambda g, crop, method: service.random(7))
    monkeypatch.setitem(service.g.bundle.about, "faces", False)
    answer = client.post(f"{path}/example", content=png(), headers={"X-File-Name": "a.png"}).json()
    assert answer["image"].startswith("data:image/jpeg")
    assert client.post(f"{path}/mix", json={"key": answer["key"]}).json()["sliders"][0]["name"] == "mix a"
    saved = client.get(f"{path}/save/face.latent").content
    assert client.post(f"{path}/example", content=saved, headers={"X-File-Name": "b.latent"}).json()["key"]
    elsewhere = f"/editor/s/{client.post('/editor/sessions').json()['id']}"
    client.post(f"{elsewhere}/random?seed=1")
    assert client.post(f"{elsewhere}/mix", json={"key": answer["key"]}).status_code == 422  # another visitor's
    assert client.post(f"{path}/example", content=b"no", headers={"X-File-Name": "c.png"}).status_code == 422


def test_two_sets_of_examples_become_a_slider(
    client: TestClient,
    path: str,
    service: ModelService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Direction("freckles", torch.ones(service.g.num_ws, service.g.w_dim), source="boundary")

    def fit(g, more, less, *, name, on_step):  # type: ignore[no-untyped-def]
        on_step(Step(1, 2, 0.1, 0.5, label="Drawing"))
        assert (len(more), len(less), name) == (3, 3, "freckles")
        return found

    monkeypatch.setattr(fit_direction, "fit_direction_from_examples", fit)
    keys = [service.uploads.put(key_of(path), "x", OtherFace(service.random(i)), 1) for i in range(6)]
    *progress, last = fit_event(service)(key_of(path), {"more": keys[:3], "less": keys[3:], "name": "freckles"})
    assert progress[0]["fraction"] is None
    assert (last["session"]["sliders"][0]["name"], last["session"]["sliders"][0]["strength"]) == ("freckles", 1.0)
    for bad in (
        {"more": keys, "less": "a word"},
        {"less": "x"},
        {"more": "x", "colour": 1},
        {"more": ["gone"] * 3, "less": keys},
    ):
        *_, error = fit_event(service)(key_of(path), bad)
        assert error["error"]["kind"] == "BadValue"


def test_a_disentangled_slider_replaces_the_original(
    path: str,
    service: ModelService,
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def clean(g, direction, *, on_step):  # type: ignore[no-untyped-def]
        assert direction.name == "smile"
        return Direction("smile", direction.vector / 2, source="boundary")

    monkeypatch.setattr(fit_direction, "disentangle_direction", clean)
    change(client, path, "move", key="d1", value=1.5)
    for count in (1, 2):  # what is clean can be cleaned again
        key = client.get(path).json()["sliders"][1]["key"]
        *_, last = disentangle_event(service)(key_of(path), key)
        slider = last["session"]["sliders"][1]
        assert (slider["name"], slider["strength"]) == ("smile, isolated", 1.5)
        assert len(last["session"]["history"]) == 2 + count
    assert [s["key"] for s in change(client, path, "goto", value=1)["sliders"]][1] == "d1"


def test_a_cancelled_job_adds_no_slider(path: str, service: ModelService, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(g, more, less, *, name, on_step):  # type: ignore[no-untyped-def]
        on_step(Step(1, 2, 0.1, 0.5))
        return Direction("never", torch.ones(g.num_ws, g.w_dim))

    monkeypatch.setattr(fit_direction, "fit_direction", fit)
    answers = fit_event(service)(key_of(path), {"more": "a"})
    next(answers)
    before = service.store.update(key_of(path), Session.run_started)  # as /cancel does
    *_, last = answers
    assert last["error"]["kind"] == "Superseded"
    assert service.store.get(key_of(path)).history == before.history


@pytest.mark.parametrize("kind", ["mp4", "webm", "gif"])
def test_a_video_goes_to_the_edited_face_and_back(
    kind: str, client: TestClient, path: str, service: ModelService, tmp_path: Path
) -> None:
    plain = picture(client, path)
    change(client, path, "move", key="d0", value=2.0)
    *progress, last = video_event(service)(key_of(path), {"kind": kind, "seconds": 1})
    assert progress[0]["fraction"] is None
    assert all(0 <= p["fraction"] <= 1 for p in progress[1:])
    answer = client.get(f"{path}/save/film/{last['film']}")
    assert answer.headers["content-disposition"].endswith(f"loop.{kind}")
    (tmp_path / f"a.{kind}").write_bytes(answer.content)
    seen = read_pictures(tmp_path / f"a.{kind}")
    assert len(seen) == 25
    assert psnr(seen[0], plain) > 25
    assert psnr(seen[12], picture(client, path)) > 22
    assert psnr(seen[12], plain) < psnr(seen[12], picture(client, path))


def test_key_frames_are_history_entries(client: TestClient, path: str, service: ModelService, tmp_path: Path) -> None:
    first = change(client, path, "move", key="d0", value=2.0)["history"][-1]["id"]
    shown = picture(client, path)
    second = change(client, path, "move", key="d1", value=-2.0)["history"][-1]["id"]
    video = {"kind": "gif", "seconds": 1, "keys": [first, second], "loop": False, "ease": "linear"}
    *_, last = video_event(service)(key_of(path), video)
    (tmp_path / "a.gif").write_bytes(client.get(f"{path}/save/film/{last['film']}").content)
    seen = read_pictures(tmp_path / "a.gif")
    assert psnr(seen[0], shown) > 22
    assert psnr(seen[-1], picture(client, path)) > 22
    *_, error = video_event(service)(key_of(path), {"keys": [9999]})
    assert error["error"]["kind"] == "BadValue"


def test_a_slider_follows_the_sound(client: TestClient, path: str, service: ModelService, tmp_path: Path) -> None:
    out = io.BytesIO()
    with wave.open(out, "wb") as track:
        track.setnchannels(1)
        track.setsampwidth(2)
        track.setframerate(16000)
        loud = np.sin(np.arange(16000) / 8) * 20000 * (np.arange(16000) > 8000)  # half a second of silence
        track.writeframes(loud.astype("<i2").tobytes())
    brought = client.post(f"{path}/footage", content=out.getvalue(), headers={"X-File-Name": "beat.wav"}).json()
    assert brought["sound_s"] == pytest.approx(1.0, abs=0.05)
    video = {"seconds": 1, "loop": False, "sound": brought["key"], "follow": "d0", "low": 0, "high": 2}
    *_, last = video_event(service)(key_of(path), video)
    (tmp_path / "a.mp4").write_bytes(client.get(f"{path}/save/film/{last['film']}").content)
    seen = read_pictures(tmp_path / "a.mp4")
    assert psnr(seen[2], picture(client, path)) > psnr(seen[-2], picture(client, path))
    assert client.post(f"{path}/footage", content=b"noise", headers={"X-File-Name": "a.mp3"}).status_code == 422


def test_a_video_without_changes_is_refused(path: str, service: ModelService) -> None:
    *_, last = video_event(service)(key_of(path), {})
    assert "Move a slider first" in last["error"]["todo"]
    for bad in ({"seconds": 7200}, {"kind": "avi"}, {"sound": "gone"}, {"ease": "bouncy", "keys": [None, None]}):
        *_, last = video_event(service)(key_of(path), bad)
        assert last["error"]["kind"] == "BadValue"


def test_the_upload_store_drops_the_oldest_items() -> None:
    uploads = UploadStore(max_bytes=10, max_items=3)
    keys = [uploads.put("me", str(i), b"x", 4) for i in range(3)]
    with pytest.raises(BadValue, match="Choose it again"):
        uploads.get("me", keys[0], bytes)
    assert uploads.get("me", keys[2], bytes).name == "2"
    with pytest.raises(BadValue):
        uploads.get("you", keys[2], bytes)
    with pytest.raises(BadValue):
        uploads.get("me", keys[2], Latent)
