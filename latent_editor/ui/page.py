"""The gradio page: one HTML component with the whole editor, and the events that it calls through the queue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from latent_editor.ui.jobs.fit_direction import disentangle_event, fit_event
from latent_editor.ui.jobs.part_transfer import part_transfer_event
from latent_editor.ui.jobs.point_drag import drag_event
from latent_editor.ui.jobs.queue import JobQueue
from latent_editor.ui.jobs.reconstruct import reconstruct_event
from latent_editor.ui.jobs.repair import repair_event
from latent_editor.ui.jobs.text_face import text_face_event
from latent_editor.ui.jobs.text_slider import describe_event, text_method_event
from latent_editor.ui.jobs.video import video_event
from latent_editor.ui.service.model_registry import ModelRegistry

STATIC_FOLDER = Path(__file__).resolve().parent / "static"
TITLE = "Latent Editor"
#: How many events may wait at a time for their models and their turns; gradio runs at most 40, and queues as many more.
MAX_WAITING = 32
_SYSTEM_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
#: Loads the script relative to the page, which may be served under a path prefix.
_START = "import(new URL('editor/ui/main.js', document.baseURI)).then(main => main.start(element));"


def create_page(models: ModelRegistry) -> gr.Blocks:
    """Builds the page, to be mounted with :func:`mount_options`. The API names are public and stay."""
    events: dict[str, Callable[..., Any]] = {
        "reconstruct": reconstruct_event(models),
        "drag": drag_event(models),
        "describe": describe_event(models),
        "repair": repair_event(models),
        "fit": fit_event(models),
        "take": part_transfer_event(models),
        "clean": disentangle_event(models),
        "film": video_event(models),
        "imagine": text_face_event(models),
        "reread": text_method_event(models),
    }
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, fill_width=True, fill_height=True, delete_cache=(3600, 7200)
    ) as page:
        gr.HTML(
            html_template=(STATIC_FOLDER / "page.html").read_text(encoding="utf-8"),
            js_on_load=_START,
            apply_default_css=False,
            elem_id="editor",
        )
        jobs = JobQueue(models)
        for name, event in events.items():  # gradio lets them all start: the job queue runs one at a time
            gr.api(jobs.queued(event), api_name=name, concurrency_limit=MAX_WAITING, concurrency_id="heavy")
    return page.queue(max_size=MAX_WAITING)


def mount_options() -> dict[str, Any]:
    """Options of ``gr.mount_gradio_app`` that leave the design to the page itself."""
    theme = gr.themes.Base(font=_SYSTEM_FONTS, font_mono=["ui-monospace", "Consolas", "monospace"])
    head = (STATIC_FOLDER / "head.html").read_text(encoding="utf-8")
    return {"theme": theme, "head": head, "footer_links": [], "run_history": False, "show_error": False}
