"""What a result was computed from, so that a late one cannot land on another face, photo or model."""

from __future__ import annotations

from dataclasses import dataclass

from latent_editor.core.errors import LatentEditorError
from latent_editor.sessions.session import Session


class Superseded(LatentEditorError):
    """The session moved on while a result was computed, so the result was dropped.

    Attributes:
        session: The session as it is now.
    """

    def __init__(self, message: str, session: Session) -> None:
        super().__init__(message)
        self.session = session


@dataclass(frozen=True)
class Basis:
    """The attributes of a session that must still be as they were when some work began.

    A session is an immutable value, so the one that the work read is the token to compare with: numbers by value,
    latents and photos by identity.

    Attributes:
        attributes: Names of attributes of :class:`Session`.
        message: What the visitor reads if one of them changed: what happened, then what to do.
        numbered: Whether the work answers a request for another photo, face or model. Such a result replaces those of
            earlier requests, and is dropped if a later request has been answered.
    """

    attributes: tuple[str, ...]
    message: str
    numbered: bool = False

    def holds(self, seen: Session, now: Session) -> bool:
        unchanged = all(getattr(seen, name) == getattr(now, name) for name in self.attributes)
        return unchanged and not (self.numbered and now.answered >= seen.request)

    def check(self, seen: Session, now: Session) -> None:
        """Raises Superseded if the basis of the work is gone."""
        if not self.holds(seen, now):
            raise Superseded(self.message, now)


#: For whatever fits every face of a model.
SAME_MODEL = Basis(
    ("model",), "Another model was chosen in the meantime, so this result was dropped. Repeat it with this model."
)
#: For sliders, regions and recipes, which are computed for one face.
SAME_FACE = Basis(
    ("model", "latent"),
    "Another face was opened in the meantime, so the result for the previous one was dropped. Repeat it for this face.",
)
#: For another photo, face or model: of several requests the newest that succeeds wins, whichever is ready first.
LATEST_REQUEST = Basis(
    ("model",), "A newer photo, face or model replaced this one. Choose it again to return to it.", numbered=True
)
#: For a crop, which belongs to one pending photo.
SAME_PHOTO = Basis(
    ("model", "pending_photo"),
    "A newer photo or crop replaced this one. Choose the photo again to return to it.",
    numbered=True,
)
#: For jobs, which a new run, another face or Cancel ends.
SAME_RUN = Basis(("run",), "A newer request replaced this one, and its result was dropped. Start it again if needed.")
