"""The pictures: what they show is what the run holds, and no shape of result breaks them."""

from __future__ import annotations

import itertools
import struct
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.backtest import figures
from workbench.errors import CannotWrite, InputRefused


def texts(figure) -> list[str]:
    """Return every text that is drawn, tick labels included."""
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


def small(walk_forward_made, values, start="2021-12-30"):
    """Return a walk-forward whose equity takes these values on consecutive days."""
    index = pd.date_range(start, periods=len(values), freq="D")
    equity = pd.Series(np.asarray(values, dtype=float), index=index)
    simulation = replace(
        walk_forward_made.simulation,
        equity=equity,
        returns=equity / equity.shift(fill_value=100.0) - 1.0,
        positions=pd.DataFrame({"AAA00": 0.0}, index=index),
        costs=pd.DataFrame({"commission": 0.0, "spread": 0.0}, index=index),
        orders=walk_forward_made.simulation.orders.iloc[:0],
        trades=walk_forward_made.simulation.trades.iloc[:0],
        cash=100.0,
    )
    folds = walk_forward_made.folds.head(1).assign(test_start=index[0], test_end=index[-1])
    return replace(
        walk_forward_made, simulation=simulation, folds=folds, benchmark=pd.Series(0.0, index=index, name="benchmark")
    )


