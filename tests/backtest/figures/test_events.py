"""Event studies as pictures: what is written on them, and what the lines and cells are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

import numpy as np
import pandas as pd
import pytest

from workbench.backtest import figures
from workbench.backtest.events.study import EventStudy, event_study
from workbench.backtest.figures.events import LINES, caar, event_map
from workbench.errors import InputRefused


@pytest.fixture(scope="module")
def study(bars_of) -> EventStudy:
    """Eight events of two stocks that follow their fund, one after another, each followed by a move of its surprise."""
    fund = 0.01 * np.sin(np.arange(400) * 1.7)
    moves = np.column_stack([fund, 0.5 * fund, 1.5 * fund])
    rows, sizes = range(60, 380, 40), [0.04, -0.02, 0.03, -0.01, 0.02, -0.04, 0.01, -0.03]
    for row, size in zip(rows, sizes, strict=True):
        moves[row, 1 + row // 40 % 2] += size
    bars = bars_of(100.0 * np.cumprod(1.0 + moves, axis=0), ["FND", "AAA", "BBB"], market="sample")
    asked = pd.DataFrame(
        {
            "symbol": [("AAA", "BBB")[row // 40 % 2] for row in rows],
            "known_at": [bars.index[row].to_pydatetime().replace(hour=17, tzinfo=UTC) for row in rows],
            "surprise": [100.0 * size for size in sizes],
        }
    )
    return event_study(bars, asked, "FND", window=(-3, 5), estimation=(-30, -5))


def test_a_line_a_group_ends_at_its_mean_with_its_name_and_its_count(study, texts):
    figure = caar(study.split("surprise"), "After surprises")
    found = texts(figure)
    assert "surprise above 0, 4\n2.50 %" in found
    assert "surprise below 0, 4\n−2.50 %" in found
    assert "Mean abnormal return since the event's eve; 95 % bootstrap interval, events clustered by month" in found
    assert "sessions from the event; market model on FND, alpha and beta of sessions −30 to −5" in found
    above = next(line for line in figure.axes[0].lines if len(line.get_xdata()) == 9)
    assert above.get_xdata().tolist() == list(range(-3, 6))
    assert above.get_ydata() == pytest.approx([0, 0, 0, *[0.025] * 6], abs=1e-9)


def test_one_study_is_one_line(study, texts):
    assert "all events, 8\n0.00 %" in texts(caar(study))
    with pytest.raises(InputRefused, match="no study to draw"):
        caar({})


def test_made_data_says_so_and_no_other_does(study, texts):
    for draw in (caar, event_map):
        assert "SAMPLE MARKET" in texts(draw(study))
        assert "SAMPLE MARKET" not in texts(draw(replace(study, market="real")))


def test_the_map_has_a_line_an_event_in_the_order_asked_for(study, texts):
    by_size = event_map(study, by="surprise")
    cells = np.asarray(by_size.axes[0].images[0].get_array())
    assert cells.shape == (8, 9)
    assert cells[:, -1] == pytest.approx([0.04, 0.03, 0.02, 0.01, -0.01, -0.02, -0.03, -0.04], abs=1e-9)
    assert cells[:, :3] == pytest.approx(np.zeros((8, 3)), abs=1e-9)
    assert {"4.0", "−4.0"} <= set(texts(by_size))
    by_time = event_map(study)
    cells = np.asarray(by_time.axes[0].images[0].get_array())
    assert cells[:, 3] == pytest.approx([0.04, -0.02, 0.03, -0.01, 0.02, -0.04, 0.01, -0.03], abs=1e-9)
    with pytest.raises(InputRefused, match="events have no 'surprize'"):
        event_map(study, by="surprize")


def test_a_large_map_shows_means_of_neighbours(study, texts):
    many = replace(
        study,
        abnormal=pd.concat([study.abnormal] * 30, ignore_index=True),
        events=pd.concat([study.events] * 30, ignore_index=True),
    )
    figure = event_map(many, by="surprise")
    assert np.asarray(figure.axes[0].images[0].get_array()).shape == (LINES, 9)
    assert any(text.endswith("a line the mean of 4 neighbours") for text in texts(figure))
    assert figures.png(figure).startswith(b"\x89PNG")
