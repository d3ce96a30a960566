"""The models that the page offers, and those that are loaded."""

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

from starlette.concurrency import run_in_threadpool

from latent_editor.core.errors import BadInput, UnknownModel
from latent_editor.generators import Generator
from latent_editor.sessions.session import Session
from latent_editor.sessions.store import SessionStore
from latent_editor.ui.service.background import in_background, wait_until_done
from latent_editor.ui.service.model_listing import ModelEntry
from latent_editor.ui.service.model_service import ModelService, identity

log = logging.getLogger(__name__)

#: How many models stay in memory, and how many parameters they may have together (four bytes each).
MAX_LOADED = 4
MAX_PARAMETERS = 300_000_000
#: How long an uploaded model is kept after its last use.
UPLOAD_LIFETIME_S = 2 * 3600
#: How long a request waits for a model that has to be loaded again.
LOADING_S = 120.0
MAX_UPLOAD_MB = 2048
#: How many model uploads may be in progress at a time.
MAX_CONCURRENT_UPLOADS = 2

Load = Callable[[str | Path], Generator]


@dataclass(eq=False)
class _RegistryEntry:
    """A model that is loaded or being loaded."""

    entry: ModelEntry
    service: Future[ModelService]
    used_s: float
    owner: str = ""  # id of the session that uploaded it
    pinned: bool = False  # never unloaded

    def ready(self) -> ModelService | None:
        """The service, if the model is loaded."""
        loaded = self.service.done() and self.service.exception() is None
        return self.service.result() if loaded else None


