"""The gradio Blocks: one component that is the whole editor, and the events that it calls through the queue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from latent_editor.ui.jobs.fit_direction import clean_event, fit_event
from latent_editor.ui.jobs.job import Models
from latent_editor.ui.jobs.part_transfer import part_transfer_event
from latent_editor.ui.jobs.point_drag import drag_event
from latent_editor.ui.jobs.reconstruct import describe_event, reconstruct_event
from latent_editor.ui.jobs.repair import repair_event
from latent_editor.ui.jobs.text import imagine_event, reread_event
from latent_editor.ui.jobs.video import film_event

STATIC_FOLDER = Path(__file__).resolve().parent / "static"
TITLE = "Latent Editor"
_SYSTEM_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
#: The script is loaded as a module, from the address of the page, so that a path in front of it does no harm.
_START = "import(new URL('editor/ui/main.js', document.baseURI)).then(main => main.start(element));"


def create_page(models: Models) -> gr.Blocks:
    """The page. Mount it with :func:`mount_options`, beside the routes."""
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, fill_width=True, fill_height=True, delete_cache=(3600, 7200)
    ) as page:
        gr.HTML(
            html_template=(STATIC_FOLDER / "page.html").read_text(encoding="utf-8"),
            js_on_load=_START,
            apply_default_css=False,
            elem_id="editor",
        )
        gr.api(reconstruct_event(models), api_name="reconstruct", concurrency_limit=1, concurrency_id="heavy")
        gr.api(drag_event(models), api_name="drag", concurrency_limit=1, concurrency_id="heavy")
        gr.api(describe_event(models), api_name="describe", concurrency_limit=1, concurrency_id="heavy")
        gr.api(repair_event(models), api_name="repair", concurrency_limit=1, concurrency_id="heavy")
        gr.api(fit_event(models), api_name="fit", concurrency_limit=1, concurrency_id="heavy")
        gr.api(part_transfer_event(models), api_name="take", concurrency_limit=1, concurrency_id="heavy")
        gr.api(clean_event(models), api_name="clean", concurrency_limit=1, concurrency_id="heavy")
        gr.api(film_event(models), api_name="film", concurrency_limit=1, concurrency_id="heavy")
        gr.api(imagine_event(models), api_name="imagine", concurrency_limit=1, concurrency_id="heavy")
        gr.api(reread_event(models), api_name="reread", concurrency_limit=1, concurrency_id="heavy")
    return page.queue(max_size=32)


def mount_options() -> dict[str, Any]:
    """What the mounting function needs to show the page as it was designed."""
    theme = gr.themes.Base(font=_SYSTEM_FONTS, font_mono=["ui-monospace", "Consolas", "monospace"])
    head = (STATIC_FOLDER / "head.html").read_text(encoding="utf-8")
    return {"theme": theme, "head": head, "footer_links": [], "run_history": False, "show_error": False}
