"""The state of the pickle machine (input, stack, memo) and the operations on it."""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from latent_editor.checkpoints.unpickling.records import (
    MAX_COPY_BYTES,
    Attributes,
    Budget,
    GlobalRef,
    Record,
    Refused,
    shorten,
)

Allowed = Mapping[tuple[str, str], Callable[..., Any]]

#: Size limit of integers; the magic number of torch.save has ten bytes.
_MAX_INT_BYTES = 16
_DECIMAL = re.compile(r"-?[0-9]{1,40}")


class PickleStack:
    """The state of one pickle, and every operation that can change it.

    Attributes:
        position: Offset of the next opcode.
    """

    def __init__(
        self,
        data: memoryview,
        allowed: Allowed,
        budget: Budget,
        *,
        persistent: Callable[[Any], Any] | None = None,
        position: int = 0,
    ) -> None:
        self.data = data
        self.allowed = allowed
        self.budget = budget
        self.persistent = persistent
        self.position = position
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.globals: dict[tuple[str, str], GlobalRef] = {}

    # Reading.

    def read(self, count: int) -> memoryview:
        """The next ``count`` bytes, as a view."""
        left = len(self.data) - self.position
        if count > left:
            raise Refused(f"is truncated: at byte {self.position:,} it claims {count:,} more bytes and has {left:,}")
        start, self.position = self.position, self.position + count
        return self.data[start : self.position]

    def read_int(self, layout: str) -> int:
        (value,) = struct.unpack(layout, self.read(struct.calcsize(layout)))
        return int(value)

    def read_line(self) -> str:
        """The text up to the next newline."""
        start, piece = self.position, 256
        end = -1
        while end < 0 and start < len(self.data):  # in chunks: the rest may be a gigabyte
            piece *= 2
            found = bytes(self.data[start : start + piece]).find(b"\n")
            end = start + found if found >= 0 else -1
            start += piece
            self.budget.spend(piece if end < 0 else max(found, 0))
        if end < 0:
            raise Refused(f"is truncated or damaged: the line that starts at byte {self.position:,} does not end")
        begin, self.position = self.position, end + 1
        return str(self.data[begin:end], "latin-1")

    def read_text(self, length: int) -> str:
        self.budget.spend(length)
        try:
            return str(self.read(length), "utf-8", "surrogatepass")
        except UnicodeDecodeError as e:
            raise Refused(f"holds text that is not UTF-8 before byte {self.position:,}") from e

    def read_blob(self, length: int) -> bytes | memoryview:
        view = self.read(length)
        return bytes(view) if length <= MAX_COPY_BYTES else view

    # The stack.

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        self.need(1)
        return self.stack.pop()

    def need(self, count: int) -> None:
        """Checks that there are ``count`` values above the last mark."""
        if len(self.stack) - (self.marks[-1] if self.marks else 0) < count:
            raise Refused(f"pops an empty stack before byte {self.position:,}")

    def pop_to_mark(self) -> list[Any]:
        if not self.marks:
            raise Refused(f"pops to a missing mark before byte {self.position:,}")
        first = self.marks.pop()
        items = self.stack[first:]
        del self.stack[first:]
        return items

    def pop_tuple(self, count: int) -> None:
        self.need(count)
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.push(items)

    def top(self, kind: type, what: str) -> Any:
        self.need(1)
        if not isinstance(self.stack[-1], kind):
            raise Refused(f"{what} a {type(self.stack[-1]).__name__} before byte {self.position:,}")
        return self.stack[-1]

    # Memo.

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise Refused(f"gets the missing memo entry {index} before byte {self.position:,}")
        self.push(self.memo[index])

    def put(self, index: int) -> None:
        self.need(1)
        self.memo[index] = self.stack[-1]

    def decimal_line(self, what: str) -> int:
        line = self.read_line().removesuffix("L")
        if not _DECIMAL.fullmatch(line):
            raise Refused(f"has {shorten(line, 40)!r} for {what} before byte {self.position:,}")
        return int(line)

    # Containers.

    def append(self, items: list[Any]) -> None:
        self.top(list, "appends to").extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.top(dict, "sets items of")
        if len(items) % 2:
            raise Refused(f"has a key without a value before byte {self.position:,}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self.hashable(key)] = value

    def add_items(self, items: list[Any]) -> None:
        self.top(set, "adds to").update(self.hashable(item) for item in items)

    def hashable(self, key: Any) -> Any:
        """Allows only numbers and text as keys, because hashing nested values is recursive."""
        if key is not None and not isinstance(key, (str, int, float, bytes)):
            raise Refused(
                f"has a {type(key).__name__} as a key before byte {self.position:,}; expected text or a number"
            )
        return key

    def push_dict(self) -> None:
        items = self.pop_to_mark()
        self.push({})
        self.set_items(items)

    # Globals and calls.

    def push_global(self, module: Any, name: Any) -> None:
        """Pushes a reference to an allowed global."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise Refused(f"names a global by a {type(name).__name__} before byte {self.position:,}; expected text")
        key = (module, name)
        if key not in self.allowed:
            raise Refused(f"names {shorten(f'{module}.{name}')}, which no such file needs")
        if key not in self.globals:
            self.globals[key] = GlobalRef(module, name, self.allowed[key])
        self.push(self.globals[key])

    def stack_global(self) -> None:
        name = self.pop()
        self.push_global(self.pop(), name)

    def call(self, *, keywords: bool = False) -> None:
        given = self.pop() if keywords else {}
        arguments = self.pop()
        target = self.pop()
        if not isinstance(target, GlobalRef):
            raise Refused(f"calls a {type(target).__name__} before byte {self.position:,}")
        if not isinstance(arguments, tuple) or not isinstance(given, dict) or given:
            raise Refused(f"calls {target} with arguments that are not a plain tuple")
        try:
            value = target.make(*arguments)
        except (TypeError, ValueError, OverflowError, AttributeError, KeyError, IndexError) as e:
            raise Refused(f"calls {target} with invalid arguments ({shorten(str(e))})") from e
        if isinstance(value, (bytes, str)):
            self.budget.spend(len(value))
        self.push(value)

    def build(self) -> None:
        state = self.pop()
        target = self.top(object, "")
        if isinstance(target, Record):
            try:
                target.build(state)
            except (TypeError, ValueError, OverflowError, AttributeError, KeyError, IndexError) as e:
                raise Refused(f"sets an invalid state of a {type(target).__name__} ({shorten(str(e))})") from e
        elif not isinstance(target, Attributes):
            raise Refused(f"sets attributes of a {type(target).__name__} before byte {self.position:,}")

    def persistent_load(self, reference: Any) -> None:
        if self.persistent is None:
            raise Refused(f"has a persistent id before byte {self.position:,}")
        self.push(self.persistent(reference))

    # Text-mode numbers and strings.

    def int_line(self) -> None:
        truth = bytes(self.data[self.position : self.position + 3])
        value = self.decimal_line("a number")
        self.push(bool(value) if truth in (b"00\n", b"01\n") else value)

    def float_line(self) -> None:
        line = self.read_line()
        try:
            self.push(float(line))
        except ValueError as e:
            raise Refused(f"has {shorten(line, 40)!r} as a number before byte {self.position:,}") from e

    def quoted_line(self) -> None:
        line = self.read_line().encode("latin-1")
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
            raise Refused(f"has text without quotes before byte {self.position:,}")
        try:
            data, _ = codecs.escape_decode(line[1:-1])
        except ValueError as e:
            raise Refused(f"has text with a broken escape before byte {self.position:,}") from e
        self.old_string(memoryview(bytearray(data)))

    def old_string(self, data: memoryview) -> None:
        """A Python 2 string, which may be text or bytes; short ASCII is taken as text."""
        if len(data) > MAX_COPY_BYTES:
            self.push(data)
            return
        short = bytes(data)
        self.push(short.decode("ascii") if short.isascii() else short)

    def unicode_line(self) -> None:
        try:
            text, _ = codecs.raw_unicode_escape_decode(self.read_line().encode("latin-1"))
        except UnicodeDecodeError as e:
            raise Refused(f"has text with a broken escape before byte {self.position:,}") from e
        self.push(text)

    def push_long(self, length: int) -> None:
        if not 0 <= length <= _MAX_INT_BYTES:
            raise Refused(
                f"has an int of {length:,} bytes before byte {self.position:,}; the limit is {_MAX_INT_BYTES}"
            )
        self.push(int.from_bytes(self.read(length), "little", signed=True))
