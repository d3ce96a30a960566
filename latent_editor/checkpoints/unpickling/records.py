"""What a restricted pickle is read into before it becomes plain values."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

#: Byte strings longer than this stay views of the file, so that naming one a thousand times costs nothing.
LONGEST_COPY = 256


class Refused(Exception):
    """Why a pickle is not read: a clause that follows the file's name. Never leaves this package."""


def shorten(text: str, length: int = 80) -> str:
    """Text from a file, safe to print and not long."""
    clean = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[: length + 1])
    return clean if len(clean) <= length else f"{clean[:length]}…"


@dataclass(frozen=True)
class Limits:
    """How much a pickle may ask for. The defaults leave room for every published checkpoint, and for little else.

    Attributes:
        max_bytes: Size of the pickle.
        max_opcodes: Instructions, in all pickles inside of the pickle together. Published networks need 200 000.
        max_depth: Containers inside of each other. Published networks need about 25.
        max_values: Values in the result, where one that is named twice counts twice: a few hundred bytes that name
            each other can stand for 2 ** 100 values.
        max_text: Characters of text; the source code in NVIDIA's pickles takes about a million.
        max_seconds: Time to read it in.
    """

    max_bytes: int = 4 << 30
    max_opcodes: int = 1_000_000
    max_depth: int = 100
    max_values: int = 4_000_000
    max_text: int = 128 << 20
    max_seconds: float = 15.0


@dataclass
class Budget:
    """What is left of the limits while a pickle, and every pickle inside of it, is read."""

    limits: Limits
    opcodes: int = 0
    text: int = 0
    deadline: float = field(default=0.0)

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.limits.max_seconds

    def step(self) -> None:
        """One instruction."""
        self.opcodes += 1
        if self.opcodes > self.limits.max_opcodes:
            raise Refused(f"needs more than {self.limits.max_opcodes:,} instructions to be read")
        if not self.opcodes % 1024 and time.monotonic() > self.deadline:
            raise Refused(f"takes more than {self.limits.max_seconds:g} s to be read")

    def spend(self, length: int) -> None:
        """``length`` bytes or characters that are copied."""
        self.text += length
        if self.text > self.limits.max_text:
            raise Refused(f"holds more than {self.limits.max_text:,} characters of text")


@dataclass(frozen=True, eq=False)
class Named:
    """An allowed global: the names in the file, and the harmless function of ours that stands for it."""

    module: str
    name: str
    make: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Record(abc.ABC):
    """Something that a pickle makes, while it is read. The only kind of object whose state a pickle can set."""

    def build(self, state: Any) -> None:
        """Takes the state that the pickle gives it."""
        raise Refused(f"sets the state of a {type(self).__name__}, which has none")

    def parts(self) -> tuple[Any, ...]:
        """The values inside of it, which are finished before it is."""
        return ()

    @abc.abstractmethod
    def finish(self, parts: tuple[Any, ...]) -> Any:
        """The plain value that takes its place; ``parts`` are finished."""


class Attributes(dict[Any, Any]):
    """Stands for the dicts that carry attributes too (OrderedDict, EasyDict). The attributes are dropped."""


@dataclass(frozen=True, eq=False)
class Instance:
    """What was an object of a foreign class in the file, as plain data: nothing of the class is known or run.

    Attributes:
        name: The class, as the file names it.
        state: Its attributes.
    """

    name: str
    state: dict[str, Any]


class InstanceRecord(Record):
    """An object of a foreign class, whose attributes are all that is kept."""

    def __init__(self, name: str, state: Any = None) -> None:
        self.name = name
        self.state: Any = {} if state is None else state

    def build(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 2 and state[0] is None:  # (attributes, slots), with slots only
            state = state[1]
        self.state = state

    def parts(self) -> tuple[Any, ...]:
        return (self.state,)

    def finish(self, parts: tuple[Any, ...]) -> Instance:
        (state,) = parts
        if not isinstance(state, dict) or not all(isinstance(k, str) for k in state):
            raise Refused(f"gives {self.name!r} a {type(state).__name__} for its attributes; expected a dict of names")
        return Instance(self.name, state)


class NamespaceRecord(InstanceRecord):
    """The options of a command line, which half of the public checkpoints carry: finishes into a dict."""

    def __init__(self) -> None:
        super().__init__("argparse.Namespace")

    def finish(self, parts: tuple[Any, ...]) -> Any:
        return super().finish(parts).state


@dataclass(slots=True)
class _Finished:
    value: Any
    size: int = 1  # values in it, where a shared one counts as often as it is named
    depth: int = 0


def finish(root: Any, limits: Limits) -> Any:
    """Turns what a pickle was read into into plain values: dicts, lists, tuples, sets, tensors, arrays, numbers, text.

    Raises:
        Refused: it contains itself, is nested too deeply, or names too many values.
    """
    done: dict[int, _Finished] = {}
    open_: set[int] = set()
    stack: list[tuple[Any, bool]] = [(root, False)]
    copied = 0
    while stack:
        node, ready = stack.pop()
        key = id(node)
        if ready:
            open_.discard(key)
            done[key] = _combine(node, done, limits)
        elif key in open_:
            raise Refused("contains itself")
        elif key in done:
            continue
        elif isinstance(node, memoryview):
            copied += len(node)
            if copied > limits.max_text:
                raise Refused(f"holds more than {limits.max_text:,} bytes that are no tensor")
            done[key] = _Finished(bytes(node))
        elif (children := _children(node)) is not None:
            open_.add(key)
            stack.append((node, True))
            stack.extend((child, False) for child in children if isinstance(child, _COSTLY))
    return done[id(root)].value if id(root) in done else _leaf(root)


#: What takes time or memory to finish; everything else is used as it is.
_COSTLY = (dict, list, tuple, Record, memoryview)


def _children(node: Any) -> Iterator[Any] | None:
    if isinstance(node, dict):
        return iter(node.values())
    if isinstance(node, (list, tuple)):
        return iter(node)
    if isinstance(node, Record):
        return iter(node.parts())
    return None


def _leaf(node: Any) -> Any:
    return str(node) if isinstance(node, Named) else node


def _combine(node: Any, done: dict[int, _Finished], limits: Limits) -> _Finished:
    children = _children(node)
    assert children is not None
    values, size, depth = [], 1, 0
    for child in children:
        finished = done.get(id(child)) if isinstance(child, _COSTLY) else None
        values.append(_leaf(child) if finished is None else finished.value)
        size += 1 if finished is None else finished.size
        depth = depth if finished is None else max(depth, finished.depth)
    if depth >= limits.max_depth:
        raise Refused(f"nests more than {limits.max_depth} containers in each other")
    if size > limits.max_values:
        raise Refused(f"stands for more than {limits.max_values:,} values")
    if isinstance(node, dict):
        return _Finished(dict(zip(node, values, strict=True)), size, depth + 1)
    if isinstance(node, Record):
        return _Finished(node.finish(tuple(values)), size, depth + 1)
    return _Finished(values if isinstance(node, list) else tuple(values), size, depth + 1)
