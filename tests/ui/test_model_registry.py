"""The catalogue: models are read once, beside the page; the ones used longest ago make room."""

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
from latent_editor.ui.service.model_listing import Entry
from latent_editor.ui.service.model_registry import UPLOAD_LIFETIME_S, Catalogue


def tiny(name: str, channels: int = 8) -> Generator:
    torch.manual_seed(len(name))
    config = StyleGAN2Config(
        z_dim=8, w_dim=8, img_resolution=8, channel_base=channels * 8, channel_max=channels, mapping_layers=1
    )
    g = StyleGAN2(config).eval().requires_grad_(False)
    g.bundle = Bundle(name, about={"title": name.title(), "licence": "CC0"})
    return g


class Shelf:
    """A loader of tiny models by name that remembers what was read; "broken" cannot be read."""

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


def listed() -> list[Entry]:
    return [Entry(name, name.title(), path=name) for name in ("cats", "dogs", "cars", "broken")]


@pytest.fixture(autouse=True)
def nothing_to_prepare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "prepared", lambda g: True)
    monkeypatch.setattr("latent_editor.ui.service.model_service.prepared", lambda g: True)
    monkeypatch.setattr(background, "named_directions", lambda g, **_: Directions())


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def make(shelf: Shelf) -> Callable[..., Catalogue]:
    def make(**options: object) -> Catalogue:
        return Catalogue(service_of(tiny("portraits")), load=shelf, listed=listed, **options)  # type: ignore[arg-type]

    return make


def test_it_lists_without_reading(make: Callable[..., Catalogue], shelf: Shelf) -> None:
    entries = make().entries()
    assert [e.key for e in entries] == ["portraits", "cats", "dogs", "cars", "broken"]
    assert (entries[0].title, entries[0].licence, entries[0].size_px) == ("Portraits", "CC0", 8)
    assert shelf.read == []


def test_a_model_is_read_once_in_the_background(make: Callable[..., Catalogue], shelf: Shelf) -> None:
    catalogue = make()
    shelf.gate.clear()
    first, second = catalogue.start("cats", "a"), catalogue.start("cats", "b")
    assert not first.done()
    shelf.gate.set()
    assert first.result(20) is second.result(20) is catalogue.start("cats", "c").result(20)
    assert first.result().g.name == "cats"
    assert first.result().store is catalogue.store
    assert shelf.read == ["cats"]


def test_a_session_gets_the_studio_of_its_model(make: Callable[..., Catalogue]) -> None:
    catalogue = make()
    session = catalogue.store.create()
    assert catalogue.studio_of(session) is catalogue.default_studio
    assert catalogue.studio_of(session.switched("dogs")).g.name == "dogs"


def test_the_one_used_longest_ago_makes_room_and_is_read_again(make: Callable[..., Catalogue], shelf: Shelf) -> None:
    catalogue = make(most_loaded=3)
    for name in ("cats", "dogs", "cats", "cars", "cats", "dogs"):
        catalogue.start(name, "a").result(20)
    assert shelf.read == ["cats", "dogs", "cars", "dogs"]
    assert catalogue.default_studio.g.name == "portraits"  # never dropped


def test_large_models_make_room_by_their_size(make: Callable[..., Catalogue], shelf: Shelf) -> None:
    one = service_of(tiny("cats")).parameters
    catalogue = make(most_parameters=int(2.5 * one))
    for name in ("cats", "dogs", "dogs", "cats"):
        assert catalogue.start(name, "a").result(20).g.name == name
    assert shelf.read == ["cats", "dogs", "cats"]


def test_what_cannot_be_read_says_why_and_is_tried_again(make: Callable[..., Catalogue], shelf: Shelf) -> None:
    catalogue = make()
    for _ in range(2):
        with pytest.raises(BadModel, match="Get it again"):
            catalogue.start("broken", "a").result(20)
        with pytest.raises(BadModel):
            catalogue.start("broken", "a").result(20)  # told once more to whoever asks next
    assert shelf.read == ["broken", "broken"]


