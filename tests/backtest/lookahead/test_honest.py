"""Honest code is never accused: a hundred variants, each on a market with a split, halts, a listing and delistings."""

import pytest

from tests.backtest.lookahead.honest import variants
from workbench.backtest import lookahead

SYMBOLS = tuple(f"{sector}{number:02d}" for sector in ("TEC", "FIN", "HLT") for number in range(4))
VARIANTS = variants(SYMBOLS)


def test_there_are_a_hundred_of_them():
    assert len(VARIANTS) >= 100


@pytest.mark.parametrize("name", VARIANTS)
def test_an_honest_variant_is_clean(eventful, name):
    report = lookahead.examine(VARIANTS[name], eventful, name=name)
    assert report.clean, str(report)
    assert sum(check.dates for check in report.checks) > 40
