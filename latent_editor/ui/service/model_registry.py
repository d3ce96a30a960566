"""Which models the page offers, and which of them are in memory."""

from __future__ import annotations

import contextlib
import logging
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latent_editor.core.errors import BadInput, UnknownModel
from latent_editor.generators import Generator
from latent_editor.sessions.session import Session
from latent_editor.sessions.store import SessionStore
from latent_editor.ui.service.background import in_background
from latent_editor.ui.service.model_listing import Entry
from latent_editor.ui.service.model_service import ModelService, as_is

log = logging.getLogger(__name__)

#: How many models are kept in memory, and how many numbers they may have together (four bytes each).
MAX_LOADED = 4
MAX_PARAMETERS = 300_000_000
#: How long an uploaded model is kept after its last use.
UPLOAD_LIFETIME_S = 2 * 3600
#: How long a request waits for a model that has to be read again.
LOADING_S = 120.0
MAX_UPLOAD_MB = 2048
#: How many model files may be arriving at a time.
MAX_RECEIVED = 2

Load = Callable[[str | Path], Generator]


@dataclass(eq=False)
class _RegistryEntry:
    """A model in memory, or on its way there."""

    entry: Entry
    service: Future[ModelService]
    used_s: float
    owner: str = ""  # the session that uploaded it
    pinned: bool = False  # never dropped

    def ready(self) -> ModelService | None:
        """The service, if it is there."""
        good = self.service.done() and self.service.exception() is None
        return self.service.result() if good else None


