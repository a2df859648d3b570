"""Exits while trading: brackets at the broker, what is put back beside a holding, and what the clock closes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pytest

from tests.live.history import read_paper, violations
from tests.live.ib.conftest import until
from tests.live.test_runner import WIDE, Stage, Written, kill_while_it_trades, last_days
from tests.live.test_service import PATIENT, Office, running, sim  # noqa: F401 (the fixture: a simulated gateway)
from tests.live.test_service import bars as gateway_bars  # noqa: F401
from workbench.errors import InputRefused
from workbench.live import protection
from workbench.live.gate.facts import Origin
from workbench.live.ib import IBBroker
from workbench.live.journal.event import Kind
from workbench.live.rehearsal import Rehearsal
from workbench.live.runner import run_session
from workbench.live.session import Seat
from workbench.strategies.exits import Exits
from workbench.trading import OrderType, Side
from workbench.types import Bars

BRACKET = Exits(stop_atr=2.0, target_atr=3.0)
ROWS = 40
WORKING = ("PreSubmitted", "Submitted")


@dataclass(frozen=True)
class Bounded(Written):
    """A strategy that wants what is written down, with exits."""

    exits: Exits | None = BRACKET


def seat(name: str, wanted: Mapping[str, Mapping[str, float]], exits: Exits | None = BRACKET, **facts: object) -> Seat:
    return Seat(Bounded(name, ("AAA", "BBB"), wanted, exits=exits), f"pack of {name}", 1, **facts)  # type: ignore[arg-type]


@pytest.fixture
def make(bars_of: Callable[..., Bars]) -> Callable[..., Bars]:
    """Forty sessions of AAA at 100 and BBB at 50, whose true range is 2 and 1; ``lows`` and others change some days."""

    def made(volume: float = 1e6, **changes: Mapping[int, float]) -> Bars:
        close = np.column_stack([np.full(ROWS, 100.0), np.full(ROWS, 50.0)])
        frames = {"open": close.copy(), "high": close * 1.01, "low": close * 0.99, "volume": close * 0 + volume}
        for name, days in changes.items():
            for row, price in days.items():
                frames[name][row, 0] = price
        return bars_of(close, ["AAA", "BBB"], start="2024-01-02", sectors={"AAA": "Alpha", "BBB": "Beta"}, **frames)

    return made


def resting(rehearsal: Rehearsal) -> dict[tuple[str, OrderType], tuple[int, float | None]]:
    """Return what lies at the broker: by symbol and type the signed shares and the price."""
    return {
        (one.order.symbol, one.order.type): (one.order.signed, one.order.stop or one.order.limit)
        for one in rehearsal.broker.open_orders()
    }


def test_what_one_strategy_opens_alone_is_one_bracket_that_lasts(tmp_path, make):
    bars = make()
    days = last_days(bars, 3)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}),), count=2)
    rehearsal = stage.open()
    sent: list[list[str]] = []
    place_bracket = rehearsal.broker.place_bracket

    def watched(orders, *more):
        orders = list(orders)
        sent.append([one.parent for one, _ in orders])
        return place_bracket(orders, *more)

    rehearsal.broker.place_bracket = watched
    rehearsal.trade(rehearsal.sessions[0])
    shares = rehearsal.journal.book.books["one"]["AAA"]
    assert shares == 500
    (parents,) = [one for one in sent if len(one) > 1]
    assert parents[0] == ""
    assert parents[1] == parents[2] != ""  # the two hang on the first: none works before all are there
    assert resting(rehearsal) == {("AAA", OrderType.STOP): (-500, 96.0), ("AAA", OrderType.LIMIT): (-500, 106.0)}
    orders = [one.order for one in rehearsal.broker.open_orders()]
    assert {order.tif for order in orders} == {"GTC"}
    assert len({order.oca for order in orders}) == 1  # of which one fills
    report = rehearsal.trade(rehearsal.sessions[1])
    rehearsal.close()
    assert report.orders == ()  # nothing changed: they are left where they are
    assert report.results[0].equal


def test_a_stop_sells_its_strategys_shares_and_the_strategy_stays_out_until_its_weight_was_zero(tmp_path, make):
    bars = make(low={ROWS - 5: 90.0})
    days = last_days(bars, 7)
    wanted = {days[0]: {"AAA": 0.5}, days[4]: {}, days[5]: {"AAA": 0.4}}
    stage = Stage(tmp_path, bars, (seat("one", wanted),), count=6)
    rehearsal = stage.open()
    reports = [rehearsal.trade(session) for session in rehearsal.sessions]
    book = rehearsal.journal.book
    rehearsal.close()
    fills = [(str(fill.at.date()), fill.signed, fill.price) for fill in book.fills.values()]
    # 0.4 of the 98,000 that the stop left
    assert fills == [(days[1], 500, 100.0), (days[2], -500, 96.0), (days[6], 392, 100.0)]
    assert all(report.results[0].equal for report in reports)
    assert [dict(report.results[0].held) for report in reports] == [{"AAA": 500}, {}, {}, {}, {}, {"AAA": 392}]
    stopped = [one for one in book.orders.values() if one.protects and one.filled]
    assert [one.intent.asked.shares for one in stopped] == [{"one": -500}]


def test_of_an_order_for_two_strategies_each_has_its_own_protection_and_its_own_loss(tmp_path, make):
    bars = make(low={ROWS - 1: 90.0})
    days = last_days(bars, 3)
    one = seat("one", {days[0]: {"AAA": 0.8}}, share=0.5)
    two = seat("two", {days[0]: {"AAA": -0.3}}, None, share=0.5)
    stage = Stage(tmp_path, bars, (one, two), count=2)
    rehearsal = stage.open()
    first = rehearsal.trade(rehearsal.sessions[0])
    assert [order.signed for order in first.orders if order.status == "filled"] == [250]  # 400 less 150, netted
    assert resting(rehearsal) == {("AAA", OrderType.STOP): (-400, 96.0), ("AAA", OrderType.LIMIT): (-400, 106.0)}
    second = rehearsal.trade(rehearsal.sessions[1])
    rehearsal.close()
    assert {result.strategy: dict(result.held) for result in second.results} == {"one": {}, "two": {"AAA": -150}}
    assert {result.strategy: result.pnl for result in second.results} == pytest.approx({"one": -1_600.0, "two": 0.0})
    assert all(result.equal for result in second.results)


def test_protection_is_taken_back_before_its_symbol_is_traded_and_put_there_again_for_what_is_held(tmp_path, make):
    bars = make()
    days = last_days(bars, 4)
    wanted = {days[0]: {"AAA": 0.5}, days[1]: {"AAA": 0.2}, days[2]: {}}
    stage = Stage(tmp_path, bars, (seat("one", wanted),), count=3)
    rehearsal = stage.open()
    rehearsal.trade(rehearsal.sessions[0])
    before = {one.order.key for one in rehearsal.broker.open_orders()}
    rehearsal.trade(rehearsal.sessions[1])
    assert resting(rehearsal) == {("AAA", OrderType.STOP): (-200, 96.0), ("AAA", OrderType.LIMIT): (-200, 106.0)}
    events = list(rehearsal.journal.events())
    cancelled = [event.number for event in events if event.kind is Kind.CANCEL and event.key in before]
    decided = [event.number for event in events if event.kind is Kind.DECISION]
    assert len(cancelled) == 2
    assert max(cancelled) < decided[1]  # it is decided by what is held once they are gone
    report = rehearsal.trade(rehearsal.sessions[2])
    assert rehearsal.broker.open_orders() == ()
    rehearsal.close()
    assert report.results[0].held == {}


def test_what_a_stop_sold_while_it_was_taken_back_is_decided_by(tmp_path, make):
    bars = make()
    days = last_days(bars, 3)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}, days[1]: {"AAA": 0.2}}),), count=2)
    rehearsal = stage.open()
    rehearsal.trade(rehearsal.sessions[0])
    cancel, market = rehearsal.broker.cancel, rehearsal.broker._market

    def late(key: str) -> None:
        """Fill the stop just before it is cancelled."""
        (stop,) = [one for one in rehearsal.broker.open_orders() if one.order.type is OrderType.STOP] or [None]
        if stop is not None and stop.order.key == key:
            with (ledger := rehearsal.broker._open).change():
                rehearsal.broker._fill(ledger, ledger.orders_of(key)[-1], 500, 96.0, market.now())
        cancel(key)

    rehearsal.broker.cancel = late
    report = rehearsal.trade(rehearsal.sessions[1])
    rehearsal.close()
    assert report.results[0].held == {}
    assert [order.signed for order in report.orders] == []  # neither sold again nor bought back
    assert report.results[0].equal


def test_a_runner_that_died_before_its_protection_was_sent_puts_it_there_when_it_starts_again(tmp_path, make):
    bars = make()
    days = last_days(bars, 2)
    seats = (
        seat("one", {days[0]: {"AAA": 0.8}}, share=0.5),
        seat("two", {days[0]: {"AAA": 0.2}}, share=0.5, exits=None),
    )
    stage = Stage(tmp_path, bars, seats, count=1)
    rehearsal = stage.open()
    place = rehearsal.broker.place

    def dying(order, order_id):
        if order.type is OrderType.LIMIT:
            raise KeyboardInterrupt  # the stop is there, the target is not
        return place(order, order_id)

    rehearsal.broker.place = dying
    with pytest.raises(KeyboardInterrupt):
        rehearsal.trade(rehearsal.sessions[0])
    assert set(resting(rehearsal)) == {("AAA", OrderType.STOP)}
    rehearsal.close()
    again = stage.open()
    report = again.trade(again.sessions[0])
    events = list(again.journal.events())
    assert resting(again) == {("AAA", OrderType.STOP): (-400, 96.0), ("AAA", OrderType.LIMIT): (-400, 106.0)}
    again.close()
    assert report.results[0].equal
    assert violations(events, read_paper(tmp_path / "data" / "state" / "paper.db")) == []


def test_a_bracket_of_which_nothing_left_is_sent_again_as_one(tmp_path, make):
    bars = make()
    days = last_days(bars, 2)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}),), count=1)
    rehearsal = stage.open()

    def dying(*_):
        raise KeyboardInterrupt  # three intents are written, nothing is sent

    rehearsal.broker.place_bracket = dying
    with pytest.raises(KeyboardInterrupt):
        rehearsal.trade(rehearsal.sessions[0])
    rehearsal.close()
    again = stage.open()
    again.trade(again.sessions[0])
    assert again.journal.book.books == {"one": {"AAA": 500}}
    assert resting(again) == {("AAA", OrderType.STOP): (-500, 96.0), ("AAA", OrderType.LIMIT): (-500, 106.0)}
    events = list(again.journal.events())
    again.close()
    assert violations(events, read_paper(tmp_path / "data" / "state" / "paper.db")) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_kill_9_at_any_moment_leaves_nothing_unprotected_after_the_next_session(tmp_path, bars_of, kills):
    chance = random.Random(kills)
    step = np.arange(120)
    close = np.column_stack([100.0 + (step % 7), 50.0 + (step % 5)])
    bars = bars_of(close, ["AAA", "BBB"], start="2024-01-02", sectors={"AAA": "Alpha", "BBB": "Beta"})
    days = last_days(bars, 81)
    wanted = {day: {"AAA": chance.uniform(-0.4, 0.4), "BBB": chance.uniform(-0.4, 0.4)} for day in days}
    turned = dict(zip(days, reversed(list(wanted.values())), strict=True))
    seats = (seat("one", wanted, share=0.5), seat("two", turned, share=0.5))
    stage = Stage(tmp_path, bars, seats, count=80)
    stage.open().close()
    for _ in range(kills):
        kill_while_it_trades(stage, chance.uniform(0.01, 0.9))
        rehearsal = stage.open()
        if rehearsal.sessions:
            session = rehearsal.sessions[0]
            rehearsal.trade(session)
            assert protection.lacking(rehearsal.desk(session)) == ((), frozenset())
        events = list(rehearsal.journal.events())
        rehearsal.close()
        assert violations(events, read_paper(tmp_path / "data" / "state" / "paper.db")) == []


def test_what_filled_in_part_is_protected_for_what_is_held_once_its_order_has_ended(tmp_path, make):
    bars = make(volume=3_000.0)  # of which an order gets a tenth a session
    days = last_days(bars, 3)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}, Exits(stop_atr=2.0)),), count=2)
    rehearsal = stage.open()
    rehearsal.trade(rehearsal.sessions[0])
    assert rehearsal.journal.book.books == {"one": {"AAA": 300}}
    assert resting(rehearsal) == {("AAA", OrderType.STOP): (-300, 96.0)}  # the broker's own cut of the bracket
    report = rehearsal.trade(rehearsal.sessions[1])
    book = rehearsal.journal.book
    assert book.books == {"one": {"AAA": 500}}  # what was left of it is asked for again
    (stop,) = protection.protecting(book)
    assert (stop.order.quantity, stop.order.stop) == (500, 96.0)
    assert resting(rehearsal) == {("AAA", OrderType.STOP): (-500, 96.0)}
    rehearsal.close()
    assert report.results[0].equal


def test_the_end_of_the_session_closes_its_own_and_leaves_the_others(tmp_path, make):
    bars = make()
    days = last_days(bars, 4)
    day = seat("day", {days[0]: {"AAA": 0.4}}, Exits(stop_atr=2.0, minutes_before_close=15), share=0.5)
    swing = seat("swing", {days[0]: {"AAA": 0.2, "BBB": 0.3}}, None, share=0.5, rebalance="every_bar")
    stage = Stage(tmp_path, bars, (day, swing), count=3)
    rehearsal = stage.open()
    reports = [rehearsal.trade(session) for session in rehearsal.sessions]
    book = rehearsal.journal.book
    decisions = [event for event in rehearsal.journal.events() if event.kind is Kind.DECISION]
    assert rehearsal.broker.open_orders() == ()
    rehearsal.close()
    assert [(event.data["id"][-6:], event.data["ending"]) for event in decisions[:2]] == [
        ("14:30Z", False), ("20:45Z", True),
    ]  # fmt: skip
    closing = [(line["symbol"], line["shares"]) for line in decisions[1].data["lines"]]
    assert closing == [("AAA", {"day": -200})]
    assert {result.strategy: dict(result.held) for result in reports[-1].results} == {
        "day": {}, "swing": {"AAA": 100, "BBB": 300},
    }  # fmt: skip
    assert all(result.equal for report in reports for result in report.results)
    bought = [fill.signed for fill in book.fills.values() if fill.symbol == "AAA"]
    assert bought == [300, -200, 200, -200, 200, -200]  # each morning anew


def test_what_could_not_be_closed_before_the_end_is_a_critical_alert(tmp_path, make):
    bars = make(volume=3_000.0)  # a tenth of it a session is all that the market gives
    days = last_days(bars, 2)
    stage = Stage(tmp_path, bars, (seat("day", {days[0]: {"AAA": 0.4}}, Exits(minutes_before_close=15)),), count=1)
    rehearsal = stage.open()
    report = rehearsal.trade(rehearsal.sessions[0])
    told = [(alert.severity, alert.text) for alert in rehearsal.outbox.all() if alert.kind == "not_closed"]
    rehearsal.close()
    assert report.results[0].held == {"AAA": 300}
    assert told == [("critical", "day still holds AAA, which should be closed before the session ends")]


def test_a_runner_that_comes_late_still_closes_what_ends_with_the_session(tmp_path, make):
    bars = make()
    days = last_days(bars, 2)
    stage = Stage(tmp_path, bars, (seat("day", {days[0]: {"AAA": 0.4}}, Exits(minutes_before_close=60)),), count=1)
    rehearsal = stage.open()
    rehearsal.broker.connect()
    desk = rehearsal.desk(rehearsal.sessions[0])

    class Died(Exception):
        pass

    def wait(moment):
        if moment > desk.hours.opens:
            raise Died
        rehearsal.clock.set(max(moment, rehearsal.clock()))
        return False

    desk.wait = wait
    with pytest.raises(Died):
        run_session(desk)
    assert rehearsal.journal.book.books == {"day": {"AAA": 400}}
    rehearsal.clock.set(desk.hours.closes - timedelta(minutes=20))  # forty minutes after its moment
    report = run_session(rehearsal.desk(rehearsal.sessions[0]))
    assert report.results[0].held == {}
    assert [fill.signed for fill in rehearsal.journal.book.fills.values()] == [400, -400]
    count = len(rehearsal.journal.book.orders)
    soon = rehearsal.desk(rehearsal.sessions[0])  # started once more, soon after a moment before that decision
    soon.moments = (desk.hours.closes - timedelta(minutes=61),)
    soon.clock = lambda: desk.hours.closes - timedelta(minutes=50)
    run_session(soon)
    rehearsal.close()
    assert len(rehearsal.journal.book.orders) == count  # what was closed is not bought back


def test_the_longest_hold_is_counted_by_the_journal_over_restarts(tmp_path, make):
    bars = make()
    days = last_days(bars, 7)
    wanted = {days[0]: {"AAA": 0.4}, days[1]: {"AAA": 0.5}}
    held = []
    for count in range(1, 7):
        until = replace(bars, **{name: getattr(bars, name).iloc[: ROWS - 6 + count] for name in
                                 ("open", "high", "low", "close", "volume", "traded_close")})  # fmt: skip
        stage = Stage(tmp_path, until, (seat("one", wanted, Exits(max_hold_sessions=3)),), count=1)
        (report,) = stage.run()
        held.append(dict(report.results[0].held).get("AAA", 0))
    assert held == [400, 500, 500, 0, 0, 0]  # bought on the first; on the fourth it was held for three sessions


def test_a_strategy_that_would_be_closed_when_the_gate_is_shut_is_refused_at_once(tmp_path, make):
    bars = make()
    shut = WIDE.model_copy(update={"min_minutes_before_close": 20.0})
    stage = Stage(tmp_path, bars, (seat("day", {}, Exits(minutes_before_close=15)),), limits=shut, count=1)
    rehearsal = stage.open()
    with pytest.raises(InputRefused, match="minutes_before_close 15 is not above min_minutes_before_close 20"):
        rehearsal.trade(rehearsal.sessions[0])
    rehearsal.close()


def test_a_dry_run_shows_the_levels_and_asks_the_gate_about_the_whole_bracket(tmp_path, make):
    bars = make()
    days = last_days(bars, 3)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}, days[1]: {"AAA": 0.6}}),), count=2)
    rehearsal = stage.open()
    found = rehearsal.preview(rehearsal.sessions[0])
    assert [(line.symbol, verdict.passes) for line, verdict in found.verdicts] == [("AAA", True)]
    assert [(name, symbol, leg.stop, leg.target) for name, symbol, leg in found.protected] == [
        ("one", "AAA", 96.0, 106.0)
    ]
    assert rehearsal.broker.open_orders() == ()
    rehearsal.trade(rehearsal.sessions[0])
    again = rehearsal.preview(rehearsal.sessions[1])
    # The resting target would cross this purchase: it will be taken back first, so the gate is not asked about it.
    assert [(line.signed, verdict.passes) for line, verdict in again.verdicts] == [(100, True)]
    assert len(rehearsal.broker.open_orders()) == 2
    rehearsal.close()


def test_a_bracket_whose_target_the_gate_denies_is_not_opened_and_a_holding_keeps_its_stop(tmp_path, make):
    bars = make()
    days = last_days(bars, 2)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}}),), count=1)
    rehearsal = stage.open()
    instrument = rehearsal.broker.instrument
    rehearsal.broker.instrument = lambda symbol: replace(instrument(symbol), tick=0.03)
    report = rehearsal.trade(rehearsal.sessions[0])
    rehearsal.close()
    assert report.orders == ()
    assert report.denied[0].reason.startswith("PRICE_OFF_TICK")


def test_an_order_that_was_decided_by_another_holding_is_not_sent(tmp_path, make):
    bars = make()
    days = last_days(bars, 3)
    stage = Stage(tmp_path, bars, (seat("one", {days[0]: {"AAA": 0.5}, days[1]: {"AAA": 0.2}}),), count=2)
    rehearsal = stage.open()
    rehearsal.trade(rehearsal.sessions[0])

    def dying(asked, broker_next):
        raise KeyboardInterrupt  # decided and taken back, and no intent is written

    rehearsal.journal.intend = dying
    with pytest.raises(KeyboardInterrupt):
        rehearsal.trade(rehearsal.sessions[1])
    rehearsal.close()
    again = stage.open()
    market = again.broker

    def filling(key: str) -> None:
        """The new stop fills while it is taken back."""
        ledger = market._open
        (one,) = ledger.orders_of(key)
        if one.order.type is OrderType.STOP:
            with ledger.change():
                market._fill(ledger, one, one.order.quantity, 96.0, market._market.now())
        type(market).cancel(market, key)

    again.broker.cancel = filling
    report = again.trade(again.sessions[0])
    again.close()
    assert report.results[0].held == {}
    assert [fill.signed for fill in again.journal.book.fills.values()] == [500, -500]  # never through zero
    assert [one.reason for one in report.denied] == ["HOLDING_CHANGED: strategy=one, decided=500, held=0"]


def test_over_the_real_client_the_bracket_lies_at_the_gateway_and_its_stop_ends_the_position(
    tmp_path, sim, gateway_bars  # noqa: F811
):  # fmt: skip
    office = Office(tmp_path, sim, gateway_bars, {})
    wanted = {str(gateway_bars.index[-1].date()): {"AAA": 0.2}}
    office.seats = (seat("one", wanted),)
    service = office.open()
    (report,) = list(service.run(once=True))
    assert report.differences == ()
    parent, stop, target = sorted(sim.orders(), key=lambda one: one["order_id"])
    shares = dict(sim.positions())["AAA"]
    assert (stop["parent_id"], target["parent_id"]) == (parent["order_id"], parent["order_id"])
    assert stop["oca_group"] == target["oca_group"] != ""
    held = {one.order.type: (one.order.side, one.order.quantity, one.order.tif) for one in service.broker.open_orders()}
    assert held == {
        OrderType.STOP: (Side.SELL, shares, "GTC"), OrderType.LIMIT: (Side.SELL, shares, "GTC"),
    }  # fmt: skip
    sim.fault("fill", client=stop["client_id"], order_id=stop["order_id"], price=95.0)
    (again,) = list(service.run(once=True))
    assert again.results[0].held == {}
    assert dict(sim.positions()) == {}
    assert len(sim.orders()) == 3  # it is stayed out of
    origins = [one.intent.asked.origin for one in service.journal.book.orders.values()]
    assert origins == [Origin.STRATEGY, Origin.PROTECTION, Origin.PROTECTION]
    assert protection.protecting(service.journal.book) == ()
    office.close(service)


def test_protection_that_the_broker_ended_is_told_and_put_back_at_once(tmp_path, sim, gateway_bars):  # noqa: F811
    office = Office(tmp_path, sim, gateway_bars, {})
    office.live = office.live.model_copy(update=PATIENT)
    office.seats = (seat("one", {str(gateway_bars.index[-1].date()): {"AAA": 0.2}}),)
    service = office.open()

    def lying() -> dict[str, tuple[str, float]]:
        return {one["ref"]: (one["type"], one["quantity"]) for one in sim.orders() if one["status"] in WORKING}

    with running(service):
        until(lambda: len(lying()) == 2 and service.journal.book.positions == dict(sim.positions()), 40)
        before, held = lying(), service.journal.book.positions["AAA"]
        stop = IBBroker(office.live, office.live.kill_client_id)
        stop.connect()
        stop.cancel_all()
        stop.close()
        until(lambda: len(lying()) == 2 and not lying().keys() & before.keys(), 40)
    assert sorted(lying().values()) == sorted(before.values()) == [("LMT", held), ("STP", held)]
    assert [one.kind for one in service.outbox.all()].count("unprotected") == 1  # of the two, one alert a symbol
    assert service.journal.book.positions == {"AAA": held}
    office.close(service)
