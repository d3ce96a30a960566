"""Bounded in-memory store for uploads and generated files: media, other faces, finished videos."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from latent_editor.core.errors import BadValue

T = TypeVar("T")
#: Limits for all visitors of a model together.
MAX_BYTES, MAX_ITEMS = 256 << 20, 1024


@dataclass(frozen=True, eq=False)
class StoredItem(Generic[T]):
    """One upload: the name of its file, its content and the memory it takes."""

    name: str
    content: T
    nbytes: int


@dataclass(frozen=True, eq=False)
class MediaFile:
    """An uploaded audio or video file."""

    data: bytes


class UploadStore:
    """Keeps items until newer ones need their room. Thread-safe.

    Args:
        max_bytes, max_items: Limits; the newest item is kept in any case.
    """

    def __init__(self, *, max_bytes: int = MAX_BYTES, max_items: int = MAX_ITEMS) -> None:
        self.max_bytes, self.max_items = max_bytes, max_items
        self._items: OrderedDict[tuple[str, str], StoredItem[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, session_id: str, name: str, content: Any, nbytes: int) -> str:
        """Stores an item for one visitor and returns its key."""
        key = secrets.token_urlsafe(12)
        with self._lock:
            self._items[session_id, key] = StoredItem(name, content, nbytes)
            while len(self._items) > 1 and self._is_full():
                self._items.popitem(last=False)
        return key

    def _is_full(self) -> bool:
        return len(self._items) > self.max_items or sum(i.nbytes for i in self._items.values()) > self.max_bytes

    def get(self, session_id: str, key: str, kind: type[T]) -> StoredItem[T]:
        """A visitor's item. Raises BadValue if it is gone or of another kind."""
        with self._lock:
            item = self._items.get((session_id, key))
        if item is None or not isinstance(item.content, kind):
            raise BadValue("A file that was uploaded before is no longer available. Choose it again.")
        return item
