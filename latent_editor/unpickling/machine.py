"""A pickle machine that can build plain values, and nothing else.

A pickle is a program for a small stack machine. Python's own machine imports what the program names and calls it; this
one knows a table of names and, for each, a harmless function of this project. There is no instruction left that could
import, look up an attribute, or call anything else. The alternative, ``pickle.Unpickler.find_class``, was refused: it
sizes its memo and its buffers by what the file claims, cannot count, and still calls what it was given with whatever
the file says.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable, Mapping
from typing import Any

from latent_editor.unpickling.records import LONGEST_COPY, Attributes, Budget, Named, Record, Refused

Allowed = Mapping[tuple[str, str], Callable[..., Any]]

#: Bytes of the longest whole number; the one that marks a file of torch.save has ten.
_LONGEST_INT = 16


class Machine:
    """Runs one pickle.

    Attributes:
        position: Where the next instruction is; after :meth:`run`, where the pickle ended.
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

    def run(self) -> Any:
        """Runs to the STOP instruction.

        Raises:
            Refused: with the reason.
        """
        while True:
            self.budget.step()
            start = self.position
            code = self.take(1)[0]
            if code == 0x2E:  # STOP
                if len(self.stack) != 1 or self.marks:
                    raise Refused(f"ends at byte {start:,} with {len(self.stack)} values instead of one")
                return self.stack[0]
            step = _STEPS.get(code)
            if step is None:
                raise Refused(f"has {_name_of(code)} at byte {start:,}, which no model needs")
            step(self)

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
        line = self.line()
        if len(line) > 40 or not line.lstrip("-").isdigit() or not line.isascii():
            raise Refused(f"has {line[:40]!r} for {what} before byte {self.position:,}")
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
        line = self.line()
        if line in ("00", "01"):
            self.push(line == "01")
        else:
            self.position -= len(line) + 1
            self.push(self.digits("a number"))

    def long_line(self) -> None:
        line = self.line()
        self.position -= len(line) + 1
        if line.endswith("L"):
            line = line[:-1]
        if len(line) > 40 or not line.lstrip("-").isdigit() or not line.isascii():
            raise Refused(f"has {line[:40]!r} for a number at byte {self.position:,}")
        self.line()
        self.push(int(line))

    def float_line(self) -> None:
        line = self.line()
        try:
            self.push(float(line))
        except ValueError as e:
            raise Refused(f"has {line[:40]!r} for a number before byte {self.position:,}") from e

    def quoted_line(self) -> None:
        line = self.line().encode("latin-1")
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
            raise Refused(f"has text without quotes before byte {self.position:,}")
        try:
            data, _ = codecs.escape_decode(line[1:-1])
        except ValueError as e:
            raise Refused(f"has text with a broken escape before byte {self.position:,}") from e
        self.push(old_string(memoryview(bytearray(data))))

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


def old_string(data: memoryview) -> str | bytes | memoryview:
    """Python 2 did not tell text from bytes; short ASCII is taken for text."""
    if len(data) > LONGEST_COPY:
        return data
    short = bytes(data)
    return short.decode("ascii") if short.isascii() else short


def shorten(text: str, length: int = 80) -> str:
    """Text from a file, safe to print and not long."""
    clean = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[: length + 1])
    return clean if len(clean) <= length else f"{clean[:length]}…"


def _name_of(code: int) -> str:
    """An instruction in words."""
    known = {
        0x50: "a persistent id in words",
        0x69: "an INST call",
        0x6F: "an OBJ call",
        0x82: "an extension code",
        0x83: "an extension code",
        0x84: "an extension code",
        0x97: "an out-of-band buffer",
        0x98: "an out-of-band buffer",
    }
    return known.get(code, f"the unknown instruction {code:#04x}")


_STEPS: dict[int, Callable[[Machine], Any]] = {
    ord("("): lambda m: m.marks.append(len(m.stack)),
    ord("0"): lambda m: m.pop_to_mark() if m.marks and m.marks[-1] == len(m.stack) else m.pop(),
    ord("1"): lambda m: m.pop_to_mark(),
    ord("2"): lambda m: m.push(m.top(object, "")),
    ord("F"): lambda m: m.float_line(),
    ord("I"): lambda m: m.int_line(),
    ord("J"): lambda m: m.push(m.number("<i")),
    ord("K"): lambda m: m.push(m.number("<B")),
    ord("L"): lambda m: m.long_line(),
    ord("M"): lambda m: m.push(m.number("<H")),
    ord("N"): lambda m: m.push(None),
    ord("Q"): lambda m: m.refer(m.pop()),
    ord("R"): lambda m: m.call(),
    ord("S"): lambda m: m.quoted_line(),
    ord("T"): lambda m: m.push(old_string(m.take(m.number("<I")))),
    ord("U"): lambda m: m.push(old_string(m.take(m.number("<B")))),
    ord("V"): lambda m: m.unicode_line(),
    ord("X"): lambda m: m.push(m.text(m.number("<I"))),
    ord("a"): lambda m: m.append([m.pop()]),
    ord("b"): lambda m: m.build(),
    ord("c"): lambda m: m.name(m.line(), m.line()),
    ord("d"): lambda m: m.dict_(),
    ord("}"): lambda m: m.push({}),
    ord("e"): lambda m: m.append(m.pop_to_mark()),
    ord("g"): lambda m: m.get(m.digits("a place in its memory")),
    ord("h"): lambda m: m.get(m.number("<B")),
    ord("j"): lambda m: m.get(m.number("<I")),
    ord("l"): lambda m: m.push(m.pop_to_mark()),
    ord("]"): lambda m: m.push([]),
    ord("p"): lambda m: m.put(m.digits("a place in its memory")),
    ord("q"): lambda m: m.put(m.number("<B")),
    ord("r"): lambda m: m.put(m.number("<I")),
    ord("s"): lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    ord("t"): lambda m: m.push(tuple(m.pop_to_mark())),
    ord(")"): lambda m: m.push(()),
    ord("u"): lambda m: m.set_items(m.pop_to_mark()),
    ord("G"): lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    ord("B"): lambda m: m.push(m.bytes_(m.number("<I"))),
    ord("C"): lambda m: m.push(m.bytes_(m.number("<B"))),
    0x80: lambda m: m.take(1),  # PROTO
    0x81: lambda m: m.call(),  # NEWOBJ
    0x85: lambda m: m.pop_tuple(1),
    0x86: lambda m: m.pop_tuple(2),
    0x87: lambda m: m.pop_tuple(3),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    0x8A: lambda m: m.long(m.number("<B")),
    0x8B: lambda m: m.long(m.number("<i")),
    0x8C: lambda m: m.push(m.text(m.number("<B"))),
    0x8D: lambda m: m.push(m.text(m.number("<Q"))),
    0x8E: lambda m: m.push(m.bytes_(m.number("<Q"))),
    0x8F: lambda m: m.push(set()),
    0x90: lambda m: m.add_items(m.pop_to_mark()),
    0x91: lambda m: m.push(frozenset(m.hashable(item) for item in m.pop_to_mark())),
    0x92: lambda m: m.call(keywords=True),  # NEWOBJ_EX
    0x93: lambda m: m.stack_name(),
    0x94: lambda m: m.put(len(m.memo)),  # MEMOIZE
    0x95: lambda m: m.take(0) if m.number("<Q") else None,  # FRAME: a hint for readers that buffer
    0x96: lambda m: m.push(m.bytes_(m.number("<Q"))),
}
