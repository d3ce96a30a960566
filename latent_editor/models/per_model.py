"""What belongs to one model and is costly to make: built at the first request, shared afterwards.

::

    @per_model
    def load_clip(g: Generator) -> ClipModel:
        ...

    load_clip(g)           # builds it, or gives the one that is there
    load_clip.is_built(g)  # without building it

Each function is its own key, so that a part has one type and one place where it is built. A record with a field for
each part was refused: it would have to name the types of rooms above this one.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Parts:
    """Parts by their keys. Safe to use from threads: one builds a part, and those who want the same one wait."""

    def __init__(self) -> None:
        self._parts: dict[Hashable, Any] = {}
        self._lock = threading.Lock()
        self._locks: dict[Hashable, threading.RLock] = {}

    def get(self, key: Hashable, build: Callable[[], T]) -> T:
        """The part of this key, built by ``build()`` where there is none yet. A build that fails is tried again."""
        with self._locked(key):  # a lock for each part: a slow one holds up only those who need it
            if key not in self._parts:
                self._parts[key] = build()
            part: T = self._parts[key]
            return part

    def put(self, key: Hashable, part: object) -> None:
        """Makes ``part`` the part of this key, whether or not there was one."""
        with self._locked(key):
            self._parts[key] = part

    def __contains__(self, key: Hashable) -> bool:
        return key in self._parts

    def _locked(self, key: Hashable) -> threading.RLock:
        with self._lock:
            return self._locks.setdefault(key, threading.RLock())


class _Owner(Protocol):
    """A bundle."""

    parts: Parts
    own_parts: Parts


class HasBundle(Protocol):
    """A generator, as far as its parts go."""

    @property
    def bundle(self) -> _Owner: ...


class PerModel(Generic[P, T]):
    """A function of a generator whose answers are kept in the generator's bundle; see :func:`per_model`."""

    def __init__(self, build: Callable[Concatenate[Any, P], T], *, own: bool = False) -> None:
        self._build, self._own = build, own
        functools.update_wrapper(self, build)

    def __call__(self, g: HasBundle, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._parts(g).get((self, args), lambda: self._build(g, *args, **kwargs))

    def is_built(self, g: HasBundle, *args: Hashable) -> bool:
        """Whether the answer for these arguments is there already."""
        return (self, args) in self._parts(g)

    def put(self, g: HasBundle, part: T, *args: Hashable) -> None:
        """Makes ``part`` the answer for these arguments."""
        self._parts(g).put((self, args), part)

    def _parts(self, g: HasBundle) -> Parts:
        return g.bundle.own_parts if self._own else g.bundle.parts


def per_model(build: Callable[Concatenate[Any, P], T]) -> PerModel[P, T]:
    """Makes a function of a generator keep its answers: one for each generator and positional arguments.

    Keyword arguments say how it is built (whom to report to), and do not tell answers apart. A refined generator
    shares the answers of the model that it was made from.
    """
    return PerModel(build)


def per_generator(build: Callable[Concatenate[Any, P], T]) -> PerModel[P, T]:
    """:func:`per_model` for what depends on a generator's own pictures: a refined generator has answers of its own."""
    return PerModel(build, own=True)
