"""Bounded in-memory store of visitors' sessions."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from latent_editor.core.errors import SessionExpired
from latent_editor.sessions.basis import Basis
from latent_editor.sessions.session import Session


class SessionStore:
    """Keeps a limited number of sessions for a limited time. Thread-safe.

    Args:
        capacity: The largest number of sessions. A new one displaces an empty one, else the least recently used.
        lifetime_s: How long a session is kept after its last use.
        clock: A monotonic clock, in seconds.
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
        """Raises SessionExpired if there is no such session, or no longer."""
        return self.update(session_id, lambda session: session)

    def update(self, session_id: str, change: Callable[[Session], Session]) -> Session:
        """Replaces a session by ``change(session)``, atomically. ``change`` must be quick.

        Raises:
            SessionExpired: there is no such session, or no longer.
        """
        with self._lock:
            self._drop_old()
            if session_id not in self._slots:
                raise SessionExpired(
                    f"This session has expired; sessions end {self.lifetime_s / 3600:g} hours after their last use. "
                    "Open the photo or a saved latent again."
                )
            session = change(self._slots[session_id][0])
            self._put(session)
            return session

    def update_if(self, seen: Session, change: Callable[[Session], Session], basis: Basis) -> Session:
        """Like :meth:`update`, for a result that took time to compute.

        Args:
            seen: The session that the work started from.
            change: Applies the result.
            basis: What must not have changed since ``seen``.

        Raises:
            Superseded: it has changed; the session stays as it is, and the error holds it.
            SessionExpired: there is no such session, or no longer.
        """

        def checked_change(now: Session) -> Session:
            basis.check(seen, now)
            changed = change(now)
            return replace(changed, answered=seen.request) if basis.numbered else changed

        return self.update(seen.id, checked_change)

    def holds(self, session_id: str) -> bool:
        """Whether there is such a session; does not count as use."""
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
            first = next(unused, newest)  # an abandoned page must not cost anyone their work
            del self._slots[first if first != newest else next(iter(self._slots))]
