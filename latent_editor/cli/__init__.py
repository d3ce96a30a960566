"""The shell command. Heavy imports wait until a command needs them, so ``--help`` is instant."""

from latent_editor.cli.shell import main

__all__ = ["main"]
