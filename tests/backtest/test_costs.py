"""Impact and borrow worked by hand; commissions and spread are in tests/test_commissions.py."""

import numpy as np
import pytest

from workbench.backtest import costs
from workbench.params import CostParams


def test_impact_follows_the_square_root_of_participation():
    found = costs.impact(CostParams(impact=0.5), np.array([0.01, 0.04, np.nan]), np.array([0.02, 0.02, 0.02]))
    assert found == pytest.approx([0.5 * 0.02 * 0.1, 0.5 * 0.02 * 0.2, 0.0])


def test_borrow_is_charged_by_the_session():
    assert costs.borrow_per_session(CostParams(borrow_bps_per_year=252), np.array([0.5])) == pytest.approx([0.5e-4])
