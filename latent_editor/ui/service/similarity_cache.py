"""Similarity of the last few faces of one model to their photos."""

from __future__ import annotations

import threading
from collections import OrderedDict

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Crop, Latent, Photo
from latent_editor.generators import Generator
from latent_editor.networks.similarity_statistics import (
    SimilarityStatistics,
    load_similarity_statistics,
    similarity_statistics_known,
)
from latent_editor.sessions.session import Session
from latent_editor.similarity import Similarity, advise, compare
from latent_editor.ui.service.background import BackgroundTask

MAX_FACES = 8


class SimilarityCache:
    """Measures one face at a time and keeps the last results. Thread-safe.

    Args:
        g: The model's generator.
    """

    def __init__(self, g: Generator) -> None:
        self.g = g
        self._lock = threading.Lock()
        self._results: OrderedDict[int, tuple[Latent, Similarity]] = OrderedDict()
        self._learning: BackgroundTask[SimilarityStatistics] = BackgroundTask(
            lambda: load_similarity_statistics(g), "similarity statistics"
        )

    def similarity(self, session: Session) -> Similarity:
        """Similarity of the session's unedited face to its photo. Raises BadValue if it has no photo."""
        latent, crop = session.latent, session.crop
        if latent is None or crop is None:
            raise BadValue(
                "This face comes from no photo, so there is nothing to compare it with. Choose a photo first."
            )
        with self._lock:
            known = self._results.get(id(latent))
            if known is None:
                known = latent, compare(self.g, crop, latent, whole=session.photo)
            self._results[id(latent)] = known  # keeps the latent alive, whose id is the key
            self._results.move_to_end(id(latent))
            while len(self._results) > MAX_FACES:
                self._results.popitem(last=False)
        return known[1]

    def advice(self, crop: Crop, photo: Photo) -> tuple[str, ...]:
        """Sentences on what makes a photo hard to reconstruct."""
        with self._lock:
            return advise(self.g, crop, photo=photo)

    def is_ready(self) -> bool:
        """Whether the statistics of the model are known; otherwise starts to compute them in the background.

        Raises:
            Exception: what the last attempt raised, once; the next call tries again.
        """
        return similarity_statistics_known(self.g) or self._learning.poll() is not None