@pytest.mark.parametrize("name", figures.FIGURES)
def test_every_picture_is_a_png_wide_enough_to_read(walk_forward_made, tmp_path, name):
    data = figures.png(figures.FIGURES[name](walk_forward_made), tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes() == data
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    assert width == 1350
    assert 200 < height < 1400
    assert len(data) < 400_000


@pytest.mark.parametrize("name", figures.FIGURES)
def test_every_picture_of_made_data_says_so_and_no_other_does(walk_forward_made, name):
    assert "SAMPLE MARKET" in texts(figures.FIGURES[name](walk_forward_made))
    assert "SAMPLE MARKET" not in texts(figures.FIGURES[name](replace(walk_forward_made, market="real")))


def test_an_svg_keeps_its_text_and_turns_colours_with_the_page(walk_forward_made):
    svg = figures.svg(figures.equity(walk_forward_made))
    assert svg.startswith("<svg")
    assert ">sma_cross: equity</text>" in svg
    assert "var(--own, #0b5cad)" in svg
    assert "<metadata>" not in svg
    assert svg == figures.svg(figures.equity(walk_forward_made))


def test_the_equity_ends_where_the_run_ended(walk_forward_made):
    shown = texts(figures.equity(small(walk_forward_made, [100.0, 104.0, 150.0])))
    assert "sma_cross\n1.50×" in shown
    assert "benchmark\n1.00×" in shown


def test_months_compound_within_the_month_and_the_year(walk_forward_made):
    # 30 and 31 December 2021, then 1 and 2 January 2022: 100 -> 110, 99 | 108.9, 98.01
    table = figures.monthly_returns(small(walk_forward_made, [110.0, 99.0, 108.9, 98.01]))
    assert table.index.tolist() == [2021, 2022]
    assert table.loc[2021, 12] == pytest.approx(-0.01)
    assert table.loc[2022, 1] == pytest.approx(-0.01)
    assert table["year"].tolist() == pytest.approx([-0.01, -0.01])
    assert table.loc[2021].isna().sum() == 11


def test_the_worst_drawdowns_are_found_with_their_dates(walk_forward_made):
    # Below the start capital at once; a new high; a fall that is still open.
    wf = small(walk_forward_made, [95.0, 100.0, 120.0, 90.0, 96.0, 120.0, 130.0, 117.0])
    table = figures.worst_drawdowns(wf)
    assert table["depth"].tolist() == pytest.approx([-0.25, -0.10, -0.05])
    assert table["sessions"].tolist() == [2, 1, 1]
    assert [str(day.date()) for day in table["peak"]] == ["2022-01-01", "2022-01-05", "2021-12-30"]
    assert [str(day.date()) for day in table["lowest"]] == ["2022-01-02", "2022-01-06", "2021-12-30"]
    assert str(table["recovered"][0].date()) == "2022-01-04"
    assert table["recovered"][1] is None
    assert "1 session, open" in " ".join(texts(figures.drawdown(wf)))


def test_monthly_turnover_is_value_over_mean_equity(walk_forward_made):
    wf = small(walk_forward_made, [100.0, 100.0, 200.0, 400.0])
    orders = pd.DataFrame(
        {"session": pd.to_datetime(["2021-12-31", "2022-01-01", "2022-01-02"]), "value": [50, 60, 90]}
    )
    traded = figures.monthly_turnover(replace(wf, simulation=replace(wf.simulation, orders=orders)))
    assert traded.tolist() == pytest.approx([0.5, 0.5])


def test_the_heat_map_shows_every_score_and_what_was_chosen(walk_forward_made):
    shown = [text.strip() for text in texts(figures.heat_map(walk_forward_made))]
    for score in ("0.90  ×4", "0.70  ×2", "0.60  ×1", "0.80  ×1", "−0.20", "1.30  ×4"):
        assert score in shown
    assert {"fast", "slow", "10", "20", "50", "100", "150", "200"} <= set(shown)


def test_a_grid_of_one_parameter_is_a_line_with_its_choices(walk_forward_made):
    cells = pd.DataFrame(
        {"window": [10, 5, 20], "train_score": [0.5, 0.8, 0.7], "test_score": [0.2, np.nan, 0.6], "chosen": [1, 0, 7]}
    )
    shown = texts(figures.heat_map(replace(walk_forward_made, cells=cells)))
    assert list(dict.fromkeys(text for text in shown if text in ("5", "10", "20"))) == ["5", "10", "20"]
    assert "chosen 7×" in shown
    assert "chosen 0×" not in shown


def test_a_grid_of_three_parameters_shows_the_two_that_matter_and_says_what_it_averages(walk_forward_made):
    rows = [(a, b, c) for a in (1, 2) for b in ("low", "high") for c in (True, False)]
    cells = pd.DataFrame(rows, columns=["size", "level", "hedge"])
    cells = cells.assign(train_score=0.0, chosen=[8, 0, 0, 0, 0, 0, 0, 0])
    cells["test_score"] = cells["size"] * 1.0 + (cells["level"] == "high") * 0.4 + cells["hedge"] * 0.1
    shown = " ".join(texts(figures.heat_map(replace(walk_forward_made, cells=cells))))
    assert "mean over hedge" in shown
    # size 1, level low: the mean of 1.1 (hedged, chosen 8 times) and 1.0
    assert "1.05  ×8" in shown


def test_a_grid_of_one_cell_explains_that_there_was_nothing_to_choose(walk_forward_made):
    shown = texts(figures.heat_map(replace(walk_forward_made, cells=walk_forward_made.cells.head(1))))
    assert "Nothing to choose: the grid has one cell." in shown
    assert "fast 20, slow 150" in shown


def test_a_cell_that_never_traded_is_left_blank(walk_forward_made):
    cells = walk_forward_made.cells.assign(test_score=[np.nan] * 3 + [0.5] * 6, train_score=[np.inf] * 3 + [0.5] * 6)
    assert texts(figures.heat_map(replace(walk_forward_made, cells=cells))).count("–") == 6


def test_a_large_grid_drops_the_numbers_but_keeps_the_marks(walk_forward_made):
    cells = pd.DataFrame([(a, b) for a in range(15) for b in range(15)], columns=["one", "two"])
    cells = cells.assign(train_score=0.1, test_score=0.123, chosen=0)
    assert "0.12" not in texts(figures.heat_map(replace(walk_forward_made, cells=cells)))


def test_folds_name_their_scores_means_and_parameters(walk_forward_made):
    shown = texts(figures.folds(walk_forward_made))
    # (0.9 + 1.4 - 0.5 + 1.1 + 0.3 + 1.7 + 0.6 + 0.8) / 8 = 0.7875
    assert "in test\nmean 0.79" in shown
    assert "−0.5" in shown
    assert "2022-01\nfast 50\nslow 200" in shown


def test_a_run_without_trades_costs_or_scores_still_has_its_pictures(walk_forward_made):
    wf = small(walk_forward_made, [100.0] * 4)
    wf = replace(
        wf,
        folds=wf.folds.assign(train_score=np.nan, test_score=np.nan),
        cells=wf.cells.assign(train_score=np.nan, test_score=np.nan),
        out_of_sample={"sharpe": float("nan")},
        in_sample={},
        intervals={},
    )
    for name, draw in figures.FIGURES.items():
        assert figures.png(draw(wf)).startswith(b"\x89PNG"), name
    assert "This run paid no costs." in texts(figures.costs(wf))


def test_a_ruined_run_falls_back_to_a_linear_scale(walk_forward_made):
    figure = figures.equity(small(walk_forward_made, [100.0, 40.0, -5.0]))
    assert figure.axes[0].get_yscale() == "linear"


def test_intraday_times_in_utc_are_drawn(walk_forward_made):
    wf = small(walk_forward_made, [100.0, 101.0, 102.0])
    index = pd.date_range("2024-03-08 14:30", periods=3, freq="5min", tz="UTC")
    simulation = replace(
        wf.simulation,
        equity=wf.simulation.equity.set_axis(index),
        returns=wf.simulation.returns.set_axis(index),
        positions=wf.simulation.positions.set_axis(index),
        costs=wf.simulation.costs.set_axis(index),
    )
    folds = wf.folds.assign(test_start=index[0], test_end=index[-1])
    wf = replace(wf, simulation=simulation, folds=folds, benchmark=wf.benchmark.set_axis(index))
    for name, draw in figures.FIGURES.items():
        assert figures.png(draw(wf)).startswith(b"\x89PNG"), name


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.9, 2.2, [1.0, 1.5, 2.0]),
        (0.95, 5.5, [1.0, 2.0, 5.0]),
        (0.8, 120.0, [1.0, 10.0, 100.0]),
        (0.99, 1.01, [1.0]),
    ],
)
def test_ticks_of_growth_are_round_multiples(low, high, expected):
    ticks = figures.growth_ticks(low, high)
    assert 3 <= len(ticks) <= 10
    assert all(low <= tick <= high for tick in ticks)
    assert set(expected) <= set(ticks)


