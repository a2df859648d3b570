"""Commissions worked by hand from the published schedule; the page's own examples where it has one."""

import numpy as np
import pytest

from workbench import commissions
from workbench.params import CostParams


def fills(*orders: tuple[float, float, bool, int]) -> commissions.Fills:
    shares, value, sold, month = zip(*orders, strict=True)
    return commissions.Fills(np.array(shares, float), np.array(value, float), np.array(sold), np.array(month))


def test_ib_fixed_by_hand():
    found = commissions.ib_fixed(
        fills(
            (100, 2500, False, 1),  # 0.50 is below the minimum: 1.00
            (1000, 25_000, False, 1),  # 5.00
            (1000, 250, False, 1),  # 5.00 is above 1 % of the value: 2.50
            (10, 2, False, 1),  # the minimum 1.00 is above 1 % of 2.00: 0.02, the page's own example
        )
    )
    assert found == pytest.approx([1.00, 5.00, 2.50, 0.02])


def test_sales_pay_the_regulators():
    # 5.00 + 25,000 × 27.80 a million + 1000 × 0.000166
    assert commissions.ib_fixed(fills((1000, 25_000, True, 1))) == pytest.approx([5.00 + 0.695 + 0.166])
    # FINRA's fee is bounded at 8.30: 100,000 shares would cost 16.60
    assert commissions.ib_fixed(fills((100_000, 10_000, True, 1)))[0] == pytest.approx(100.0 + 0.278 + 8.30)


def test_ib_tiered_moves_down_the_tiers_within_a_month_and_starts_anew_with_the_next():
    third = 0.0032  # exchange and clearing per share
    found = commissions.ib_tiered(
        fills(
            (200_000, 1e7, False, 1),  # 200,000 at 0.0035
            (200_000, 1e7, False, 1),  # 100,000 at 0.0035, 100,000 at 0.0020
            (200_000, 1e7, False, 2),  # a new month: 0.0035 again
            (50, 5000, False, 2),  # 0.175 is below the minimum 0.35
        )
    )
    expected = [700 + 200_000 * third, 350 + 200 + 200_000 * third, 700 + 200_000 * third, 0.35 + 50 * third]
    assert found == pytest.approx(expected)


def test_proportional_and_none():
    order = fills((10, 1000, False, 1))
    assert commissions.commission(CostParams(schedule="proportional", proportional_bps=20))(order) == pytest.approx(
        [2.0]
    )
    assert commissions.commission(CostParams(schedule="none"))(order) == pytest.approx([0.0])


def test_half_the_spread_is_paid():
    assert commissions.half_spread(CostParams(spread_bps=4)) == pytest.approx(0.0002)