class ModelRegistry:
    """The models of one server and the sessions of its visitors. Thread-safe.

    A model is loaded at its first use, in the background, one at a time. The least recently used ones are unloaded when
    there are too many or they are too large, and loaded again when needed. An uploaded model belongs to one session;
    once unloaded, it is gone.

    Args:
        service: The default model; never unloaded.
        load: Maps a name or path to a generator; None offers ``service`` only.
        listed: Lists the models, each time the picker opens.
        on_gpu: Wraps each heavy call.
        max_upload_mb: Size limit of uploaded model files; 0 disables uploads.
        max_loaded, max_parameters: Limits of what stays in memory.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self,
        service: ModelService,
        *,
        load: Load | None = None,
        listed: Callable[[], Sequence[ModelEntry]] = tuple,
        on_gpu: Callable[..., Any] = identity,
        max_upload_mb: int = 0,
        max_loaded: int = MAX_LOADED,
        max_parameters: int = MAX_PARAMETERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store: SessionStore = service.store
        self._frame_renderer = service.frame_renderer
        self.max_upload_mb = max_upload_mb if load else 0
        self._load = load
        self._listed = listed
        self._on_gpu = on_gpu
        self._max_loaded = max_loaded
        self._max_parameters = max_parameters
        self._clock = clock
        self._lock = threading.Lock()
        self._loading = threading.Lock()  # two large models at a time could exhaust the memory
        self._preparing = threading.Lock()
        self._uploading = threading.BoundedSemaphore(MAX_CONCURRENT_UPLOADS)
        self.default = service.g.name
        done: Future[ModelService] = Future()
        done.set_result(service)
        first = _RegistryEntry(ModelEntry.of_generator(service.g, self.default), done, clock(), pinned=True)
        self._loaded: OrderedDict[str, _RegistryEntry] = OrderedDict({self.default: first})  # least recently used first

    @property
    def default_service(self) -> ModelService:
        return self._loaded[self.default].service.result()

    def entries(self, session_id: str = "") -> list[ModelEntry]:
        """The models that one visitor can choose from, the default first."""
        with self._lock:
            self._drop_old()
            own = [x.entry for x in self._loaded.values() if x.owner and x.owner == session_id and x.ready()]
            first = self._loaded[self.default].entry
        return [first, *(e for e in self._listed() if e.key != self.default), *own]

    def key_of(self, session: Session) -> str:
        return session.model or self.default

    def service_of(self, session: Session) -> ModelService:
        """The service of a session's model; blocks while the model is loaded again.

        Raises:
            UnknownModel: it was uploaded and is gone, or loading takes too long.
        """
        loading = self.start(self.key_of(session), session.id)
        wait([loading], LOADING_S)
        return _result(loading)

    async def wait_for_service(self, session: Session) -> ModelService:
        """Like :meth:`service_of`, without occupying a thread meanwhile."""
        key = self.key_of(session)
        loading = self._known(key, session.id)
        if loading is None:  # it has to be listed, which reads the disk
            loading = await run_in_threadpool(self.start, key, session.id)
        await wait_until_done(loading, LOADING_S)
        return _result(loading)

    def is_loaded(self, session: Session) -> bool:
        """Whether :meth:`service_of` would return at once."""
        with self._lock:
            item = self._loaded.get(self.key_of(session))
            return item is not None and item.owner in ("", session.id) and item.ready() is not None

    def start(self, key: str, session_id: str) -> Future[ModelService]:
        """Starts to load a model, unless it is loaded or being loaded.

        Returns:
            The future service. After a failure the next call tries again.

        Raises:
            UnknownModel: this visitor cannot choose it.
        """
        known = self._known(key, session_id)
        if known is not None:
            return known
        entry = next((e for e in self._listed() if e.key == key), None)
        if entry is None or entry.path is None or self._load is None:
            raise UnknownModel(
                "This model is no longer available: an uploaded one is kept for two hours after its last use, less if "
                "others need its memory. Choose another model, or upload the file again."
            )
        path = entry.path
        return self._begin(entry, lambda load: load(path))

    def _known(self, key: str, session_id: str) -> Future[ModelService] | None:
        """A model that is loaded or being loaded, or whose failure was not reported yet."""
        with self._lock:
            self._drop_old()
            known = self._loaded.get(key)
            if known is None or known.owner not in ("", session_id):
                return None
            known.used_s = self._clock()
            self._loaded.move_to_end(key)
            if known.service.done() and known.service.exception() is not None:
                del self._loaded[key]
            return known.service

    def add_upload(self, folder: Path, file: Path, session_id: str) -> str:
        """Starts to load an uploaded model, for one visitor only.

        Args:
            folder: Holds nothing but the file; deleted as soon as the model is loaded.
            file: The model.
            session_id: Its owner.

        Returns:
            The model's key.

        Raises:
            BadInput: uploads are disabled.
        """

        def read(load: Load) -> Generator:
            try:
                return load(file)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

        self.check_uploads()
        key = f"own-{secrets.token_urlsafe(18)}"
        self._begin(ModelEntry(key, file.stem, "own"), read, owner=session_id)
        return key

    def check_uploads(self) -> None:
        """Raises BadInput if uploads are disabled."""
        if not self.max_upload_mb:
            raise BadInput(
                "This server does not accept model files. Run the editor on your own computer, or ask the owner "
                "of this server to start it with --model-uploads."
            )

    @contextlib.contextmanager
    def uploading(self) -> Iterator[None]:
        """Limits the uploads in progress, and with them the disk space they take. Raises BadInput."""
        if not self._uploading.acquire(blocking=False):
            raise BadInput(
                f"{MAX_CONCURRENT_UPLOADS} other model files are being uploaded. Try again when they have finished."
            )
        try:
            yield
        finally:
            self._uploading.release()

    def _begin(self, entry: ModelEntry, read: Callable[[Load], Generator], *, owner: str = "") -> Future[ModelService]:
        assert self._load is not None
        load = self._load

        def work() -> ModelService:
            with self._loading:
                g = read(load)
            service = ModelService.create(
                g, store=self.store, on_gpu=self._on_gpu, turn=self._preparing, frame_renderer=self._frame_renderer
            )
            self._admit(entry.key, service)
            return service

        with self._lock:
            if entry.key in self._loaded:  # another thread was faster
                return self._loaded[entry.key].service
            item = _RegistryEntry(entry, Future(), self._clock(), owner)
            self._loaded[entry.key] = item
            item.service = in_background(work, f"loading {entry.title}")
            return item.service

    def _admit(self, key: str, service: ModelService) -> None:
        """Registers a model that was loaded, and unloads others to make room for it."""
        with self._lock:
            item = self._loaded[key]
            item.entry = ModelEntry.of_generator(service.g, key, source=item.entry.source, path=item.entry.path)
            item.used_s = self._clock()
            self._loaded.move_to_end(key)
            sizes = {key: service.parameters}
            sizes.update({k: s.parameters for k, x in self._loaded.items() if (s := x.ready())})
            for old in list(self._loaded):
                if len(sizes) <= self._max_loaded and sum(sizes.values()) <= self._max_parameters:
                    break
                if old != key and old in sizes and not self._loaded[old].pinned:
                    self._drop(old)
                    del sizes[old]

    def _drop(self, key: str) -> None:
        item = self._loaded.pop(key)
        service = item.ready()
        if service is not None:
            service.progress.stop()
        log.info("Unloaded the model %s", item.entry.title)

    def _drop_old(self) -> None:
        """Unloads uploaded models that are no longer used."""
        now = self._clock()
        for key, item in list(self._loaded.items()):
            idle = now - item.used_s > UPLOAD_LIFETIME_S or not self.store.holds(item.owner)
            if item.owner and item.service.done() and idle:
                self._drop(key)


def _result(loading: Future[ModelService]) -> ModelService:
    if not loading.done():
        raise UnknownModel("This model is still being loaded. Wait a little, then try again.")
    return loading.result()
