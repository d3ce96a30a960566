"""The shell command. Nothing heavy is imported before a command needs it, so that ``--help`` is instant."""

from latent_editor.cli.shell import main

__all__ = ["main"]
