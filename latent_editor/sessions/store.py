"""Where visitors' sessions are kept: in memory, a bounded number for a bounded time."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from latent_editor.core.errors import SessionExpired
from latent_editor.sessions.session import Session


class SessionStore:
    """Keeps the sessions of all visitors, a bounded number for a bounded time. Safe to use from threads.

    Args:
        capacity: How many; for a new one an empty one makes room, else the one used longest ago.
        lifetime_s: How long one is kept after its last use.
        clock: Seconds that never go back.
    """

    def __init__(
        self, *, capacity: int = 64, lifetime_s: float = 2 * 3600, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.capacity = capacity
        self.lifetime_s = lifetime_s
        self._clock = clock
        self._slots: OrderedDict[str, tuple[Session, float]] = OrderedDict()  # oldest use first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._slots)

    def create(self, model: str = "") -> Session:
        session = Session(secrets.token_urlsafe(24), model=model)
        with self._lock:
            self._put(session)
            self._drop_old()
        return session

    def get(self, session_id: str) -> Session:
        """Raises SessionExpired where there is none, or none any more."""
        return self.update(session_id, lambda session: session)

    def update(self, session_id: str, change: Callable[[Session], Session]) -> Session:
        """Replaces a session by ``change(session)``, at once for all threads. ``change`` must be quick."""
        with self._lock:
            self._drop_old()
            if session_id not in self._slots:
                raise SessionExpired(
                    f"This session is not kept any more; one ends {self.lifetime_s / 3600:g} hours after its last use. "
                    "Open the photo or a saved latent again."
                )
            session = change(self._slots[session_id][0])
            self._put(session)
            return session

    def update_same(self, session: Session, change: Callable[[Session], Session]) -> Session:
        """Like :meth:`update`, unless the visitor has gone to another model since ``session``: then what was made for
        the old one is not taken, and the present session is the answer."""
        return self.update(session.id, lambda now: change(now) if now.model == session.model else now)

    def holds(self, session_id: str) -> bool:
        """Whether a session is still kept; asking does not count as using it."""
        with self._lock:
            self._drop_old()
            return session_id in self._slots

    def drop(self, session_id: str) -> None:
        with self._lock:
            self._slots.pop(session_id, None)

    def _put(self, session: Session) -> None:
        self._slots[session.id] = (session, self._clock())
        self._slots.move_to_end(session.id)

    def _drop_old(self) -> None:
        oldest_s = self._clock() - self.lifetime_s
        while self._slots:
            session_id, (_, used_s) = next(iter(self._slots.items()))
            if used_s >= oldest_s:
                break
            del self._slots[session_id]
        while len(self._slots) > self.capacity:
            unused = (i for i, (s, _) in self._slots.items() if not s.worked_on)
            newest = next(reversed(self._slots))
            first = next(unused, newest)  # a page that was opened and left costs nobody their work
            del self._slots[first if first != newest else next(iter(self._slots))]