def test_only_what_is_listed_can_be_read(make: Callable[..., Catalogue], shelf: Shelf) -> None:
    for key in ("", "../cats", "/etc/passwd", "own-guess", "CATS"):
        with pytest.raises(UnknownModel, match="Choose another"):
            make().start(key, "a")
    assert shelf.read == []
    alone = Catalogue(service_of(tiny("portraits")))
    with pytest.raises(UnknownModel):
        alone.start("cats", "a")


class TestUploads:
    @pytest.fixture
    def upload(self, tmp_path: Path) -> Path:
        folder = tmp_path / "upload"
        folder.mkdir()
        (folder / "mine.pkl").write_bytes(b"a model")
        return folder

    def test_one_is_its_owners_only_and_its_file_is_deleted(self, make: Callable[..., Catalogue], upload: Path) -> None:
        catalogue = make(max_upload_mb=1)
        mine, yours = catalogue.store.create(), catalogue.store.create()
        key = catalogue.take(upload, upload / "mine.pkl", mine.id)
        assert catalogue.start(key, mine.id).result(20).g.name == "mine"
        assert not upload.exists()
        assert key in [e.key for e in catalogue.entries(mine.id)]
        assert catalogue.entries(mine.id)[-1].source == "own"
        assert key not in [e.key for e in catalogue.entries(yours.id)]
        with pytest.raises(UnknownModel):
            catalogue.start(key, yours.id)
        assert len(key) > 20

    def test_a_bad_one_is_told_and_deleted(self, make: Callable[..., Catalogue], upload: Path) -> None:
        catalogue = make(max_upload_mb=1)
        session = catalogue.store.create()
        file = (upload / "mine.pkl").rename(upload / "broken.pkl")
        key = catalogue.take(upload, file, session.id)
        with pytest.raises(BadModel):
            catalogue.start(key, session.id).result(20)
        assert not upload.exists()
        assert key not in [e.key for e in catalogue.entries(session.id)]

    def test_one_is_forgotten_when_nobody_uses_it(self, make: Callable[..., Catalogue], upload: Path) -> None:
        now = [0.0]
        catalogue = make(max_upload_mb=1, clock=lambda: now[0])
        session = catalogue.store.create()
        key = catalogue.take(upload, upload / "mine.pkl", session.id)
        catalogue.start(key, session.id).result(20)
        now[0] = UPLOAD_LIFETIME_S - 1
        catalogue.start(key, session.id)
        now[0] = 2 * UPLOAD_LIFETIME_S - 2
        assert key in [e.key for e in catalogue.entries(session.id)]
        now[0] = 2 * UPLOAD_LIFETIME_S
        with pytest.raises(UnknownModel, match="bring the file again"):
            catalogue.studio_of(session.switched(key))

    def test_one_goes_with_the_session_that_brought_it(self, make: Callable[..., Catalogue], upload: Path) -> None:
        catalogue = make(max_upload_mb=1)
        session = catalogue.store.create()
        key = catalogue.take(upload, upload / "mine.pkl", session.id)
        studio = catalogue.start(key, session.id).result(20)
        catalogue.store.drop(session.id)
        with pytest.raises(UnknownModel):
            catalogue.start(key, session.id)
        assert studio.progress.stopping  # what was being prepared for it ends too

    def test_only_a_few_arrive_at_a_time(self, make: Callable[..., Catalogue]) -> None:
        catalogue = make(max_upload_mb=1)
        with catalogue.receiving(), catalogue.receiving(), pytest.raises(BadInput, match="Wait"), catalogue.receiving():
            pass
        with catalogue.receiving():
            pass

    def test_they_can_be_forbidden(self, make: Callable[..., Catalogue], upload: Path) -> None:
        with pytest.raises(BadInput, match="takes no model files"):
            make().take(upload, upload / "mine.pkl", "a")


class TestPreparation:
    def test_it_reports_and_can_be_stopped(self, monkeypatch: pytest.MonkeyPatch) -> None:
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

    def test_what_is_prepared_is_not_prepared_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def prepare(g: Generator, *, on_step: object) -> None:
            raise AssertionError

        monkeypatch.setattr(background, "prepare", prepare)
        progress = Progress()
        prepare_directions(tiny("cats"), progress, threading.Lock())
        assert progress.step is None
