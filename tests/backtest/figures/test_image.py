"""Pictures as PNG and SVG."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from workbench.backtest import figures
from workbench.errors import CannotWrite


def test_an_svg_keeps_its_text_and_turns_colours_with_the_page(walk_forward_made):
    svg = figures.svg(figures.equity(walk_forward_made))
    assert svg.startswith("<svg")
    assert ">sma_cross: equity</text>" in svg
    assert "var(--own, #0b5cad)" in svg
    assert "<metadata>" not in svg
    assert svg == figures.svg(figures.equity(walk_forward_made))


def test_a_notebook_shows_a_picture_without_being_asked(walk_forward_made):
    data, size = figures.equity(walk_forward_made)._repr_png_()
    assert data.startswith(b"\x89PNG")
    assert size == {"width": 900}


def test_a_picture_that_cannot_be_written_names_the_file(walk_forward_made, tmp_path):
    with pytest.raises(CannotWrite, match=r"nowhere/equity\.png: No such file"):
        figures.png(figures.equity(walk_forward_made), Path(tmp_path / "nowhere" / "equity.png"))


def test_pictures_can_be_drawn_in_threads_at_once(walk_forward_made):
    alone = figures.svg(figures.folds(walk_forward_made))
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(figures.svg(figures.folds(walk_forward_made)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 4
