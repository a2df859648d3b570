"""The whole session on the paper broker: what is traded, what is not, and what stands in the journal afterwards."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.live.conftest import wanted
from tests.live.history import read_paper, violations
from workbench.errors import AccountDiffers, AlreadyRunning, DataRefused, InputRefused, NoData, StaleData
from workbench.live.dispatch import send
from workbench.live.gate import Origin, decide
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.facts import fill_data
from workbench.live.journal.journal import Journal
from workbench.live.limits import Limits
from workbench.live.operator import confirm
from workbench.live.paper.ledger import Ledger
from workbench.live.reconcile import explain, reconcile
from workbench.live.rehearsal import Rehearsal
from workbench.live.report import SessionReport, slippage
from workbench.live.runner import begin, put_in_order, run_session, trade
from workbench.live.session import Data, Seat
from workbench.live.trading_state import TradingState
from workbench.live.view import view
from workbench.live.why import why
from workbench.params import CostParams, Paths, PortfolioParams, Settings
from workbench.trading import Fill, OrderStatus, Position, Side
from workbench.types import Bars

FREE = CostParams(schedule="none", spread_bps=0.0)
WIDE = Limits(
    max_order_value=1e6, confirm_above=1e6, max_order_quantity=100_000, max_gap=1.0, max_quote_age_seconds=345_600,
    max_account_age_seconds=345_600, max_minutes_before_open=1_440, min_minutes_before_close=0,
    max_orders_per_second=200, max_orders_per_minute=1_000, max_orders_per_day=1_000, max_repeats=20, max_position=1.0,
    max_position_value=1e6, max_positions=70, max_gross=3.0, max_net=3.0, max_sector=3.0, max_correlation=1.0,
    min_free_equity=0.0, max_daily_loss=1.0, max_daily_loss_value=1e6, max_drawdown=1.0,
)  # fmt: skip


@dataclass(frozen=True)
class Written:
    """A strategy that wants what is written down: weights by session, the last ones hold."""

    name: str
    symbols: tuple[str, ...]
    wanted: Mapping[str, Mapping[str, float]]
    lookback: int = 1

    def weights(self, bars: Bars) -> pd.DataFrame:
        frame = pd.DataFrame(np.nan, index=bars.index, columns=list(self.symbols))
        for day, weights in self.wanted.items():
            if pd.Timestamp(day) in frame.index:
                frame.loc[pd.Timestamp(day)] = [weights.get(symbol, 0.0) for symbol in self.symbols]
        return frame.ffill().fillna(0.0)


def seat(name: str, wanted: Mapping[str, Mapping[str, float]], **facts: object) -> Seat:
    symbols = ("AAA", "BBB")
    return Seat(Written(name, symbols, wanted), f"pack of {name}", 1, **facts)  # type: ignore[arg-type]


@pytest.fixture
def bars(bars_of: Callable[..., Bars]) -> Bars:
    """150 sessions of two symbols that swing apart, so that they are not one concentration; no spread, no gaps."""
    step = np.arange(150)
    close = np.column_stack([100.0 + (step % 7), 50.0 + (step % 5)])
    return bars_of(close, ["AAA", "BBB"], start="2024-01-02", sectors={"AAA": "Alpha", "BBB": "Beta"})


@dataclass
class Stage:
    """A folder with an embedded account, opened again and again as a person would start the program."""

    folder: Path
    bars: Bars
    seats: tuple[Seat, ...]
    limits: Limits = WIDE
    count: int = 3

    @property
    def settings(self) -> Settings:
        return Settings(portfolio=PortfolioParams(cash=100_000.0), costs=FREE)

    @property
    def paths(self) -> Paths:
        (self.folder / "params").mkdir(exist_ok=True)
        return Paths(self.folder)

    def open(self, **facts: object) -> Rehearsal:
        return Rehearsal.open(self.settings, self.paths, self.seats, Data(self.bars), self.count, self.limits, **facts)  # type: ignore[arg-type]

    def run(self) -> list[SessionReport]:
        rehearsal = self.open()
        try:
            return [rehearsal.trade(session) for session in rehearsal.sessions]
        finally:
            rehearsal.close()


def last_days(bars: Bars, count: int) -> list[str]:
    return [str(day.date()) for day in bars.index[-count:]]


def test_a_decision_on_a_close_is_traded_at_the_next_open_in_whole_shares(tmp_path, bars):
    before, first, *_ = last_days(bars, 4)
    stage = Stage(tmp_path, bars, (seat("one", {before: {"AAA": 0.5}}),))
    reports = stage.run()
    opened = float(bars.open.loc[first, "AAA"])
    wanted = int(50_000.0 // opened)
    (order,) = reports[0].orders
    assert (order.symbol, order.signed, order.filled, order.average) == ("AAA", wanted, wanted, opened)
    assert [len(report.orders) for report in reports] == [1, 0, 0]  # the weight did not change: nothing is traded
    close = float(bars.close.loc[first, "AAA"])
    assert reports[0].equity == pytest.approx(100_000.0 + wanted * (close - opened))
    assert reports[0].results[0].held == {"AAA": wanted}
    assert reports[0].results[0].pnl == pytest.approx(wanted * (close - opened))
    assert all(report.results[0].equal for report in reports)


def test_strategies_are_netted_into_one_order_and_each_has_its_part_of_the_fill(tmp_path, bars):
    before, last = last_days(bars, 2)
    one = seat("one", {before: {"AAA": 0.8}}, share=0.5)
    two = seat("two", {before: {"AAA": -0.3}}, share=0.5)
    (report,) = Stage(tmp_path, bars, (one, two), count=1).run()
    opened = float(bars.open.loc[last, "AAA"])
    bought, sold = int(50_000 * 0.8 // opened), int(50_000 * 0.3 // opened)
    (order,) = report.orders
    assert (order.signed, dict(order.shares)) == (bought - sold, {"one": bought, "two": -sold})
    assert {result.strategy: dict(result.held) for result in report.results} == {
        "one": {"AAA": bought},
        "two": {"AAA": -sold},
    }


def test_what_strategies_trade_with_each_other_is_no_order_and_still_theirs(tmp_path, bars):
    days = last_days(bars, 4)
    one = seat("one", {days[0]: {"AAA": 0.4}, days[1]: {}}, share=0.5)
    two = seat("two", {days[1]: {"AAA": 0.4}}, share=0.5)
    stage = Stage(tmp_path, bars, (one, two), limits=WIDE)
    rehearsal = stage.open()
    first = rehearsal.trade(rehearsal.sessions[0])
    bought = first.results[0].held["AAA"]
    second = rehearsal.trade(rehearsal.sessions[1])
    rehearsal.close()
    want = int(rehearsal.journal.book.past.decision.inputs["equity"] * 0.5 * 0.4 // float(bars.open["AAA"].iloc[-2]))
    assert [order.signed for order in second.orders] == ([want - bought] if want != bought else [])
    assert dict(second.results[0].held) == {}
    assert dict(second.results[1].held) == {"AAA": want}
    total = sum(result.pnl for result in second.results)
    assert total == pytest.approx(second.equity - first.equity)


def test_what_two_strategies_hold_against_each_other_is_closed_by_each_at_its_own_time(tmp_path, bars):
    days = last_days(bars, 4)
    one = seat("one", {days[0]: {"AAA": 0.4}, days[1]: {}}, share=0.5)
    two = seat("two", {days[0]: {"AAA": -0.4}}, share=0.5)
    first, second, _ = Stage(tmp_path, bars, (one, two)).run()
    shares = int(50_000 * 0.4 // float(bars.open.loc[days[1], "AAA"]))
    assert first.orders == ()  # the account holds nothing, its strategies do
    assert [dict(result.held) for result in first.results] == [{"AAA": shares}, {"AAA": -shares}]
    move = float(bars.close.loc[days[1], "AAA"] - bars.open.loc[days[1], "AAA"])
    assert [result.pnl for result in first.results] == pytest.approx([shares * move, -shares * move])
    assert [order.signed for order in second.orders] == [-shares]
    assert [dict(result.held) for result in second.results] == [{}, {"AAA": -shares}]


def test_profit_of_the_strategies_sums_to_the_profit_of_the_account_costs_included(tmp_path, bars):
    days = last_days(bars, 6)
    one = seat("one", {days[0]: {"AAA": 0.4}, days[2]: {"BBB": 0.5}, days[3]: {}}, share=0.6)
    two = seat("two", {days[0]: {"BBB": -0.3}, days[3]: {"AAA": 0.2}}, share=0.4)
    stage = Stage(tmp_path, bars, (one, two), count=5)
    with_costs = Settings(portfolio=PortfolioParams(cash=100_000.0), costs=CostParams())
    rehearsal = Rehearsal.open(with_costs, stage.paths, stage.seats, Data(bars), 5, WIDE)
    reports = [rehearsal.trade(session) for session in rehearsal.sessions]
    rehearsal.close()
    assert sum(len(report.orders) for report in reports) >= 6
    made = sum(result.pnl for report in reports for result in report.results)
    assert made == pytest.approx(reports[-1].equity - 100_000.0, abs=1e-6)


def test_data_that_lacks_the_last_session_stops_before_anything_is_decided(tmp_path, bars):
    days = last_days(bars, 4)
    gap = bars.index != pd.Timestamp(days[-2])
    holed = replace(bars, **{name: getattr(bars, name)[gap] for name in
                             ("open", "high", "low", "close", "volume", "traded_close")})  # fmt: skip
    stage = Stage(tmp_path, holed, (seat("one", {days[0]: {"AAA": 0.5}}),), count=1)
    rehearsal = stage.open()
    with pytest.raises(StaleData, match=f"the newest is of {days[-3]}.*{days[-2]}; nothing was decided"):
        rehearsal.trade(rehearsal.sessions[0])
    kinds = [event.kind for event in rehearsal.journal.events()]
    rehearsal.close()
    assert Kind.DECISION not in kinds
    assert Kind.INTENT not in kinds


def test_rows_in_quarantine_stop_a_session(tmp_path, bars):
    days = last_days(bars, 4)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}),))
    rehearsal = Rehearsal.open(stage.settings, stage.paths, stage.seats, Data(bars, bad_rows=0.06), 1, WIDE)
    with pytest.raises(DataRefused, match="6% of the rows are in quarantine, max_bad_rows 5%"):
        rehearsal.trade(rehearsal.sessions[0])
    rehearsal.close()


def test_nothing_is_sent_while_trading_is_halted(tmp_path, bars):
    days = last_days(bars, 4)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}),))
    rehearsal = stage.open()
    rehearsal.journal.set_state(TradingState.HALTED, "a person looks into it")
    report = rehearsal.trade(rehearsal.sessions[0])
    assert report.orders == ()
    assert report.halted == "a person looks into it"
    rehearsal.journal.set_state(TradingState.ACTIVE, "it was nothing after all", who="ada")
    again = rehearsal.trade(rehearsal.sessions[1])
    rehearsal.close()
    assert [order.symbol for order in again.orders] == ["AAA"]  # what was not reached is still wanted


def test_a_halt_between_two_orders_keeps_the_second_from_being_sent(tmp_path, bars):
    days = last_days(bars, 4)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.2, "BBB": 0.2}}),))
    rehearsal = stage.open()
    place = rehearsal.broker.place

    def halting(order, order_id):
        person = Journal.open(stage.settings, stage.paths, "PAPER", clock=rehearsal.clock)
        person.set_state(TradingState.HALTED, "enough")
        person.close()
        return place(order, order_id)

    rehearsal.broker.place = halting
    report = rehearsal.trade(rehearsal.sessions[0])
    events = list(rehearsal.journal.events())
    rehearsal.close()
    assert [order.symbol for order in report.orders] == ["AAA"]  # it was on its way
    assert report.halted == "enough"
    assert [event.kind for event in events].count(Kind.INTENT) == 1


def test_what_is_too_late_is_left_out_and_told(tmp_path, bars):
    days = last_days(bars, 4)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.2}}),))
    rehearsal = stage.open()
    rehearsal.broker.connect()
    desk = rehearsal.desk(rehearsal.sessions[0])
    rehearsal.clock.set(desk.hours.opens + timedelta(minutes=16))
    report = run_session(desk)
    texts = [alert.text for alert in rehearsal.outbox.pending()]
    rehearsal.close()
    assert report.orders == ()
    assert texts == [f"the decision of {days[1]} 13:30Z is 0:16:00 late; it is left out"]


def test_a_step_of_capital_bounds_what_a_strategy_sizes_by(tmp_path, bars):
    days = last_days(bars, 2)
    staged = replace(seat("one", {days[0]: {"AAA": 0.9}}, capital=2_500.0), stage="staged_live")
    (report,) = Stage(tmp_path, bars, (staged,), count=1).run()
    assert [order.signed for order in report.orders] == [int(2_500 * 0.9 // float(bars.open.loc[days[1], "AAA"]))]
    assert report.results[0].capital == 2_500.0


def test_the_gate_is_shown_what_open_orders_of_each_strategy_may_still_trade(tmp_path, bars):
    rehearsal = Stage(tmp_path, bars, (seat("one", {}), seat("two", {}))).open()
    rehearsal.broker.connect()
    desk = rehearsal.desk(rehearsal.sessions[0])
    rehearsal.clock.set(desk.hours.opens + timedelta(minutes=1))
    begin(desk)
    netted = wanted("k1", 60, limit=50.0, shares={"one": 100, "two": -40})
    stop = wanted("k2", 10, Side.SELL, limit=200.0, shares={"one": -10}, origin=Origin.PROTECTION)
    send(desk.journal, desk.broker, [netted, stop])
    fill = Fill("x1", 1, "k1", "AAA", Side.BUY, 30, 50.0, desk.clock(), "PAPER")
    desk.journal.append(Draft(Kind.FILL, fill_data(fill), "k1", "AAA"))
    shown = view(desk, desk.data(desk.clock()), {"AAA"})
    beside = view(desk, desk.data(desk.clock()), {"AAA"}, beside={"k1"})
    rehearsal.close()
    assert shown.books == {"one": {"AAA": 50}, "two": {"AAA": -20}}
    assert shown.ordered == (("one", "AAA", 50), ("two", "AAA", -20))
    assert beside.ordered == ()


@pytest.mark.parametrize("behind", [-30, 12, 61])
def test_an_order_of_a_second_ago_is_that_old_to_the_gate_however_far_this_clock_is_off(tmp_path, bars, behind):
    rehearsal = Stage(tmp_path, bars, (seat("one", {}),)).open()
    rehearsal.broker.connect()
    desk = rehearsal.desk(rehearsal.sessions[0])
    rehearsal.clock.set(desk.hours.opens + timedelta(minutes=1))
    desk.clock = desk.journal._clock = lambda: rehearsal.clock() - timedelta(seconds=behind)
    begin(desk)
    send(desk.journal, desk.broker, [wanted("k1", 60, limit=50.0)])
    rehearsal.clock.set(rehearsal.clock() + timedelta(seconds=1))
    shown = view(desk, desk.data(desk.clock()), {"AAA"})
    reasons = decide(wanted("k2", 60, limit=50.0), shown).reasons
    rehearsal.close()
    assert [(shown.now - one.at).total_seconds() for one in shown.sent] == [1.0]
    assert "DUPLICATE_ORDER: min_seconds=10, seconds_ago=1, key=k1" in reasons


def test_too_little_history_is_told_with_both_numbers(tmp_path, bars):
    short = Seat(replace(seat("one", {}).strategy, lookback=150), "pack of one")  # type: ignore[type-var]
    with pytest.raises(NoData, match="150 sessions, the strategies look back 150; nothing can be traded yet"):
        Stage(tmp_path, bars, (short,)).open()
    with pytest.raises(InputRefused, match="--sessions 0: trade at least 1"):
        Stage(tmp_path, bars, (seat("one", {}),), count=0).open()


def test_a_second_runner_of_the_same_account_is_refused(tmp_path, bars):
    stage = Stage(tmp_path, bars, (seat("one", {}),))
    first = stage.open()
    with pytest.raises(AlreadyRunning, match="account PAPER: traded by"):
        stage.open()
    first.close()
    stage.open().close()


def test_a_denied_order_is_told_and_wanted_again_the_next_session(tmp_path, bars):
    days = last_days(bars, 4)
    narrow = WIDE.model_copy(update={"max_order_value": 10_000.0})
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}),), limits=narrow)
    rehearsal = stage.open()
    report = rehearsal.trade(rehearsal.sessions[0])
    assert report.orders == ()
    (denied,) = report.denied
    assert denied.reason.startswith("NOTIONAL_EXCEEDS_MAX_PER_ORDER: max_notional=10,000")
    assert (report.results[0].equal, report.results[0].explained) == (False, True)
    rehearsal.limits = WIDE
    assert [order.symbol for order in rehearsal.trade(rehearsal.sessions[1]).orders] == ["AAA"]
    texts = [alert.text for alert in rehearsal.outbox.pending()]
    rehearsal.close()
    assert any("NOTIONAL_EXCEEDS_MAX_PER_ORDER" in text for text in texts)


def test_a_large_order_waits_for_a_person_and_is_sent_once_confirmed(tmp_path, bars):
    days = last_days(bars, 4)
    asking = WIDE.model_copy(update={"confirm_above": 10_000.0})
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}),), limits=asking)
    rehearsal = stage.open()
    session = rehearsal.sessions[0]
    rehearsal.broker.connect()
    desk = rehearsal.desk(session)
    told: list[str] = []

    def wait(moment: datetime) -> bool:
        """Let a person confirm what waits, ten minutes after the open."""
        waiting = desk.journal.book.past.denied
        if moment == desk.hours.closes and waiting and not told:
            rehearsal.clock.set(desk.hours.opens + timedelta(minutes=10))
            told.extend(waiting)
            confirm(desk.journal, told[0], who="ada", now=rehearsal.clock())
            return True
        rehearsal.clock.set(max(moment, rehearsal.clock()))
        return False

    desk.wait = wait
    report = run_session(desk)
    rehearsal.close()
    assert [(order.key, order.status) for order in report.orders] == [(told[0], "filled")]


def confirmed_late(stage: Stage, after: float, limits: Limits) -> tuple[SessionReport, list[str], list[str]]:
    """Trade a session whose large order is confirmed after ten minutes and looked at ``after`` minutes, by limits."""
    rehearsal = stage.open()
    rehearsal.broker.connect()
    desk = rehearsal.desk(rehearsal.sessions[0])
    asked: list[str] = []

    def wait(moment: datetime) -> bool:
        if moment == desk.hours.closes and not asked:
            asked.extend(desk.journal.book.past.denied)
            rehearsal.clock.set(desk.hours.opens + timedelta(minutes=10))
            confirm(desk.journal, asked[0], who="ada", now=rehearsal.clock())
            rehearsal.clock.set(desk.hours.opens + timedelta(minutes=after))
            rehearsal.limits = limits
            return True
        rehearsal.clock.set(max(moment, rehearsal.clock()))
        return False

    desk.wait = wait
    report = run_session(desk)
    texts = [alert.text for alert in rehearsal.outbox.all()]
    rehearsal.close()
    return report, asked, texts


def test_an_order_that_was_confirmed_too_late_is_refused_with_the_reason(tmp_path, bars):
    asking = WIDE.model_copy(update={"confirm_above": 10_000.0})
    stage = Stage(tmp_path, bars, (seat("one", {last_days(bars, 4)[0]: {"AAA": 0.5}}),), limits=asking)
    report, (key,), texts = confirmed_late(stage, 45.0, asking)
    assert report.orders == ()
    reason = "CONFIRMATION_EXPIRED: max_minutes=30, minutes=45"
    assert [(one.key, one.waits, one.reason) for one in report.denied] == [(key, False, reason)]
    shares = report.denied[0].signed
    assert texts[-1] == f"order {key}, {shares:+,} AAA, was confirmed and is not sent: {reason}"


def test_a_confirmed_order_is_asked_of_the_gate_again_as_the_world_is_then(tmp_path, bars):
    asking = WIDE.model_copy(update={"confirm_above": 10_000.0})
    stage = Stage(tmp_path, bars, (seat("one", {last_days(bars, 4)[0]: {"AAA": 0.5}}),), limits=asking)
    report, (key,), texts = confirmed_late(stage, 20.0, asking.model_copy(update={"max_order_value": 20_000.0}))
    assert report.orders == ()
    assert report.denied[0].key == key
    assert report.denied[0].reason.startswith("NOTIONAL_EXCEEDS_MAX_PER_ORDER: max_notional=20,000")
    assert any("NOTIONAL_EXCEEDS_MAX_PER_ORDER" in text for text in texts)


def test_what_was_confirmed_after_the_session_is_refused_at_the_next_one(tmp_path, bars):
    days = last_days(bars, 4)
    asking = WIDE.model_copy(update={"confirm_above": 10_000.0})
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}),), limits=asking)
    rehearsal = stage.open()
    (first,) = rehearsal.trade(rehearsal.sessions[0]).denied
    at = rehearsal.journal.book.past.denied[first.key].at
    confirm(rehearsal.journal, first.key, who="ada", now=at + timedelta(minutes=29))
    second = rehearsal.trade(rehearsal.sessions[1])
    denials = [event for event in rehearsal.journal.events() if event.kind is Kind.DENIAL]
    rehearsal.close()
    assert [event.key for event in denials][:2] == [first.key, first.key]
    assert denials[1].data["reasons"][0].startswith("CONFIRMATION_EXPIRED: max_minutes=30")
    assert [one.waits for one in second.denied if one.key != first.key] == [True]  # decided anew, and asked for again


def test_what_may_only_reduce_opens_nothing_and_still_shrinks(tmp_path, bars):
    days = last_days(bars, 5)
    wanted = {days[0]: {"AAA": 0.4, "BBB": -0.2}, days[1]: {"AAA": 0.6, "BBB": 0.3}, days[2]: {"AAA": 0.1}}
    stage = Stage(tmp_path, bars, (seat("one", wanted),), count=4)
    rehearsal = stage.open()
    rehearsal.trade(rehearsal.sessions[0])
    held = dict(rehearsal.journal.book.books["one"])
    rehearsal.seats = (replace(stage.seats[0], mode="reduce_only"),)
    second = rehearsal.trade(rehearsal.sessions[1])
    assert [(order.symbol, order.signed) for order in second.orders] == [("BBB", -held["BBB"])]  # no growth, no turn
    third = rehearsal.trade(rehearsal.sessions[2])
    rehearsal.close()
    ((symbol, signed),) = [(order.symbol, order.signed) for order in third.orders]
    assert symbol == "AAA"
    assert -held["AAA"] < signed < 0


def test_an_account_that_differs_from_the_journal_is_not_traded(tmp_path, bars):
    days = last_days(bars, 4)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}),))
    rehearsal = stage.open()
    rehearsal.trade(rehearsal.sessions[0])
    rehearsal.broker.close()
    ledger = Ledger(tmp_path / "data" / "state" / "paper.db")
    ledger.hold("AAA", -7, 100.0, 0.0)
    ledger.close()
    with pytest.raises(DataRefused, match=r"account PAPER: AAA: \+\d+ shares in the journal.*workbench reconcile"):
        rehearsal.trade(rehearsal.sessions[1])
    kinds = [event.kind for event in rehearsal.journal.events()]
    rehearsal.close()
    assert kinds.count(Kind.DECISION) == 1


def stranger_bought(rehearsal: Rehearsal) -> Callable[[], tuple[Position, ...]]:
    """Let the broker hold seven BBB that nothing explains, and return how it answered before."""
    positions = rehearsal.broker.positions
    rehearsal.broker.positions = lambda: (*positions(), Position("BBB", 7, 50.0, 2))  # type: ignore[method-assign]
    return positions


def test_what_never_arrived_is_sent_again_only_after_the_books_agree(tmp_path, bars):
    stage = Stage(tmp_path, bars, (seat("one", {last_days(bars, 2)[0]: {"AAA": 0.5}}),), count=1)
    rehearsal = stage.open()

    def dying(order, order_id):
        raise KeyboardInterrupt

    rehearsal.broker.place = dying
    with pytest.raises(KeyboardInterrupt):
        rehearsal.trade(rehearsal.sessions[0])
    rehearsal.close()
    again = stage.open()
    stranger_bought(again)
    with pytest.raises(AccountDiffers, match=r"BBB: \+0 shares in the journal, \+7 at the broker"):
        again.trade(again.sessions[0])
    (order,) = again.journal.book.orders.values()
    again.close()
    assert (order.status, order.permanent_id) == (OrderStatus.CANCELLED, 0)
    assert read_paper(tmp_path / "data" / "state" / "paper.db").orders == ()


def test_a_difference_that_is_found_within_a_session_lets_nothing_new_be_sent_until_a_person_looked(tmp_path, bars):
    days = last_days(bars, 2)
    rehearsal = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}),), count=1).open()
    rehearsal.broker.connect()
    desk = rehearsal.desk(rehearsal.sessions[0])
    begin(desk)
    put_in_order(desk)
    desk.wait(desk.moments[0])
    positions = stranger_bought(rehearsal)
    reconcile(desk.journal, desk.broker, desk.outbox)  # the look of a minute
    trade(desk, desk.moments[0])
    book = desk.journal.book
    assert [one.reason for one in book.past.denied.values()] == ["NOT_RECONCILED: symbol=AAA"]
    assert book.orders == {}
    rehearsal.broker.positions = positions  # type: ignore[method-assign]
    explain(desk.journal, desk.broker, "BBB", "ada", "sold again by hand")
    assert reconcile(desk.journal, desk.broker, desk.outbox).clean
    assert view(desk, desk.data(desk.clock()), {"AAA"}).reconciled
    rehearsal.close()


def test_a_difference_of_one_look_does_not_end_the_decision_of_a_day_and_its_symbol_stays_locked(tmp_path, bars):
    days = last_days(bars, 2)
    rehearsal = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}),), count=1).open()
    rehearsal.broker.connect()
    desk = rehearsal.desk(rehearsal.sessions[0])
    begin(desk)
    put_in_order(desk)
    desk.wait(desk.moments[0])
    positions = stranger_bought(rehearsal)
    reconcile(desk.journal, desk.broker, desk.outbox)
    rehearsal.broker.positions = positions  # type: ignore[method-assign]
    assert desk.journal.book.differs
    trade(desk, desk.moments[0])
    book = desk.journal.book
    assert (book.past.denied, [one.order.symbol for one in book.orders.values()]) == ({}, ["AAA"])
    assert (book.differs, list(book.locked)) == ("", ["BBB"])
    rehearsal.close()


def test_much_cash_that_differs_lets_a_session_only_reduce_until_it_is_explained(tmp_path, bars):
    days = last_days(bars, 5)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.4}, days[1]: {"AAA": 0.1, "BBB": 0.4}}),), count=4)
    rehearsal = stage.open()
    rehearsal.trade(rehearsal.sessions[0])
    rehearsal.broker.close()
    ledger = Ledger(tmp_path / "data" / "state" / "paper.db")
    ledger.set_fact("cash", ledger.fact("cash") + 150.0)  # 0.15 % of 100,000
    ledger.close()
    second = rehearsal.trade(rehearsal.sessions[1])
    assert [(order.symbol, order.signed < 0) for order in second.orders] == [("AAA", True)]
    assert [(one.symbol, one.reason.partition(":")[0]) for one in second.denied] == [("BBB", "NOT_REDUCING")]
    explain(rehearsal.journal, rehearsal.broker, "", "ada", "a dividend of BBB")
    third = rehearsal.trade(rehearsal.sessions[2])
    rehearsal.close()
    assert [order.symbol for order in third.orders] == ["BBB"]


def test_a_symbol_without_a_price_is_left_alone_and_the_others_are_traded(tmp_path, bars):
    days = last_days(bars, 3)
    opened, closed = bars.open.copy(), bars.close.copy()
    for frame in (opened, closed):
        frame.loc[:, "BBB"] = np.nan
    silent = replace(bars, open=opened, close=closed, high=bars.high, low=bars.low)
    stage = Stage(tmp_path, silent, (seat("one", {days[0]: {"AAA": 0.3, "BBB": 0.3}}),), count=1)
    (report,) = stage.run()
    assert [order.symbol for order in report.orders] == ["AAA"]


def test_a_session_that_is_started_again_goes_on_with_its_decision_and_doubles_nothing(tmp_path, bars):
    days = last_days(bars, 4)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": -0.2, "BBB": 0.4}}),))
    rehearsal = stage.open()
    place, placed = rehearsal.broker.place, []

    def dying(order, order_id):
        if placed:
            raise KeyboardInterrupt  # between the first order and the second
        placed.append(order.key)
        return place(order, order_id)

    rehearsal.broker.place = dying
    with pytest.raises(KeyboardInterrupt):
        rehearsal.trade(rehearsal.sessions[0])
    rehearsal.close()
    again = stage.open()
    report = again.trade(again.sessions[0])
    events = list(again.journal.events())
    again.close()
    assert sorted(order.symbol for order in report.orders) == ["AAA", "BBB"]
    assert [event.kind for event in events].count(Kind.DECISION) == 1
    assert violations(events, read_paper(tmp_path / "data" / "state" / "paper.db")) == []


def test_of_moments_that_passed_while_it_was_away_the_last_one_is_decided_and_none_before_it(tmp_path, bars):
    days = last_days(bars, 4)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}),))
    rehearsal = stage.open()
    rehearsal.broker.connect()
    desk = rehearsal.desk(rehearsal.sessions[0])
    opens = desk.hours.opens
    desk.moments = tuple(opens + timedelta(minutes=late) for late in (0, 5, 10, 15))
    for _ in range(2):  # started at 12 minutes, and once more after the last one
        rehearsal.clock.set(max(rehearsal.clock(), opens + timedelta(minutes=12)))
        run_session(desk)
    decided = [event.data["id"][-6:-1] for event in rehearsal.journal.events() if event.kind is Kind.DECISION]
    rehearsal.close()
    assert decided == [f"{opens + timedelta(minutes=late):%H:%M}" for late in (10, 15)]


def test_the_runner_does_with_a_preview_what_it_would_send_and_writes_nothing(tmp_path, bars):
    days = last_days(bars, 4)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}),), limits=WIDE)
    rehearsal = stage.open()
    number = rehearsal.journal.book.last.number if rehearsal.journal.book.last else 0
    found = rehearsal.preview(rehearsal.sessions[0])
    assert [(line.symbol, verdict.passes) for line, verdict in found.verdicts] == [("AAA", True)]
    assert (rehearsal.journal.book.last.number if rehearsal.journal.book.last else 0) == number
    assert rehearsal.broker.open_orders() == ()
    assert [order.signed for order in rehearsal.trade(rehearsal.sessions[0]).orders] == [found.verdicts[0][0].signed]
    rehearsal.close()


def test_a_fill_leads_back_to_the_decision_the_data_and_the_evidence(tmp_path, bars):
    days = last_days(bars, 4)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}),))
    rehearsal = Rehearsal.open(
        stage.settings, stage.paths, stage.seats, Data(bars, {"prices_daily": 4}), 3, WIDE
    )  # fmt: skip
    report = rehearsal.trade(rehearsal.sessions[0])
    (fill,) = rehearsal.journal.book.fills.values()
    found = why(rehearsal.journal, fill.id)
    rehearsal.close()
    assert found.order.order.key == report.orders[0].key
    assert found.decision.wanted[0].pack == "pack of one"
    assert found.decision.inputs["versions"] == {"prices_daily": 4}
    assert found.decision.inputs["until"].startswith(days[0])
    assert found.decision.inputs["bars"] == Data(bars.until(days[0])).digest(1)
    assert [event.kind for event in found.events] == ["intent", "acknowledged", "fill", "acknowledged"]
    assert slippage(rehearsal.journal.book, stage.seats[0]) == (1, 0.0)


def kill_while_it_trades(stage: Stage, seconds: float) -> None:
    """Start the runner in a process of its own, and kill -9 it some time after it has begun."""
    ready, tell = os.pipe()
    process = os.fork()
    if process == 0:
        with suppress(BaseException):
            rehearsal = stage.open()
            os.write(tell, b"1")
            for session in rehearsal.sessions:
                rehearsal.trade(session)
        os._exit(0)
    os.close(tell)
    assert os.read(ready, 1) == b"1", "the runner did not begin"
    os.close(ready)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", [15, pytest.param(150, marks=pytest.mark.slow)])
def test_kill_9_at_any_moment_of_a_session_loses_and_doubles_nothing(tmp_path, bars, kills):
    chance = random.Random(kills)
    days = last_days(bars, 81)
    wanted = {day: {"AAA": chance.uniform(-0.4, 0.4), "BBB": chance.uniform(-0.4, 0.4)} for day in days}
    stage = Stage(tmp_path, bars, (seat("one", wanted, share=0.5), seat("two", dict(zip(days, reversed(
        list(wanted.values())), strict=True)), share=0.5)), count=80)  # fmt: skip
    stage.open().close()  # makes the tables
    broker = tmp_path / "data" / "state" / "paper.db"
    for _ in range(kills):
        kill_while_it_trades(stage, chance.uniform(0.01, 0.6))
        rehearsal = stage.open()
        if rehearsal.sessions:
            rehearsal.trade(rehearsal.sessions[0])
        events = list(rehearsal.journal.events())
        rehearsal.close()
        assert violations(events, read_paper(broker)) == []
    assert len(read_paper(broker).orders) > kills


def test_what_was_told_as_left_out_is_not_sent_when_another_order_is_confirmed(tmp_path, bars):
    before, *_ = last_days(bars, 2)
    asking = WIDE.model_copy(update={"confirm_above": 10_000.0})
    stage = Stage(tmp_path, bars, (seat("one", {before: {"AAA": 0.5, "BBB": 0.05}}),), limits=asking, count=1)
    first = stage.open()

    def dying(*_):
        raise KeyboardInterrupt  # AAA waits for a person; BBB is decided, and no intent of it is written

    first.journal.intend = dying  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        first.trade(first.sessions[0])
    first.close()
    again = stage.open()
    again.broker.connect()
    desk = again.desk(again.sessions[0])
    again.clock.set(desk.moments[0] + timedelta(minutes=20))
    confirmed: list[str] = []

    def wait(moment):
        if moment >= desk.hours.closes and not confirmed:
            confirmed.extend(desk.journal.book.past.waiting)
            confirm(desk.journal, confirmed[0], who="ada", now=again.clock())
            return True
        again.clock.set(max(moment, again.clock()))
        return False

    desk.wait = wait
    report = run_session(desk)
    told = [alert.kind for alert in again.outbox.all()]
    again.close()
    assert "late" in told
    assert [(order.symbol, order.status) for order in report.orders] == [("AAA", "filled")]
