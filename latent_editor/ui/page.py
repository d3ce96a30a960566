"""The gradio page: one HTML component with the whole editor, and the events that it calls through the queue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from latent_editor.ui.jobs.fit_direction import disentangle_event, fit_event
from latent_editor.ui.jobs.job import Models
from latent_editor.ui.jobs.part_transfer import part_transfer_event
from latent_editor.ui.jobs.point_drag import drag_event
from latent_editor.ui.jobs.reconstruct import reconstruct_event
from latent_editor.ui.jobs.repair import repair_event
from latent_editor.ui.jobs.text_face import text_face_event
from latent_editor.ui.jobs.text_slider import describe_event, text_method_event
from latent_editor.ui.jobs.video import video_event

STATIC_FOLDER = Path(__file__).resolve().parent / "static"
TITLE = "Latent Editor"
_SYSTEM_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
#: Loads the script relative to the page, which may be served under a path prefix.
_START = "import(new URL('editor/ui/main.js', document.baseURI)).then(main => main.start(element));"


def create_page(models: Models) -> gr.Blocks:
    """Builds the page, to be mounted with :func:`mount_options`. The API names are public and stay."""
    events = {
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
        for name, event in events.items():  # one at a time: each uses all cores
            gr.api(event, api_name=name, concurrency_limit=1, concurrency_id="heavy")
    return page.queue(max_size=32)


def mount_options() -> dict[str, Any]:
    """Options of ``gr.mount_gradio_app`` that leave the design to the page itself."""
    theme = gr.themes.Base(font=_SYSTEM_FONTS, font_mono=["ui-monospace", "Consolas", "monospace"])
    head = (STATIC_FOLDER / "head.html").read_text(encoding="utf-8")
    return {"theme": theme, "head": head, "footer_links": [], "run_history": False, "show_error": False}
