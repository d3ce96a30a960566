"""The registry loads models once, in the background, and unloads the least recently used ones."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.web import service_of

from latent_editor.core.errors import BadInput, BadModel, Stopped, UnknownModel
from latent_editor.core.values import Directions, Step
from latent_editor.generators import Generator
from latent_editor.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from latent_editor.models.bundle import Bundle
from latent_editor.ui.service import background
from latent_editor.ui.service.background import Progress, prepare_directions
from latent_editor.ui.service.model_listing import ModelEntry
from latent_editor.ui.service.model_registry import UPLOAD_LIFETIME_S, ModelRegistry


def tiny(name: str, channels: int = 8) -> Generator:
    torch.manual_seed(len(name))
    config = StyleGAN2Config(
        z_dim=8, w_dim=8, img_resolution=8, channel_base=channels * 8, channel_max=channels, mapping_layers=1
    )
    g = StyleGAN2(config).eval().requires_grad_(False)
    g.bundle = Bundle(name, about={"title": name.title(), "licence": "CC0"})
    return g


class FakeLoader:
    """Loads tiny models by name and records their names; "broken" cannot be loaded."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, model: str | Path) -> Generator:
        self.gate.wait(20)
        name = Path(model).stem
        self.read.append(name)
        if name == "broken":
            raise BadModel("broken is broken. Get it again.")
        return tiny(name)


def listed() -> list[ModelEntry]:
    return [ModelEntry(name, name.title(), path=name) for name in ("cats", "dogs", "cars", "broken")]


@pytest.fixture(autouse=True)
def nothing_to_prepare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "prepared", lambda g: True)
    monkeypatch.setattr("latent_editor.ui.service.model_service.prepared", lambda g: True)
    monkeypatch.setattr(background, "named_directions", lambda g, **_: Directions())


@pytest.fixture
def loader() -> FakeLoader:
    return FakeLoader()


@pytest.fixture
def make(loader: FakeLoader) -> Callable[..., ModelRegistry]:
    def make(**options: object) -> ModelRegistry:
        return ModelRegistry(service_of(tiny("portraits")), load=loader, listed=listed, **options)  # type: ignore[arg-type]

    return make


def test_models_are_listed_without_loading_them(make: Callable[..., ModelRegistry], loader: FakeLoader) -> None:
    entries = make().entries()
    assert [e.key for e in entries] == ["portraits", "cats", "dogs", "cars", "broken"]
    assert (entries[0].title, entries[0].license, entries[0].size_px) == ("Portraits", "CC0", 8)
    assert loader.read == []


def test_a_model_is_loaded_once_in_the_background(make: Callable[..., ModelRegistry], loader: FakeLoader) -> None:
    registry = make()
    loader.gate.clear()
    first, second = registry.start("cats", "a"), registry.start("cats", "b")
    assert not first.done()
    loader.gate.set()
    assert first.result(20) is second.result(20) is registry.start("cats", "c").result(20)
    assert first.result().g.name == "cats"
    assert first.result().store is registry.store
    assert loader.read == ["cats"]


def test_a_session_gets_the_service_of_its_model(make: Callable[..., ModelRegistry]) -> None:
    registry = make()
    session = registry.store.create()
    assert registry.service_of(session) is registry.default_service
    assert registry.service_of(session.switched("dogs")).g.name == "dogs"


def test_the_least_recently_used_model_is_unloaded_and_loaded_again(
    make: Callable[..., ModelRegistry], loader: FakeLoader
) -> None:
    registry = make(max_loaded=3)
    for name in ("cats", "dogs", "cats", "cars", "cats", "dogs"):
        registry.start(name, "a").result(20)
    assert loader.read == ["cats", "dogs", "cars", "dogs"]
    assert registry.default_service.g.name == "portraits"  # never unloaded


def test_models_are_unloaded_by_their_size(make: Callable[..., ModelRegistry], loader: FakeLoader) -> None:
    one = service_of(tiny("cats")).parameters
    registry = make(max_parameters=int(2.5 * one))
    for name in ("cats", "dogs", "dogs", "cats"):
        assert registry.start(name, "a").result(20).g.name == name
    assert loader.read == ["cats", "dogs", "cats"]


def test_a_model_that_fails_to_load_says_why_and_is_tried_again(
    make: Callable[..., ModelRegistry], loader: FakeLoader
) -> None:
    registry = make()
    for _ in range(2):
        with pytest.raises(BadModel, match="Get it again"):
            registry.start("broken", "a").result(20)
        with pytest.raises(BadModel):
            registry.start("broken", "a").result(20)  # reported once more to the next caller
    assert loader.read == ["broken", "broken"]