def test_several_runs_are_compared_on_one_scale(walk_forward_of):
    runs = [walk_forward_of("one", 1), walk_forward_of("two", 2, in_sample={}), walk_forward_of("three", 3)]
    shown = texts(figures.compare(runs))
    assert {"one", "two", "three", "benchmark", "0.87", "0.18 to 1.55", "−12.8 %"} <= set(shown)


def test_a_single_simulation_is_drawn_with_its_drawdown(walk_forward_made):
    wf = small(walk_forward_made, [100.0, 80.0, 150.0])
    benchmark = pd.Series([np.nan, 0.10, 0.0], index=wf.simulation.equity.index)
    shown = texts(figures.curve(wf.simulation, benchmark, "sma_cross: fast 20"))
    assert {"sma_cross: fast 20", "SAMPLE MARKET", "this one\n1.50×", "benchmark\n1.10×", "worst\n−20.0 %"} <= set(
        shown
    )


def test_a_notebook_shows_a_picture_without_being_asked(walk_forward_made):
    data, size = figures.equity(walk_forward_made)._repr_png_()
    assert data.startswith(b"\x89PNG")
    assert size == {"width": 900}


def test_comparing_nothing_is_refused():
    with pytest.raises(InputRefused, match="give at least one"):
        figures.compare([])


def test_names_beside_the_lines_do_not_touch(walk_forward_of):
    figure = figures.compare([walk_forward_of(f"strategy_{number}", 1) for number in range(6)])
    figure.canvas.draw()
    axes = figure.axes[0]
    boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    assert len(boxes) == 7
    assert all(low.y1 <= high.y0 + 1 for low, high in itertools.pairwise(boxes))


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
