"""Turnover worked by hand."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from workbench.backtest import figures


def test_monthly_turnover_is_value_over_mean_equity(small):
    wf = small([100.0, 100.0, 200.0, 400.0])
    orders = pd.DataFrame(
        {"session": pd.to_datetime(["2021-12-31", "2022-01-01", "2022-01-02"]), "value": [50, 60, 90]}
    )
    traded = figures.monthly_turnover(replace(wf, simulation=replace(wf.simulation, orders=orders)))
    assert traded.tolist() == pytest.approx([0.5, 0.5])