class ModelRegistry:
    """The models of one server and the sessions of its visitors. Safe to use from threads.

    A model is read at its first use, in the background, one at a time. The ones used longest ago are dropped when there
    are too many or they are too large; they are read again when somebody needs them. Uploaded ones belong to the
    session that brought them, are dropped like the others, and then they are gone.

    Args:
        service: The model that the page starts with; never dropped.
        load: From a name or path to a generator; None offers ``service`` only.
        listed: Gives the models there are, each time somebody looks.
        store: The visitors' sessions.
        on_gpu: Wraps each heavy call.
        max_upload_mb: The largest model file that visitors may bring; 0 for none.
        most_loaded, most_parameters: How much is kept in memory.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        service: ModelService,
        *,
        load: Load | None = None,
        listed: Callable[[], Sequence[Entry]] = tuple,
        on_gpu: Callable[..., Any] = as_is,
        max_upload_mb: int = 0,
        most_loaded: int = MAX_LOADED,
        most_parameters: int = MAX_PARAMETERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store: SessionStore = service.store
        self._easel = service.frame_renderer
        self.max_upload_mb = max_upload_mb if load else 0
        self._load = load
        self._listed = listed
        self._on_gpu = on_gpu
        self._most_loaded = most_loaded
        self._most_parameters = most_parameters
        self._clock = clock
        self._lock = threading.Lock()
        self._reading = threading.Lock()  # two large models at a time could be too much for the memory
        self._preparing = threading.Lock()
        self._receiving = threading.BoundedSemaphore(MAX_RECEIVED)
        self.default = service.g.name
        done: Future[ModelService] = Future()
        done.set_result(service)
        first = _RegistryEntry(Entry.of(service.g, self.default), done, clock(), pinned=True)
        self._loaded: OrderedDict[str, _RegistryEntry] = OrderedDict({self.default: first})  # oldest use first

    @property
    def default_studio(self) -> ModelService:
        return self._loaded[self.default].service.result()

    def entries(self, session_id: str = "") -> list[Entry]:
        """What one visitor can choose from, the page's first model first."""
        with self._lock:
            self._drop_old()
            own = [x.entry for x in self._loaded.values() if x.owner and x.owner == session_id and x.ready()]
            first = self._loaded[self.default].entry
        return [first, *(e for e in self._listed() if e.key != self.default), *own]

    def key_of(self, session: Session) -> str:
        return session.model or self.default

    def service_of(self, session: Session) -> ModelService:
        """The service of the model that a session works with; reads it again where it was dropped.

        Raises:
            UnknownModel: it was an uploaded one, and is gone; or reading takes very long.
        """
        reading = self.start(self.key_of(session), session.id)
        wait([reading], LOADING_S)
        if not reading.done():
            raise UnknownModel("This model is still being read. Wait a little, then try again.")
        return reading.result()

    def start(self, key: str, session_id: str) -> Future[ModelService]:
        """Begins to read a model, unless it is there or under way.

        Returns:
            Its service, when it is there, or what went wrong; after an error the next call tries again.

        Raises:
            UnknownModel: it is not offered to this visitor.
        """
        with self._lock:
            self._drop_old()
            known = self._loaded.get(key)
            if known is not None and known.owner in ("", session_id):
                known.used_s = self._clock()
                self._loaded.move_to_end(key)
                if known.service.done() and known.service.exception() is not None:
                    del self._loaded[key]
                return known.service
        entry = next((e for e in self._listed() if e.key == key), None)
        if entry is None or entry.path is None or self._load is None:
            raise UnknownModel(
                "This model is not there any more: an uploaded one is kept for two hours after its last use, and makes "
                "room for others before. Choose another model, or bring the file again."
            )
        path = entry.path
        return self._begin(entry, lambda load: load(path))

    def take(self, folder: Path, file: Path, session_id: str) -> str:
        """Begins to read an uploaded model, for one visitor only.

        Args:
            folder: Holds nothing but the file; it is deleted as soon as the model is read.
            file: The model.
            session_id: Whose it is.

        Returns:
            The model's key.
        """

        def read(load: Load) -> Generator:
            try:
                return load(file)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

        self.check_uploads()
        key = f"own-{secrets.token_urlsafe(18)}"
        self._begin(Entry(key, file.stem, "own"), read, owner=session_id)
        return key

    def check_uploads(self) -> None:
        """Raises BadInput where visitors may not bring models."""
        if not self.max_upload_mb:
            raise BadInput(
                "This server takes no model files. Run the editor on your own computer to use a model of your own, or "
                "let its owner start it with --model-uploads."
            )

    @contextlib.contextmanager
    def receiving(self) -> Iterator[None]:
        """While a model file arrives, so that a few at a time take room on the disk. Raises BadInput."""
        if not self._receiving.acquire(blocking=False):
            raise BadInput(f"{MAX_RECEIVED} other model files are arriving. Wait until they are here, then try again.")
        try:
            yield
        finally:
            self._receiving.release()

    def _begin(self, entry: Entry, read: Callable[[Load], Generator], *, owner: str = "") -> Future[ModelService]:
        assert self._load is not None
        load = self._load

        def work() -> ModelService:
            with self._reading:
                g = read(load)
            service = ModelService.of(
                g, store=self.store, on_gpu=self._on_gpu, turn=self._preparing, frame_renderer=self._easel
            )
            self._admit(entry.key, service)
            return service

        with self._lock:
            if entry.key in self._loaded:  # another thread was quicker
                return self._loaded[entry.key].service
            item = _RegistryEntry(entry, Future(), self._clock(), owner)
            self._loaded[entry.key] = item
            item.service = in_background(work, f"reading {entry.title}")
            return item.service

    def _admit(self, key: str, service: ModelService) -> None:
        """Takes a model that was read into the books, and makes room for it."""
        with self._lock:
            item = self._loaded[key]
            item.entry = Entry.of(service.g, key, source=item.entry.source, path=item.entry.path)
            item.used_s = self._clock()
            self._loaded.move_to_end(key)
            sizes = {key: service.parameters}
            sizes.update({k: s.parameters for k, x in self._loaded.items() if (s := x.ready())})
            for old in list(self._loaded):
                if len(sizes) <= self._most_loaded and sum(sizes.values()) <= self._most_parameters:
                    break
                if old != key and old in sizes and not self._loaded[old].pinned:
                    self._drop(old)
                    del sizes[old]

    def _drop(self, key: str) -> None:
        item = self._loaded.pop(key)
        service = item.ready()
        if service is not None:
            service.progress.stop()
        log.info("The model %s is dropped from memory", item.entry.title)

    def _drop_old(self) -> None:
        """Forgets uploaded models that nobody uses any more."""
        now = self._clock()
        for key, item in list(self._loaded.items()):
            idle = now - item.used_s > UPLOAD_LIFETIME_S or not self.store.holds(item.owner)
            if item.owner and item.service.done() and idle:
                self._drop(key)
