"""A pickle machine that can only build plain values.

A pickle is a program for a small stack machine. Python's machine imports and calls whatever the program references;
this one has an allowlist of globals and a harmless stand-in for each. No opcode can import, look up an attribute, or
call anything else. The alternative, overriding ``pickle.Unpickler.find_class``, was rejected: it allocates memo and
buffers by the sizes that the file claims, has no instruction limit, and still calls the allowed globals with arbitrary
arguments.
"""

from __future__ import annotations

from typing import Any

from latent_editor.checkpoints.unpickling.instructions import FORBIDDEN_OPCODES, OPCODES
from latent_editor.checkpoints.unpickling.records import Refused
from latent_editor.checkpoints.unpickling.stack import PickleStack


class Machine(PickleStack):
    """Interprets one pickle. After :meth:`run`, ``position`` is the end of the pickle."""

    def run(self) -> Any:
        """Runs to the STOP opcode.

        Raises:
            Refused: with the reason.
        """
        while True:
            self.budget.step()
            start = self.position
            code = self.read(1)[0]
            if code == 0x2E:  # STOP
                if len(self.stack) != 1 or self.marks:
                    raise Refused(f"ends at byte {start:,} with {len(self.stack)} values instead of one")
                return self.stack[0]
            step = OPCODES.get(code)
            if step is None:
                self.refuse(code, start)
            else:
                step(self)

    def refuse(self, code: int, start: int) -> None:
        """Raises Refused for an unsupported opcode."""
        if code == 0x69:  # INST: the global that it would call makes a better message
            self.push_global(self.read_line(), self.read_line())
        what = FORBIDDEN_OPCODES.get(code, f"the unknown opcode {code:#04x}")
        raise Refused(f"has {what} at byte {start:,}, which no model needs")
