"""The supported pickle opcodes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from latent_editor.checkpoints.unpickling.stack import PickleStack

#: Opcodes that no model needs, with descriptions.
FORBIDDEN_OPCODES: Mapping[int, str] = MappingProxyType(
    {
        0x50: "a text-mode persistent id",
        0x69: "an INST call",
        0x6F: "an OBJ call",
        0x82: "an extension code",
        0x83: "an extension code",
        0x84: "an extension code",
        0x97: "an out-of-band buffer",
        0x98: "an out-of-band buffer",
    }
)

OPCODES: Mapping[int, Callable[[PickleStack], Any]] = MappingProxyType(
    {
        ord("("): lambda m: m.marks.append(len(m.stack)),
        ord("0"): lambda m: m.pop_to_mark() if m.marks and m.marks[-1] == len(m.stack) else m.pop(),
        ord("1"): lambda m: m.pop_to_mark(),
        ord("2"): lambda m: m.push(m.top(object, "")),
        ord("F"): lambda m: m.float_line(),
        ord("I"): lambda m: m.int_line(),
        ord("J"): lambda m: m.push(m.read_int("<i")),
        ord("K"): lambda m: m.push(m.read_int("<B")),
        ord("L"): lambda m: m.push(m.decimal_line("a number")),
        ord("M"): lambda m: m.push(m.read_int("<H")),
        ord("N"): lambda m: m.push(None),
        ord("Q"): lambda m: m.persistent_load(m.pop()),
        ord("R"): lambda m: m.call(),
        ord("S"): lambda m: m.quoted_line(),
        ord("T"): lambda m: m.old_string(m.read(m.read_int("<I"))),
        ord("U"): lambda m: m.old_string(m.read(m.read_int("<B"))),
        ord("V"): lambda m: m.unicode_line(),
        ord("X"): lambda m: m.push(m.read_text(m.read_int("<I"))),
        ord("a"): lambda m: m.append([m.pop()]),
        ord("b"): lambda m: m.build(),
        ord("c"): lambda m: m.push_global(m.read_line(), m.read_line()),
        ord("d"): lambda m: m.push_dict(),
        ord("}"): lambda m: m.push({}),
        ord("e"): lambda m: m.append(m.pop_to_mark()),
        ord("g"): lambda m: m.get(m.decimal_line("a place in its memory")),
        ord("h"): lambda m: m.get(m.read_int("<B")),
        ord("j"): lambda m: m.get(m.read_int("<I")),
        ord("l"): lambda m: m.push(m.pop_to_mark()),
        ord("]"): lambda m: m.push([]),
        ord("p"): lambda m: m.put(m.decimal_line("a place in its memory")),
        ord("q"): lambda m: m.put(m.read_int("<B")),
        ord("r"): lambda m: m.put(m.read_int("<I")),
        ord("s"): lambda m: m.set_items([m.pop(), m.pop()][::-1]),
        ord("t"): lambda m: m.push(tuple(m.pop_to_mark())),
        ord(")"): lambda m: m.push(()),
        ord("u"): lambda m: m.set_items(m.pop_to_mark()),
        ord("G"): lambda m: m.push(struct.unpack(">d", m.read(8))[0]),
        ord("B"): lambda m: m.push(m.read_blob(m.read_int("<I"))),
        ord("C"): lambda m: m.push(m.read_blob(m.read_int("<B"))),
        0x80: lambda m: m.read(1),  # PROTO
        0x81: lambda m: m.call(),  # NEWOBJ
        0x85: lambda m: m.pop_tuple(1),
        0x86: lambda m: m.pop_tuple(2),
        0x87: lambda m: m.pop_tuple(3),
        0x88: lambda m: m.push(True),
        0x89: lambda m: m.push(False),
        0x8A: lambda m: m.push_long(m.read_int("<B")),
        0x8B: lambda m: m.push_long(m.read_int("<i")),
        0x8C: lambda m: m.push(m.read_text(m.read_int("<B"))),
        0x8D: lambda m: m.push(m.read_text(m.read_int("<Q"))),
        0x8E: lambda m: m.push(m.read_blob(m.read_int("<Q"))),
        0x8F: lambda m: m.push(set()),
        0x90: lambda m: m.add_items(m.pop_to_mark()),
        0x91: lambda m: m.push(frozenset(m.hashable(item) for item in m.pop_to_mark())),
        0x92: lambda m: m.call(keywords=True),  # NEWOBJ_EX
        0x93: lambda m: m.stack_global(),
        0x94: lambda m: m.put(len(m.memo)),  # MEMOIZE
        0x95: lambda m: m.read(0) if m.read_int("<Q") else None,  # FRAME: a hint for readers that buffer
        0x96: lambda m: m.push(m.read_blob(m.read_int("<Q"))),
    }
)
