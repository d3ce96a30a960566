"""Applies results that took time to compute, and answers with the session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from latent_editor.sessions.basis import Basis, Superseded
from latent_editor.sessions.session import Session
from latent_editor.sessions.store import SessionStore
from latent_editor.ui.api.views import error_view, session_view


def update_view(
    store: SessionStore, seen: Session, change: Callable[[Session], Session], basis: Basis
) -> dict[str, Any]:
    """Applies ``change`` if the basis of the work still holds.

    Returns:
        The present session as JSON; with a ``problem`` if the result was dropped.
    """
    try:
        return session_view(store.update_if(seen, change, basis))
    except Superseded as e:
        return {**session_view(e.session), "problem": error_view(e)}
