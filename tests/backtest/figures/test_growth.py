"""Growth beside the benchmark's, and drawdowns worked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.backtest import figures


def test_the_equity_ends_where_the_run_ended(small, texts):
    shown = texts(figures.equity(small([100.0, 104.0, 150.0])))
    assert "sma_cross\n1.50×" in shown
    assert "benchmark\n1.00×" in shown


def test_the_worst_drawdowns_are_found_with_their_dates(small, texts):
    # Below the start capital at once; a new high; a fall that is still open.
    wf = small([95.0, 100.0, 120.0, 90.0, 96.0, 120.0, 130.0, 117.0])
    table = figures.worst_drawdowns(wf)
    assert table["depth"].tolist() == pytest.approx([-0.25, -0.10, -0.05])
    assert table["sessions"].tolist() == [2, 1, 1]
    assert [str(day.date()) for day in table["peak"]] == ["2022-01-01", "2022-01-05", "2021-12-30"]
    assert [str(day.date()) for day in table["lowest"]] == ["2022-01-02", "2022-01-06", "2021-12-30"]
    assert str(table["recovered"][0].date()) == "2022-01-04"
    assert table["recovered"][1] is None
    assert "1 session, open" in " ".join(texts(figures.drawdown(wf)))


def test_a_ruined_run_falls_back_to_a_linear_scale(small):
    figure = figures.equity(small([100.0, 40.0, -5.0]))
    assert figure.axes[0].get_yscale() == "linear"


def test_a_single_simulation_is_drawn_with_its_drawdown(small, texts):
    wf = small([100.0, 80.0, 150.0])
    benchmark = pd.Series([np.nan, 0.10, 0.0], index=wf.simulation.equity.index)
    shown = texts(figures.curve(wf.simulation, benchmark, "sma_cross: fast 20"))
    assert {"sma_cross: fast 20", "SAMPLE MARKET", "this one\n1.50×", "benchmark\n1.10×", "worst\n−20.0 %"} <= set(
        shown
    )
