"""The real runner over history agrees with the simulation: the same orders, and the same equity to the last digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from tests.written import Written
from workbench.backtest.engine import simulate
from workbench.backtest.replay import Agreement, compare
from workbench.errors import DataRefused, InputRefused
from workbench.params import CostParams, PortfolioParams, Settings, SizingParams
from workbench.strategies.exits import Exits
from workbench.strategies.mean_reversion import MeanReversion
from workbench.strategies.sma_cross import SmaCross
from workbench.types import Bars

CASH = 1_000_000.0
DEAR = CostParams(schedule="ib_fixed", spread_bps=4.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "params").mkdir()
    return tmp_path


def settings(costs: CostParams = DEAR, **portfolio: object) -> Settings:
    return Settings(portfolio=PortfolioParams(cash=CASH, **portfolio), costs=costs)  # type: ignore[arg-type]


def run(strategy: object, bars: Bars, folder: Path, first: int, asked: Settings | None = None) -> Agreement:
    start, end = bars.index[first].date(), bars.index[-1].date()
    return compare(strategy, bars, asked or settings(), start, end, folder)  # type: ignore[arg-type]


def test_one_order_worked_by_hand(folder: Path, bars_of: Callable[..., Bars]) -> None:
    bars = bars_of(np.array([100.0, 101.0, 103.0, 102.0]), ["AAA"])
    free = settings(CostParams(schedule="none", spread_bps=0.0))
    found = run(Written(("AAA",), {0: {"AAA": 0.5}}), bars, folder, 1, free)
    # Decided on the close of 100.00, bought at the next open, which is 100.00: half of a million are 5,000 shares.
    (order,) = found.replay.orders.to_dict("records")
    assert (order["session"], order["side"], order["shares"], order["price"]) == (bars.index[1], "buy", 5000.0, 100.0)
    assert found.replay.equity.tolist() == [1_005_000.0, 1_015_000.0, 1_010_000.0]
    found.require()


def test_a_real_strategy_trades_the_same_orders_to_the_same_equity(folder: Path, walk: Bars) -> None:
    strategy = SmaCross(walk.symbols, 5, 30, SizingParams())
    found = run(strategy, walk, folder, len(walk) - 40)
    assert len(found.replay.orders) > 50
    assert {"buy", "sell"} == set(found.replay.orders["side"])
    assert (found.replay.orders["commission"] >= 1.0).all()  # the schedule's least
    found.require()


def test_shorts_a_halt_and_a_turn_are_the_same(folder: Path, bars_of: Callable[..., Bars]) -> None:
    step = np.arange(42)
    close = np.column_stack([100.0 + step % 5, 50.0 + step % 3, 20.0 + 0.1 * (step % 7)])
    close[36, 0] = np.nan  # nothing trades that day: the order waits for the next one
    bars = bars_of(close, ["AAA", "BBB", "CCC"])
    wanted = {
        31: {"AAA": 0.4, "BBB": -0.3},
        35: {"AAA": 0.1, "BBB": -0.3},
        36: {"AAA": 0.1, "BBB": 0.2, "CCC": -0.15},
        38: {"CCC": 0.33333},
    }
    found = run(Written(bars.symbols, wanted), bars, folder, 31)
    days = found.replay.orders.groupby("symbol")["session"].apply(list).to_dict()
    assert days["AAA"] == [bars.index[32], bars.index[37], bars.index[39]]
    assert days["BBB"] == [bars.index[32], bars.index[37], bars.index[39]]
    found.require()


def test_what_is_sized_beside_a_halted_holding_differs_by_its_last_session(
    folder: Path, bars_of: Callable[..., Bars]
) -> None:
    step = np.arange(42)
    close = np.column_stack([100.0 + step % 5, 50.0 + step % 3])
    close[36, 0] = np.nan
    bars = bars_of(close, ["AAA", "BBB"])
    found = run(Written(bars.symbols, {31: {"AAA": 0.4}, 35: {"AAA": 0.4, "BBB": 0.2}}), bars, folder, 31)
    held = found.replay.orders["shares"].iloc[0]
    shares = found.apart.set_index("only")["shares"].to_dict()
    # The broker values AAA at its last close, 100; the simulation at the open before it, 104. BBB opens at 52.
    assert shares["simulation"] - shares["runner"] == pytest.approx(held * (104.0 - 100.0) * 0.2 / 52.0, abs=1.0)


def test_rebalancing_on_every_bar_is_the_same(folder: Path, walk: Bars) -> None:
    bars = walk.between(walk.index[-40], walk.index[-1])
    wanted = {24: {symbol: (0.1 if number % 2 else -0.1) for number, symbol in enumerate(bars.symbols)}}
    found = run(Written(bars.symbols, wanted), bars, folder, 25, settings(rebalance="every_bar"))
    assert len(found.replay.orders) > 100
    found.require()


@pytest.mark.parametrize(
    ("exits", "count"),
    [
        (Exits(stop_atr=1.0, target_atr=1.5), 12),
        (Exits(max_hold_sessions=3), 12),
        (Exits(minutes_before_close=15), 80),
        (Exits(stop_atr=0.7, target_atr=0.9, max_hold_sessions=4, minutes_before_close=30), 15),
    ],
    ids=["bracket", "longest hold", "end of session", "all"],
)
def test_exits_are_traded_as_they_are_simulated(folder: Path, walk: Bars, exits: Exits, count: int) -> None:
    strategy = MeanReversion(walk.symbols, sizing=SizingParams(max_net=0.5), exits=exits)
    found = run(strategy, walk, folder, len(walk) - 12)
    plain = MeanReversion(walk.symbols, sizing=SizingParams(max_net=0.5)).weights(walk)
    assert len(found.replay.orders) >= count
    without = simulate(plain.iloc[-13:], walk, settings().portfolio, DEAR)
    assert abs(found.simulation.equity.iloc[-1] / without.equity.iloc[-1] - 1.0) > 1e-4  # they do bite
    found.require()
    assert all(report.results[0].equal for report in found.replay.reports)


def test_a_stop_a_target_and_gaps_over_both_fill_the_same_in_both(folder: Path, bars_of: Callable[..., Bars]) -> None:
    rows = 40
    opened = np.full((rows, 4), 100.0)
    high, low, close = opened + 1.0, opened - 1.0, opened.copy()
    low[33, 0] = 90.0  # AAA: through its stop at 96
    high[33, 1] = 120.0  # BBB: through its target at 106
    for frame in (opened, high, low, close):
        frame[34, 2] -= 10.0  # CCC opens below its stop, DDD above its target
        frame[34, 3] += 10.0
    bars = bars_of(close, ["AAA", "BBB", "CCC", "DDD"], open=opened, high=high, low=low)
    written = Written(bars.symbols, {31: dict.fromkeys(bars.symbols, 0.2)}, exits=Exits(stop_atr=2.0, target_atr=3.0))
    free = settings(CostParams(schedule="none", spread_bps=0.0))
    found = run(written, bars, folder, 31, free)
    sold = found.replay.orders[found.replay.orders["side"] == "sell"].set_index("symbol")
    assert sold["price"].to_dict() == {"AAA": 96.0, "BBB": 106.0, "CCC": 90.0, "DDD": 110.0}
    days = {symbol: bars.index[row] for symbol, row in (("AAA", 33), ("BBB", 33), ("CCC", 34), ("DDD", 34))}
    assert sold["session"].to_dict() == days
    found.require()


def test_what_differs_is_named(folder: Path, walk: Bars) -> None:
    bars = walk.between(walk.index[-8], walk.index[-1])
    found = run(Written(bars.symbols, {2: {bars.symbols[0]: 0.5}}), bars, folder, 1)
    dearer = replace(found, bps=found.bps + 0.01)
    with pytest.raises(DataRefused, match=r"differs by 0\.0100 bp"):
        dearer.require()
    one_off = found.replay.orders.assign(shares=found.replay.orders["shares"] + 1.0)
    from workbench.backtest.replay import _apart

    apart = _apart(one_off, found.simulation.orders)
    assert sorted(apart["only"]) == ["runner", "simulation"]
    with pytest.raises(DataRefused, match="2 orders differ"):
        replace(found, apart=apart).require()


def test_all_the_money_at_work_is_cut_to_the_cash_by_the_simulation_alone(
    folder: Path, bars_of: Callable[..., Bars]
) -> None:
    bars = bars_of(np.full(4, 100.0), ["AAA"])
    found = run(Written(("AAA",), {0: {"AAA": 1.0}}), bars, folder, 1)
    # 10,000 shares are all the cash; half the spread and the commission are lent by the broker, not by the simulation.
    shares = found.apart.set_index("only")["shares"].to_dict()
    assert shares["runner"] == 10_000.0
    assert 9_990.0 < shares["simulation"] < 10_000.0


def test_what_leaves_the_market_is_paid_out_by_the_simulation_alone(folder: Path, bars_of: Callable[..., Bars]) -> None:
    close = np.column_stack([100.0 + np.arange(42) % 5, 50.0 + np.arange(42) % 3])
    close[38:, 0] = np.nan
    found = run(Written(("AAA", "BBB"), {31: {"AAA": 0.4}}), bars_of(close, ["AAA", "BBB"]), folder, 31)
    (order,) = found.apart.to_dict("records")
    bought = float(found.replay.orders["shares"].iloc[0])
    assert (order["only"], order["side"], order["shares"]) == ("simulation", "sell", bought)
    assert order["session"] == found.simulation.equity.index[7]  # bar 37, its last one
    assert found.replay.reports[-1].results[0].held == {"AAA": bought}


@pytest.mark.parametrize(
    ("asked", "first", "words"),
    [
        (settings(fill="close"), 2, "the runner trades the open"),
        (settings(), 0, "looks back 1"),
    ],
)
def test_what_cannot_be_replayed_is_refused(folder: Path, walk: Bars, asked: Settings, first: int, words: str) -> None:
    with pytest.raises(InputRefused, match=words):
        run(Written(walk.symbols, {}), walk, folder, first, asked)


def test_an_account_that_has_traded_is_not_replayed_on(folder: Path, bars_of: Callable[..., Bars]) -> None:
    bars = bars_of(np.full(6, 100.0), ["AAA"])
    strategy = Written(("AAA",), {})
    run(strategy, bars, folder, 3)
    with pytest.raises(InputRefused, match="name an empty folder"):
        compare(strategy, bars, settings(), date(2020, 1, 3), bars.index[-1].date(), folder)
