"""A pickle machine that can build plain values, and nothing else.

A pickle is a program for a small stack machine. Python's own machine imports what the program names and calls it; this
one knows a table of names and, for each, a harmless function of this project. There is no instruction left that could
import, look up an attribute, or call anything else. The alternative, ``pickle.Unpickler.find_class``, was refused: it
sizes its memo and its buffers by what the file claims, cannot count, and still calls what it was given with whatever
the file says.
"""

from __future__ import annotations

from typing import Any

from latent_editor.checkpoints.unpickling.instructions import REFUSED, STEPS
from latent_editor.checkpoints.unpickling.records import Refused
from latent_editor.checkpoints.unpickling.stack import PickleStack


class Machine(PickleStack):
    """Runs one pickle. After :meth:`run`, ``position`` is where the pickle ended."""

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
            step = STEPS.get(code)
            if step is None:
                self.refuse(code, start)
            else:
                step(self)

    def refuse(self, code: int, start: int) -> None:
        """Says what an instruction would have done."""
        if code == 0x69:  # INST, the oldest way to call: its name says more than that
            self.name(self.line(), self.line())
        what = REFUSED.get(code, f"the unknown instruction {code:#04x}")
        raise Refused(f"has {what} at byte {start:,}, which no model needs")
