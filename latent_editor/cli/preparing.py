"""Prepares a new model, with a progress bar, before a command that needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latent_editor.cli.progress import ProgressBar, stop_on_interrupt

if TYPE_CHECKING:
    from latent_editor.core.values import Step
    from latent_editor.generators import Generator


def show_preparation(g: Generator, *parts: str) -> bool:
    """Prepares a model unless it is prepared, with a progress bar on stderr.

    Args:
        g: The generator.
        parts: The required parts, of "faces", "text" and "sliders"; none means all.

    Returns:
        Whether there was anything to do.

    Raises:
        KeyboardInterrupt: Ctrl-C; finished parts are kept, and the next command resumes there.
    """
    from latent_editor.preparation import prepare, prepared

    if prepared(g, *parts):
        return False
    with stop_on_interrupt() as stopped, ProgressBar(f"Preparing {g.name}") as bar:

        def on_step(step: Step) -> bool:
            bar.show(step)
            return stopped.is_set()

        prepare(g, *parts, on_step=on_step)
    if stopped.is_set():
        raise KeyboardInterrupt
    return True
