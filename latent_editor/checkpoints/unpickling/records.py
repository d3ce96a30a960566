"""Records: the intermediate values of a restricted pickle, before conversion to plain values."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

#: Longer byte strings stay views of the file, so that repeated references cost nothing.
MAX_COPY_BYTES = 256


class Refused(Exception):
    """The reason for refusing a pickle, a clause that follows the file name. Internal to this package."""


def shorten(text: str, length: int = 80) -> str:
    """Makes untrusted text printable and short."""
    clean = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[: length + 1])
    return clean if len(clean) <= length else f"{clean[:length]}…"


@dataclass(frozen=True)
class Limits:
    """Resource limits for a pickle. The defaults allow every published checkpoint, but little more.

    Attributes:
        max_bytes: Size of the file.
        max_opcodes: Opcodes, including nested pickles. Published networks need 200,000.
        max_depth: Nesting of containers. Published networks need about 25.
        max_values: Values in the result, with shared ones counted at each reference: a few hundred bytes can
            represent 2 ** 100 values.
        max_text: Characters of text; the source code in NVIDIA's pickles takes about a million.
        max_seconds: Time to parse it.
    """

    max_bytes: int = 4 << 30
    max_opcodes: int = 1_000_000
    max_depth: int = 100
    max_values: int = 4_000_000
    max_text: int = 128 << 20
    max_seconds: float = 15.0


@dataclass
class Budget:
    """Resources used so far by a pickle and its nested pickles, checked against the limits."""

    limits: Limits
    opcodes: int = 0
    text: int = 0
    deadline: float = field(default=0.0)

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.limits.max_seconds

    def step(self) -> None:
        """Counts one opcode."""
        self.opcodes += 1
        if self.opcodes > self.limits.max_opcodes:
            raise Refused(f"needs more than {self.limits.max_opcodes:,} instructions")
        if not self.opcodes % 1024 and time.monotonic() > self.deadline:
            raise Refused(f"takes more than {self.limits.max_seconds:g} s to read")

    def spend(self, length: int) -> None:
        """Counts ``length`` copied bytes or characters."""
        self.text += length
        if self.text > self.limits.max_text:
            raise Refused(f"holds more than {self.limits.max_text:,} characters of text")


@dataclass(frozen=True, eq=False)
class GlobalRef:
    """A reference to an allowed global, with its stand-in function."""

    module: str
    name: str
    make: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Record(abc.ABC):
    """An object under construction; the only kind of object whose state a pickle can set."""

    def build(self, state: Any) -> None:
        """Sets the state (BUILD opcode)."""
        raise Refused(f"sets the state of a {type(self).__name__}, which has none")

    def parts(self) -> tuple[Any, ...]:
        """The values in it, which are converted first."""
        return ()

    @abc.abstractmethod
    def finish(self, parts: tuple[Any, ...]) -> Any:
        """Converts it to a plain value, given its converted ``parts``."""


class Attributes(dict[Any, Any]):
    """Stand-in for dicts with attributes (OrderedDict, EasyDict). The attributes are dropped."""


@dataclass(frozen=True, eq=False)
class Instance:
    """An object of a foreign class as plain data; the class itself is never imported.

    Attributes:
        name: Name of the class in the file.
        state: Its attributes.
    """

    name: str
    state: dict[str, Any]


class InstanceRecord(Record):
    """An object of a foreign class, of which only the attributes are kept."""

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
    """``argparse.Namespace``, which many public checkpoints contain; becomes a dict."""

    def __init__(self) -> None:
        super().__init__("argparse.Namespace")

    def finish(self, parts: tuple[Any, ...]) -> Any:
        return super().finish(parts).state


@dataclass(slots=True)
class _Finished:
    value: Any
    size: int = 1  # values in it, with shared ones counted at each reference
    depth: int = 0


def finish(root: Any, limits: Limits) -> Any:
    """Converts records to plain values: dicts, lists, tuples, sets, tensors, arrays, numbers, text.

    Raises:
        Refused: it contains itself, is nested too deeply, or has too many values.
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
                raise Refused(f"holds more than {limits.max_text:,} bytes outside of tensors")
            done[key] = _Finished(bytes(node))
        elif (children := _children(node)) is not None:
            open_.add(key)
            stack.append((node, True))
            stack.extend((child, False) for child in children if isinstance(child, _CONVERTED))
    return done[id(root)].value if id(root) in done else _leaf(root)


#: Types that need conversion; all other values are used as they are.
_CONVERTED = (dict, list, tuple, Record, memoryview)


def _children(node: Any) -> Iterator[Any] | None:
    if isinstance(node, dict):
        return iter(node.values())
    if isinstance(node, (list, tuple)):
        return iter(node)
    if isinstance(node, Record):
        return iter(node.parts())
    return None


def _leaf(node: Any) -> Any:
    return str(node) if isinstance(node, GlobalRef) else node


def _combine(node: Any, done: dict[int, _Finished], limits: Limits) -> _Finished:
    children = _children(node)
    assert children is not None
    values, size, depth = [], 1, 0
    for child in children:
        finished = done.get(id(child)) if isinstance(child, _CONVERTED) else None
        values.append(_leaf(child) if finished is None else finished.value)
        size += 1 if finished is None else finished.size
        depth = depth if finished is None else max(depth, finished.depth)
    if depth >= limits.max_depth:
        raise Refused(f"nests more than {limits.max_depth} containers")
    if size > limits.max_values:
        raise Refused(f"represents more than {limits.max_values:,} values")
    if isinstance(node, dict):
        return _Finished(dict(zip(node, values, strict=True)), size, depth + 1)
    if isinstance(node, Record):
        return _Finished(node.finish(tuple(values)), size, depth + 1)
    return _Finished(values if isinstance(node, list) else tuple(values), size, depth + 1)
