"""Returns of months and years, worked by hand."""

from __future__ import annotations

import pytest

from workbench.backtest import figures


def test_months_compound_within_the_month_and_the_year(small):
    # 30 and 31 December 2021, then 1 and 2 January 2022: 100 -> 110, 99 | 108.9, 98.01
    table = figures.monthly_returns(small([110.0, 99.0, 108.9, 98.01]))
    assert table.index.tolist() == [2021, 2022]
    assert table.loc[2021, 12] == pytest.approx(-0.01)
    assert table.loc[2022, 1] == pytest.approx(-0.01)
    assert table["year"].tolist() == pytest.approx([-0.01, -0.01])
    assert table.loc[2021].isna().sum() == 11
