"""The shell command in this process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from latent_editor.cli import main


class Shell:
    """Runs ``main`` and keeps what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys
        self.out = self.err = ""

    def __call__(self, *words: object) -> int:
        code = main([str(word) for word in words])
        self.out, self.err = self.capsys.readouterr()
        return code

    def json(self, *words: object) -> dict[str, Any]:
        assert self(*words, "--json") == 0, self.err
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found

    def refuses(self, *words: object, code: int = 2) -> str:
        """The message of a refusal, which is short and holds no traceback."""
        assert self(*words) == code
        assert self.out == ""
        message = self.err.splitlines()[-1]
        assert message.startswith("latent-editor: ")
        assert "Traceback" not in self.err
        assert len(message) < 600
        return message
