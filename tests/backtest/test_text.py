"""Numbers as people read them."""

import numpy as np
import pytest

from workbench.backtest.text import counted, listed, multiple, number, percent, short, whole, written


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (number(-1234.567), "−1,234.57"),
        (number(-0.004), "0.00"),
        (number(None), "–"),
        (number(float("nan")), "–"),
        (number(float("-inf")), "−∞"),
        (percent(-0.1284), "−12.8 %"),
        (percent(0.0825), "8.2 %"),
        (percent(float("nan")), "–"),
        (whole(2012.0), "2,012"),
        (multiple(4.21), "4.2×"),
        (multiple(1.5, 2), "1.50×"),
        (multiple(None), "–"),
        (short(20.0), "20"),
        (short(np.bool_(True)), "true"),
        (short("ema"), "ema"),
        (listed({"fast": 20, "slow": 150.0}), "fast 20, slow 150"),
        (listed({}), ""),
        (counted(1, "order"), "1 order"),
        (counted(1200, "order"), "1,200 orders"),
        (written("pbo", 0.26), "26.0 %"),
        (written("dsr", 0.99999), ">99.9 %"),
        (written("cagr", 0.083), "8.3 %"),
        (written("max_drawdown", -0.3308), "−33.1 %"),
        (written("cost_per_year", 0.0031), "0.31 %"),
        (written("turnover", 4.21), "4.2×"),
        (written("trials", 1200), "1,200"),
    ],
)
def test_numbers_are_written_as_people_read_them(written, expected):
    assert written == expected