def test_only_listed_models_can_be_loaded(make: Callable[..., ModelRegistry], loader: FakeLoader) -> None:
    for key in ("", "../cats", "/etc/passwd", "own-guess", "CATS"):
        with pytest.raises(UnknownModel, match="Choose another"):
            make().start(key, "a")
    assert loader.read == []
    alone = ModelRegistry(service_of(tiny("portraits")))
    with pytest.raises(UnknownModel):
        alone.start("cats", "a")


class TestUploads:
    @pytest.fixture
    def upload(self, tmp_path: Path) -> Path:
        folder = tmp_path / "upload"
        folder.mkdir()
        (folder / "mine.pkl").write_bytes(b"a model")
        return folder

    def test_only_its_owner_can_use_it_and_its_file_is_deleted(
        self, make: Callable[..., ModelRegistry], upload: Path
    ) -> None:
        registry = make(max_upload_mb=1)
        mine, yours = registry.store.create(), registry.store.create()
        key = registry.add_upload(upload, upload / "mine.pkl", mine.id)
        assert registry.start(key, mine.id).result(20).g.name == "mine"
        assert not upload.exists()
        assert key in [e.key for e in registry.entries(mine.id)]
        assert registry.entries(mine.id)[-1].source == "own"
        assert key not in [e.key for e in registry.entries(yours.id)]
        with pytest.raises(UnknownModel):
            registry.start(key, yours.id)
        assert len(key) > 20

    def test_a_bad_file_is_reported_and_deleted(self, make: Callable[..., ModelRegistry], upload: Path) -> None:
        registry = make(max_upload_mb=1)
        session = registry.store.create()
        file = (upload / "mine.pkl").rename(upload / "broken.pkl")
        key = registry.add_upload(upload, file, session.id)
        with pytest.raises(BadModel):
            registry.start(key, session.id).result(20)
        assert not upload.exists()
        assert key not in [e.key for e in registry.entries(session.id)]

    def test_an_unused_upload_expires(self, make: Callable[..., ModelRegistry], upload: Path) -> None:
        now = [0.0]
        registry = make(max_upload_mb=1, clock=lambda: now[0])
        session = registry.store.create()
        key = registry.add_upload(upload, upload / "mine.pkl", session.id)
        registry.start(key, session.id).result(20)
        now[0] = UPLOAD_LIFETIME_S - 1
        registry.start(key, session.id)
        now[0] = 2 * UPLOAD_LIFETIME_S - 2
        assert key in [e.key for e in registry.entries(session.id)]
        now[0] = 2 * UPLOAD_LIFETIME_S
        with pytest.raises(UnknownModel, match="upload the file again"):
            registry.service_of(session.switched(key))

    def test_an_upload_ends_with_its_session(self, make: Callable[..., ModelRegistry], upload: Path) -> None:
        registry = make(max_upload_mb=1)
        session = registry.store.create()
        key = registry.add_upload(upload, upload / "mine.pkl", session.id)
        service = registry.start(key, session.id).result(20)
        registry.store.drop(session.id)
        with pytest.raises(UnknownModel):
            registry.start(key, session.id)
        assert service.progress.stopping  # its preparation ends too

    def test_concurrent_uploads_are_limited(self, make: Callable[..., ModelRegistry]) -> None:
        registry = make(max_upload_mb=1)
        with (
            registry.uploading(),
            registry.uploading(),
            pytest.raises(BadInput, match="Try again"),
            registry.uploading(),
        ):
            pass
        with registry.uploading():
            pass

    def test_they_can_be_disabled(self, make: Callable[..., ModelRegistry], upload: Path) -> None:
        with pytest.raises(BadInput, match="does not accept model files"):
            make().add_upload(upload, upload / "mine.pkl", "a")


class TestPreparation:
    def test_it_reports_progress_and_can_be_stopped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        progress = Progress()
        seen: list[bool] = []

        def prepare(g: Generator, *, on_step: Callable[[Step], bool]) -> None:
            for i in range(3):
                seen.append(on_step(Step(i, 3, i, i / 3)))
                assert progress.running
                assert progress.step is not None
                progress.stop()

        monkeypatch.setattr(background, "prepared", lambda g: False)

        def named_directions(g: Generator, *, on_step: Callable[[Step], bool]) -> Directions:
            raise Stopped

        monkeypatch.setattr(background, "prepare", prepare)
        monkeypatch.setattr(background, "named_directions", named_directions)
        assert prepare_directions(tiny("cats"), progress, threading.Lock()) == ()
        assert seen == [False, True, True]
        assert not progress.running

    def test_a_prepared_model_is_not_prepared_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def prepare(g: Generator, *, on_step: object) -> None:
            raise AssertionError

        monkeypatch.setattr(background, "prepare", prepare)
        progress = Progress()
        prepare_directions(tiny("cats"), progress, threading.Lock())
        assert progress.step is None
