"""What ends a position besides its weight, by hand: with an ATR of 2 the stop of 100 is at 96, its target at 106."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.errors import StrategyRefused
from workbench.params import SizingParams
from workbench.strategies import catalog
from workbench.strategies.exits import (
    OUT,
    SIDE,
    STOP,
    TARGET,
    Exits,
    average_true_range,
    exits_of,
    hold,
    nothing_held,
)
from workbench.strategies.sma_cross import SmaCross

BRACKET = Exits(stop_atr=2.0, target_atr=3.0)
NONE = None
QUIET = (100.0, 101.0, 99.0, 100.0)  # open, high, low, close


def walked(wishes, bars, exits, unit=2.0, half=0.0, state=None, steps=100.0):
    """Return what is held after each open and each close, the prices at which it left, and the state at the end."""
    count = len(wishes)
    open_, high, low, close = (np.array(column, dtype=float)[:, None] for column in zip(*bars, strict=True))
    units = np.broadcast_to(np.asarray(unit, dtype=float).reshape(-1, 1), (count, 1)).copy()
    held, prices = np.full((2 * count, 1), np.nan), np.full((2 * count, 1), np.nan)
    state = nothing_held(1) if state is None else state
    rules = np.array([exits.rule] * count)
    wishes = np.array(wishes, dtype=float)[:, None]
    hold(wishes, open_, high, low, close, units, np.full((count, 1), steps), rules, half, state, held, prices)
    pairs = list(zip(held[::2, 0].tolist(), held[1::2, 0].tolist(), strict=True))
    left = [NONE if np.isnan(price) else price for price in prices[1::2, 0].tolist()]
    return pairs, left, state[:, 0]


def test_a_stop_that_is_touched_sells_there_and_stays_out_while_the_weight_stays():
    bars = [QUIET, (100, 100, 95.9, 99), QUIET, QUIET]
    held, left, state = walked([0.5] * 4, bars, BRACKET)
    assert held == [(0.5, 0.5), (0.5, 0.0), (0.0, 0.0), (0.0, 0.0)]
    assert left == [NONE, 96.0, NONE, NONE]
    assert (state[SIDE], state[OUT]) == (0.0, 1.0)


def test_a_low_at_the_stop_itself_touches_it_and_a_tick_above_does_not():
    assert walked([0.5], [(100, 101, 96.0, 100)], BRACKET)[1] == [96.0]
    assert walked([0.5], [(100, 101, 96.01, 100)], BRACKET)[1] == [NONE]


def test_the_very_bar_that_opens_a_position_can_stop_it():
    held, left, _ = walked([0.5], [(100, 100, 90, 91)], BRACKET)
    assert (held, left) == ([(0.5, 0.0)], [96.0])


def test_a_target_that_is_reached_sells_there():
    held, left, _ = walked([0.5] * 2, [QUIET, (100, 106, 99, 105)], BRACKET)
    assert (held, left) == ([(0.5, 0.5), (0.5, 0.0)], [NONE, 106.0])


def test_a_target_fills_only_where_the_bid_reaches_it_and_then_at_its_own_price():
    half = 0.001
    assert walked([0.5], [(100, 106.1, 99, 105)], BRACKET, half=half)[1] == [NONE]  # bid 105.9939
    ((price,), _) = walked([0.5], [(100, 106.2, 99, 105)], BRACKET, half=half)[1:]
    assert price * (1 - half) == pytest.approx(106.0, abs=1e-12)


def test_where_one_bar_touches_both_the_stop_counts():
    assert walked([0.5], [(100, 120, 80, 110)], BRACKET)[1] == [96.0]


def test_a_bar_that_opens_below_the_stop_sells_at_its_open():
    held, left, state = walked([0.5] * 2, [QUIET, (94, 99, 93, 98)], BRACKET)
    assert held == [(0.5, 0.5), (0.0, 0.0)]  # at the open: the weight itself is zero there
    assert left == [NONE, NONE]
    assert state[OUT] == 1.0


def test_a_bar_that_opens_above_the_target_sells_at_its_open():
    assert walked([0.5] * 2, [QUIET, (108, 109, 107, 108)], BRACKET)[0] == [(0.5, 0.5), (0.0, 0.0)]


def test_a_bar_that_opens_beyond_a_level_opens_nothing_else_not_even_the_other_side():
    bars = [QUIET, (94, 99, 93, 98), (98, 99, 97, 98)]
    assert walked([0.5, -0.5, -0.5], bars, BRACKET)[0] == [(0.5, 0.5), (0.0, 0.0), (-0.5, -0.5)]


def test_a_short_is_stopped_above_and_has_its_target_below():
    assert walked([-0.5] * 2, [QUIET, (100, 104, 99, 101)], BRACKET)[1] == [NONE, 104.0]
    assert walked([-0.5] * 2, [QUIET, (100, 101, 94, 95)], BRACKET)[1] == [NONE, 94.0]
    assert walked([-0.5] * 2, [QUIET, (105, 106, 104, 105)], BRACKET)[0][1] == (0.0, 0.0)


def test_the_target_of_a_short_fills_where_the_ask_reaches_it():
    half = 0.001
    assert walked([-0.5], [(100, 101, 93.95, 95)], BRACKET, half=half)[1] == [NONE]  # ask 94.04
    ((price,), _) = walked([-0.5], [(100, 101, 93.8, 95)], BRACKET, half=half)[1:]
    assert price * (1 + half) == pytest.approx(94.0, abs=1e-12)


def test_what_was_stopped_comes_back_after_its_weight_was_zero():
    bars = [QUIET, (100, 100, 95, 99), QUIET, QUIET, QUIET]
    held, _, state = walked([0.5, 0.5, 0.4, 0.0, 0.3], bars, BRACKET)
    # Another weight of the same side is the same trade; zero ends it.
    assert held == [(0.5, 0.5), (0.5, 0.0), (0.0, 0.0), (0.0, 0.0), (0.3, 0.3)]
    assert (state[STOP], state[TARGET]) == (96.0, 106.0)


def test_what_was_stopped_comes_back_on_the_other_side():
    bars = [QUIET, (100, 100, 95, 99), QUIET]
    assert walked([0.5, 0.5, -0.2], bars, BRACKET)[0][2] == (-0.2, -0.2)


def test_a_turn_of_the_weight_sets_new_levels_and_another_size_keeps_the_old_ones():
    bars = [QUIET, (103, 104, 102, 103), (102, 103, 101, 102)]
    larger = walked([0.2, 0.5, 0.5], bars, BRACKET)
    assert larger[0][1] == (0.5, 0.5)
    assert (larger[2][STOP], larger[2][TARGET]) == (96.0, 106.0)  # of the first open, 100
    turned = walked([0.2, 0.2, -0.5], bars, BRACKET)[2]
    assert (turned[STOP], turned[TARGET]) == (106.0, 96.0)  # of 102


def test_levels_lie_on_the_tick_and_never_below_one():
    state = walked([0.5], [QUIET], BRACKET, unit=1.23456)[2]
    assert (state[STOP], state[TARGET]) == (97.53, 103.70)
    assert walked([0.5], [(1.0, 1.1, 0.9, 1.0)], BRACKET, unit=2.0)[2][STOP] == 0.01


def test_a_stop_alone_and_a_target_alone_leave_the_other_side_open():
    rise, fall = (100, 200, 99, 150), (100, 101, 50, 60)
    assert walked([0.5], [rise], Exits(stop_atr=2.0))[1] == [NONE]
    assert walked([0.5], [fall], Exits(target_atr=3.0))[1] == [NONE]


def test_without_a_known_atr_nothing_is_opened_and_what_is_held_stays():
    bars = [QUIET] * 3
    assert walked([0.5] * 3, bars, BRACKET, unit=[np.nan, 2.0, np.nan])[0] == [(0.0, 0.0), (0.5, 0.5), (0.5, 0.5)]
    assert walked([0.5], bars[:1], BRACKET, unit=0.0)[0] == [(0.0, 0.0)]
    assert walked([0.5], bars[:1], Exits(max_hold_sessions=3), unit=np.nan)[0] == [(0.5, 0.5)]  # needs none


def test_the_longest_hold_ends_at_the_open_so_many_sessions_after_the_first():
    held, left, state = walked([0.5] * 4, [QUIET] * 4, Exits(max_hold_sessions=2))
    assert held == [(0.5, 0.5), (0.5, 0.5), (0.0, 0.0), (0.0, 0.0)]
    assert left == [NONE] * 4  # it is sold at the open as any weight that becomes zero
    assert state[OUT] == 1.0


def test_a_longest_hold_does_not_keep_a_turn_from_being_made():
    assert walked([0.5, 0.5, -0.5], [QUIET] * 3, Exits(max_hold_sessions=2))[0][2] == (-0.5, -0.5)


def test_the_end_of_the_session_closes_at_the_close_and_the_next_open_begins_again():
    bars = [(100, 101, 99, 100.5), (100, 102, 99, 101.5)]
    held, left, state = walked([0.5] * 2, bars, Exits(minutes_before_close=15))
    assert (held, left) == ([(0.5, 0.0), (0.5, 0.0)], [100.5, 101.5])
    assert state[OUT] == 0.0


def test_a_stop_of_the_day_comes_before_the_end_of_the_day():
    day = Exits(stop_atr=2.0, minutes_before_close=15)
    assert walked([0.5], [(100, 101, 95, 99)], day)[1] == [96.0]


def test_a_bar_without_a_price_changes_nothing_but_counts_as_a_session():
    halt = (np.nan, np.nan, np.nan, np.nan)
    held, _, _ = walked([0.5, 0.2, 0.2, 0.2], [QUIET, halt, QUIET, QUIET], Exits(max_hold_sessions=3))
    assert held == [(0.5, 0.5), (0.5, 0.5), (0.2, 0.2), (0.0, 0.0)]


def random_days(seed, rows):
    random = np.random.default_rng(seed)
    open_ = 100 * np.exp(np.cumsum(random.normal(0, 0.005, rows)))
    high = open_ * (1 + np.abs(random.normal(0, 0.03, rows)))
    low = open_ * (1 - np.abs(random.normal(0, 0.03, rows)))
    close = (high + low) / 2
    wishes = np.repeat(random.choice([-0.4, 0.0, 0.3, 0.5], (rows + 6) // 7), 7)[:rows]
    return wishes.tolist(), list(zip(open_.tolist(), high.tolist(), low.tolist(), close.tolist(), strict=True))


EVERY = Exits(stop_atr=2.0, target_atr=3.0, max_hold_sessions=5)


@pytest.mark.parametrize("seed", range(5))
def test_later_bars_change_nothing_of_earlier_ones(seed):
    wishes, bars = random_days(seed, 120)
    whole = walked(wishes, bars, EVERY)
    assert sum(price is not None for price in whole[1]) > 2
    for end in (1, 17, 60, 119):
        cut = walked(wishes[:end], bars[:end], EVERY)
        assert (whole[0][:end], whole[1][:end]) == (cut[0], cut[1])


@pytest.mark.parametrize("seed", range(5))
def test_one_bar_at_a_time_from_what_is_held_is_the_same_as_all_at_once(seed):
    wishes, bars = random_days(seed, 120)
    whole, state, steps = walked(wishes, bars, EVERY), nothing_held(1), []
    for wish, bar in zip(wishes, bars, strict=True):
        pair, left, _ = walked([wish], [bar], EVERY, state=state)
        steps.append((pair[0], left[0]))
    assert steps == list(zip(whole[0], whole[1], strict=True))


def test_the_average_true_range_by_hand(bars_of):
    close = np.array([[10.0], [12.0], [11.0], [11.0]])
    bars = bars_of(close, open=close, high=close + 1.0, low=close - 1.0)
    # true ranges: none on the first bar, then 13-10, 12-10 (12 was the close before, its low is 10), 12-10
    found = average_true_range(bars, 3)
    np.testing.assert_allclose(found.to_numpy()[:, 0], [np.nan, np.nan, 2.5, 7.0 / 3.0])


def test_a_gap_counts_as_range_and_a_halt_leaves_the_days_that_traded(bars_of):
    close = np.array([[10.0], [10.0], [np.nan], [14.0], [14.0]])
    bars = bars_of(close, open=close, high=close + 1.0, low=close - 1.0)
    # 2 on the second bar, nothing while halted, then 15 - 10 over the gap, then 2: means of the known ones of two bars
    np.testing.assert_allclose(average_true_range(bars, 2).to_numpy()[:, 0], [np.nan, 2.0, 2.0, 5.0, 3.5])


@pytest.mark.parametrize("day", [30, 200, 599])
def test_the_range_reads_nothing_ahead_and_no_more_than_the_lookback(walk, day):
    strategy = SmaCross(walk.symbols, 2, 3, SizingParams(target_volatility=None), exits=BRACKET)
    whole = average_true_range(walk, 14).iloc[day]
    pd.testing.assert_series_equal(average_true_range(walk.until(walk.index[day]), 14).iloc[-1], whole)
    recent = walk.between(walk.index[day - strategy.lookback + 1], walk.index[day])
    pd.testing.assert_series_equal(average_true_range(recent, 14).iloc[-1], whole)


def test_exits_are_parameters_of_every_strategy_that_takes_them():
    for name in catalog.names():
        made = catalog.build(name, ("AAA",), SizingParams(), {"stop_atr": 2.0, "target_atr": 3, "max_hold_sessions": 9})
        assert exits_of(made) == Exits(stop_atr=2.0, target_atr=3.0, max_hold_sessions=9)
        assert exits_of(catalog.build(name, ("AAA",), SizingParams(), {})) is None
        assert exits_of(catalog.build(name, ("AAA",), SizingParams(), {"stop_atr": None})) is None


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"stop_atr": 0.0}, "exits: stop_atr 0.0 must be above 0"),
        ({"target_atr": "high"}, "parameter 'target_atr' is 'high', it must be float | None"),
        ({"max_hold_sessions": 0}, "max_hold_sessions 0 must be at least 1"),
        ({"stop_atr": 2.0, "atr_sessions": 1}, "atr_sessions 1 must be at least 2"),
        ({"stop_at": 2.0}, "unknown parameter 'stop_at'. Did you mean 'stop_atr'"),
        ({"exits": {"stop_atr": 2.0}}, "unknown parameter 'exits'"),
    ],
)
def test_exits_that_make_no_sense_are_refused(params, says):
    with pytest.raises(StrategyRefused, match=says):
        catalog.build("sma_cross", ("AAA",), SizingParams(), params)
