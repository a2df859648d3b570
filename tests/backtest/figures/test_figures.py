"""All pictures: what they have in common, and that no shape of result breaks them."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workbench.backtest import figures


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
def test_every_picture_of_made_data_says_so_and_no_other_does(walk_forward_made, name, texts):
    assert "SAMPLE MARKET" in texts(figures.FIGURES[name](walk_forward_made))
    assert "SAMPLE MARKET" not in texts(figures.FIGURES[name](replace(walk_forward_made, market="real")))


def test_a_run_without_trades_costs_or_scores_still_has_its_pictures(small, texts):
    wf = small([100.0] * 4)
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


def test_intraday_times_in_utc_are_drawn(small):
    wf = small([100.0, 101.0, 102.0])
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
