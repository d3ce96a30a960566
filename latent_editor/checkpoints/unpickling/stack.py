"""The state of a pickle machine: what it reads, its stack and its memo, and the steps that change them."""

from __future__ import annotations

import codecs
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from latent_editor.checkpoints.unpickling.records import (
    LONGEST_COPY,
    Attributes,
    Budget,
    Named,
    Record,
    Refused,
    shorten,
)

Allowed = Mapping[tuple[str, str], Callable[..., Any]]

#: Bytes of the longest whole number; the one that marks a file of torch.save has ten.
_LONGEST_INT = 16
_WHOLE = re.compile(r"-?[0-9]{1,40}")


class PickleStack:
    """The state of one pickle, and every step that can change it.

    Attributes:
        position: Where the next instruction is.
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
        self.names: dict[tuple[str, str], Named] = {}

    # Reading.

    def take(self, count: int) -> memoryview:
        """The next ``count`` bytes, not copied."""
        left = len(self.data) - self.position
        if count > left:
            raise Refused(f"is cut short: at byte {self.position:,} it claims {count:,} more bytes and has {left:,}")
        start, self.position = self.position, self.position + count
        return self.data[start : self.position]

    def number(self, layout: str) -> int:
        (value,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        return int(value)

    def line(self) -> str:
        """The text up to the next line feed."""
        start, piece = self.position, 256
        end = -1
        while end < 0 and start < len(self.data):  # a piece at a time: what is left may be a gigabyte
            piece *= 2
            found = bytes(self.data[start : start + piece]).find(b"\n")
            end = start + found if found >= 0 else -1
            start += piece
            self.budget.spend(piece if end < 0 else max(found, 0))
        if end < 0:
            raise Refused(f"is cut short or damaged: the line that begins at byte {self.position:,} does not end")
        begin, self.position = self.position, end + 1
        return str(self.data[begin:end], "latin-1")

    def text(self, length: int) -> str:
        self.budget.spend(length)
        try:
            return str(self.take(length), "utf-8", "surrogatepass")
        except UnicodeDecodeError as e:
            raise Refused(f"holds text that is not UTF-8 before byte {self.position:,}") from e

    def bytes_(self, length: int) -> bytes | memoryview:
        view = self.take(length)
        return bytes(view) if length <= LONGEST_COPY else view

    # The stack.

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        self.need(1)
        return self.stack.pop()

    def need(self, count: int) -> None:
        """Makes sure that ``count`` values lie above the last mark."""
        if len(self.stack) - (self.marks[-1] if self.marks else 0) < count:
            raise Refused(f"takes a value from an empty stack before byte {self.position:,}")

    def pop_to_mark(self) -> list[Any]:
        if not self.marks:
            raise Refused(f"closes before byte {self.position:,} what it never opened")
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

    # Memory.

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise Refused(f"uses before byte {self.position:,} the value {index}, which it never kept")
        self.push(self.memo[index])

    def put(self, index: int) -> None:
        self.need(1)
        self.memo[index] = self.stack[-1]

    def digits(self, what: str) -> int:
        line = self.line().removesuffix("L")
        if not _WHOLE.fullmatch(line):
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
        """Keys are numbers and text only: whatever is nested would be hashed as deeply as it is nested."""
        if key is not None and not isinstance(key, (str, int, float, bytes)):
            raise Refused(
                f"has a {type(key).__name__} for a key before byte {self.position:,}; expected text or a number"
            )
        return key

    def dict_(self) -> None:
        items = self.pop_to_mark()
        self.push({})
        self.set_items(items)

    # Names and calls.

    def name(self, module: Any, name: Any) -> None:
        """Puts the stand-in of a global on the stack."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise Refused(f"names something by a {type(name).__name__} before byte {self.position:,}; expected text")
        key = (module, name)
        if key not in self.allowed:
            raise Refused(f"names {shorten(f'{module}.{name}')}, which is none of the names that such a file needs")
        if key not in self.names:
            self.names[key] = Named(module, name, self.allowed[key])
        self.push(self.names[key])

    def stack_name(self) -> None:
        name = self.pop()
        self.name(self.pop(), name)

    def call(self, *, keywords: bool = False) -> None:
        given = self.pop() if keywords else {}
        arguments = self.pop()
        target = self.pop()
        if not isinstance(target, Named):
            raise Refused(f"calls a {type(target).__name__} before byte {self.position:,}")
        if not isinstance(arguments, tuple) or not isinstance(given, dict) or given:
            raise Refused(f"calls {target} with arguments that are no plain tuple")
        try:
            value = target.make(*arguments)
        except (TypeError, ValueError, OverflowError, AttributeError, KeyError, IndexError) as e:
            raise Refused(f"gives {target} arguments that do not fit it ({shorten(str(e))})") from e
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
                raise Refused(
                    f"gives a {type(target).__name__} a state that does not fit it ({shorten(str(e))})"
                ) from e
        elif not isinstance(target, Attributes):
            raise Refused(f"sets attributes of a {type(target).__name__} before byte {self.position:,}")

    def refer(self, reference: Any) -> None:
        if self.persistent is None:
            raise Refused(f"refers to something outside of itself before byte {self.position:,}")
        self.push(self.persistent(reference))

    # Numbers and text in words.

    def int_line(self) -> None:
        truth = bytes(self.data[self.position : self.position + 3])
        value = self.digits("a number")
        self.push(bool(value) if truth in (b"00\n", b"01\n") else value)

    def float_line(self) -> None:
        line = self.line()
        try:
            self.push(float(line))
        except ValueError as e:
            raise Refused(f"has {shorten(line, 40)!r} for a number before byte {self.position:,}") from e

    def quoted_line(self) -> None:
        line = self.line().encode("latin-1")
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
            raise Refused(f"has text without quotes before byte {self.position:,}")
        try:
            data, _ = codecs.escape_decode(line[1:-1])
        except ValueError as e:
            raise Refused(f"has text with a broken escape before byte {self.position:,}") from e
        self.old_string(memoryview(bytearray(data)))

    def old_string(self, data: memoryview) -> None:
        """Python 2 did not tell text from bytes; short ASCII is taken for text."""
        if len(data) > LONGEST_COPY:
            self.push(data)
            return
        short = bytes(data)
        self.push(short.decode("ascii") if short.isascii() else short)

    def unicode_line(self) -> None:
        try:
            text, _ = codecs.raw_unicode_escape_decode(self.line().encode("latin-1"))
        except UnicodeDecodeError as e:
            raise Refused(f"has text with a broken escape before byte {self.position:,}") from e
        self.push(text)

    def long(self, length: int) -> None:
        if not 0 <= length <= _LONGEST_INT:
            raise Refused(f"has a number of {length:,} bytes before byte {self.position:,}; at most {_LONGEST_INT}")
        self.push(int.from_bytes(self.take(length), "little", signed=True))
