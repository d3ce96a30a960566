"""What visitors brought or asked for and have not used up yet: videos that were made, tracks, clips, examples."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from latent_editor.core.errors import BadValue

T = TypeVar("T")
#: How much is kept for all visitors of a model.
MAX_BYTES, MAX_THINGS = 256 << 20, 1024


@dataclass(frozen=True, eq=False)
class StoredItem(Generic[T]):
    """Something on the uploads: its file's name, what it is, how many bytes it takes."""

    name: str
    content: T
    nbytes: int


class UploadStore:
    """Keeps things for a while; the ones put there longest ago make room. Safe to use from threads.

    Args:
        most_bytes, most_things: How much is kept; the newest thing always is.
    """

    def __init__(self, *, most_bytes: int = MAX_BYTES, most_things: int = MAX_THINGS) -> None:
        self.most_bytes, self.most_things = most_bytes, most_things
        self._things: OrderedDict[tuple[str, str], StoredItem[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, session_id: str, name: str, content: Any, nbytes: int) -> str:
        """Puts something there for one visitor; its key."""
        key = secrets.token_urlsafe(12)
        with self._lock:
            self._things[session_id, key] = StoredItem(name, content, nbytes)
            while len(self._things) > 1 and self._full():
                self._things.popitem(last=False)
        return key

    def _full(self) -> bool:
        return len(self._things) > self.most_things or sum(t.nbytes for t in self._things.values()) > self.most_bytes

    def get(self, session_id: str, key: str, kind: type[T]) -> StoredItem[T]:
        """What a visitor put there. Raises BadValue where it is gone, or of another kind."""
        with self._lock:
            item = self._things.get((session_id, key))
        if item is None or not isinstance(item.content, kind):
            raise BadValue("A file that was chosen before is not kept any more. Choose it again.")
        return item
