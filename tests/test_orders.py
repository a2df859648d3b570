import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataRefused
from workbench.orders import Wish, attribute, plan, round_to_tick
from workbench.trading import Side


def wish(strategy="A", equity=10_000.0, weights=None, before=None, held=None, rebalance="on_change"):
    return Wish(strategy, equity, weights or {}, before or {}, held or {}, rebalance)


def test_a_weight_becomes_whole_shares_rounded_towards_zero():
    made = plan([wish(weights={"XYZ": 0.1})], {"XYZ": 30.0})
    (order,) = made.orders
    assert (order.symbol, order.side, order.quantity, order.value) == ("XYZ", Side.BUY, 33, 990.0)


def test_a_short_weight_is_rounded_towards_zero_as_well():
    (order,) = plan([wish(weights={"XYZ": -0.1})], {"XYZ": 30.0}).orders
    assert order.signed == -33


def test_a_share_that_is_whole_but_for_the_last_digit_is_bought():
    # 0.1 + 0.2 of 100 at 10 is 3.0000000000000004, and 0.29 of 100 at 1 is 28.999999999999996
    (order,) = plan([wish(equity=100.0, weights={"XYZ": 0.29})], {"XYZ": 1.0}).orders
    assert order.signed == 29


def test_what_did_not_change_is_not_traded_though_prices_moved():
    same = wish(weights={"XYZ": 0.1}, before={"XYZ": 0.1}, held={"XYZ": 33})
    assert plan([same], {"XYZ": 60.0}).orders == ()


def test_every_bar_also_trades_against_drift():
    drifted = wish(weights={"XYZ": 0.1}, before={"XYZ": 0.1}, held={"XYZ": 33}, rebalance="every_bar")
    (order,) = plan([drifted], {"XYZ": 60.0}).orders
    assert order.signed == -16  # 1,000 - 33 * 60 = -980, of which 16 whole shares of 60


def test_a_holding_without_a_target_is_closed_whole_without_asking_its_price():
    (order,) = plan([wish(before={"XYZ": 0.1}, held={"XYZ": 33})], {"XYZ": 60.0}).orders
    assert order.signed == -33


def test_what_a_cut_short_sale_left_is_closed_at_the_next_session():
    (order,) = plan([wish(held={"XYZ": 5})], {"XYZ": 60.0}).orders
    assert order.signed == -5


def test_two_strategies_are_netted_into_one_order():
    made = plan([wish("A", weights={"XYZ": 0.5}), wish("B", held={"XYZ": 20}, before={"XYZ": 0.1})], {"XYZ": 50.0})
    (order,) = made.orders
    assert order.signed == 80
    assert order.shares == {"A": 100, "B": -20}


def test_wishes_that_cancel_each_other_need_no_order_but_change_books():
    made = plan([wish("A", weights={"XYZ": 0.1}), wish("B", held={"XYZ": 20}, before={"XYZ": 0.1})], {"XYZ": 50.0})
    assert made.orders == ()
    assert made.crossings[0].shares == {"A": 20, "B": -20}


def test_sales_come_before_purchases():
    made = plan([wish(weights={"AAA": 0.1}, before={"ZZZ": 0.1}, held={"ZZZ": 10})], {"AAA": 10.0, "ZZZ": 10.0})
    assert [order.symbol for order in made.orders] == ["ZZZ", "AAA"]


@pytest.mark.parametrize("price", [float("nan"), 0.0, -1.0, float("inf")])
def test_a_symbol_without_a_usable_price_stops_the_plan(price):
    with pytest.raises(DataRefused, match="no usable price of XYZ"):
        plan([wish(weights={"XYZ": 0.1})], {"XYZ": price})


def test_a_weight_that_is_no_number_stops_the_plan():
    with pytest.raises(DataRefused, match="weight of XYZ is nan"):
        plan([wish(weights={"XYZ": float("nan")})], {"XYZ": 1.0})


def test_of_a_part_fill_everyone_has_a_part_and_crossings_are_settled_with_it():
    assert attribute({"A": 100, "B": -40}, 30) == {"A": 50, "B": -20}
    assert attribute({"A": 100, "B": -40}, 60) == {"A": 100, "B": -40}


def test_a_fill_beyond_the_order_is_refused():
    with pytest.raises(DataRefused, match="disagree"):
        attribute({"A": 10}, 11)
    with pytest.raises(DataRefused, match="disagree"):
        attribute({"A": 10}, -1)


@given(
    st.dictionaries(st.sampled_from("ABCDE"), st.integers(-500, 500).filter(bool), min_size=1),
    st.lists(st.integers(1, 50), max_size=40),
)
def test_parts_of_fills_always_sum_to_the_fill_and_end_where_it_was_planned(shares, steps):
    total = sum(shares.values())
    if total == 0:
        return
    sign, filled = (1 if total > 0 else -1), 0
    for step in steps:
        filled = min(filled + step, abs(total))
        assert sum(attribute(shares, sign * filled).values()) == sign * filled
    assert attribute(shares, total) == shares


@pytest.mark.parametrize(
    ("price", "tick", "side", "expected"),
    [(10.019, 0.01, Side.BUY, 10.01), (10.011, 0.01, Side.SELL, 10.02), (10.01, 0.01, Side.BUY, 10.01),
     (0.12345, 0.0001, Side.BUY, 0.1234), (10.3, 0.25, Side.SELL, 10.5), (1234.56, 0.01, Side.SELL, 1234.56)],
)  # fmt: skip
def test_a_limit_lies_on_the_tick_and_is_not_worse_for_us(price, tick, side, expected):
    assert round_to_tick(price, tick, side) == expected
