"""An executed notebook as one HTML page without its code: what goes to people who do not open notebooks."""

from __future__ import annotations

from pathlib import Path

from workbench.disk import write_whole, writing
from workbench.errors import NoData
from workbench.types import SAMPLE

BANNER = (
    '<div style="background:#8a5a00;color:white;padding:.6em 1em;font:600 14px system-ui">'
    "SAMPLE MARKET: made data with planted effects. It says nothing about real markets.</div>"
)


def export_html(notebook: Path, page: Path, market: str) -> Path:
    """Write the page in one step: a reader never sees half of it."""
    from nbconvert import HTMLExporter

    if not notebook.is_file():
        raise NoData(f"{notebook}: the executed notebook is gone; run it again: make backtest")
    exporter = HTMLExporter(
        exclude_input=True, exclude_input_prompt=True, exclude_output_prompt=True, embed_images=True
    )
    # The templates load two scripts from a CDN; the page must open offline.
    exporter.mathjax_url = exporter.require_js_url = exporter.jquery_url = ""
    body, _ = exporter.from_filename(str(notebook))
    if market == SAMPLE:
        head, found, rest = body.partition("<main>")
        body = head + BANNER + found + rest if found else BANNER + body
    with writing(page):
        page.parent.mkdir(parents=True, exist_ok=True)
        write_whole(page, body)
    return page
