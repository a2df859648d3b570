"""The emergency stop against a broker that fills late, rejects, hangs up and lags, and beside a runner that hangs."""

from __future__ import annotations

import json
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from workbench.alerts.outbox import Outbox
from workbench.errors import (
    AlreadyRunning,
    CannotWrite,
    DataRefused,
    Disconnected,
    InputRefused,
    OrderRejected,
    TradingHalted,
    Unanswered,
)
from workbench.live.emergency import Record
from workbench.live.gate import Asked, Origin
from workbench.live.halt import HaltFile
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.journal import Journal
from workbench.live.kill import Stop, emergency_stop
from workbench.live.lease import Lease
from workbench.live.operator import resume
from workbench.live.paper import PaperBroker, Print, PushedMarket, SteppedClock
from workbench.live.recovery import Outcome, recover
from workbench.live.trading_state import TradingState
from workbench.params import LiveParams, Paths, Settings
from workbench.trading import Fill, Order, OrderStatus, OrderType, Position, Side, Working

ACCOUNT = "DU1"


@dataclass
class Memory:
    """A broker of dictionaries. Every call is one step of its time; orders fill ``delay`` steps after they arrive."""

    held: dict[str, int]
    parts_held: dict[str, float] = field(default_factory=dict)  # of a share, beside what is held whole
    delay: int = 0
    lag: int = 0  # steps that positions are behind
    working: dict[str, Working] = field(default_factory=dict)
    executed: list[Fill] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    arrive: dict[int, Order] = field(default_factory=dict)  # the runner's, still on their way: by step
    before: Callable[[str], None] = lambda call: None
    parts: int = 1
    account_id: str = ACCOUNT
    embedded: bool = True
    _seen: list[dict[str, int]] = field(default_factory=list)
    _due: dict[str, int] = field(default_factory=dict)

    def _step(self, call: str) -> None:
        self.calls.append(call)
        self.before(call)
        now = len(self.calls)
        if now in self.arrive:
            self._accept(self.arrive.pop(now), 1_000)
        for key, due in list(self._due.items()):
            if due <= now:
                self._fill(key)
        self._seen.append(dict(self.held))

    def _accept(self, order: Order, order_id: int) -> Working:
        self.working[order.key] = Working(order, order_id, order_id, OrderStatus.WORKING, 0, 0.0, 9)
        if order.limit is None:
            self._due[order.key] = len(self.calls) + self.delay
        return self.working[order.key]

    def _fill(self, key: str) -> None:
        one = self.working[key]
        quantity = min(one.remaining, -(-one.order.quantity // self.parts))
        number = f"x{len(self.executed)}"
        fill = Fill(number, 1, key, one.order.symbol, one.order.side, quantity, 100.0, self.moment(), ACCOUNT)
        self.executed.append(fill)
        self.held[fill.symbol] = self.held.get(fill.symbol, 0) + fill.signed
        done = one.filled + quantity >= one.order.quantity
        status = OrderStatus.FILLED if done else OrderStatus.WORKING
        self.working[key] = replace(one, filled=one.filled + quantity, status=status)
        self._due.pop(key)
        if not done:
            self._due[key] = len(self.calls) + 1

    def moment(self) -> datetime:
        return datetime(2024, 7, 2, 15, tzinfo=UTC) + timedelta(seconds=len(self.calls))

    def connect(self) -> None:
        self._step("connect")

    def now(self) -> datetime:
        self._step("now")
        return self.moment()

    def positions(self) -> tuple[Position, ...]:
        self._step("positions")
        seen = self._seen[max(0, len(self._seen) - 1 - self.lag)]
        symbols = seen.keys() | self.parts_held.keys()
        return tuple(
            Position(symbol, seen.get(symbol, 0), 100.0, part=self.parts_held.get(symbol, 0.0))
            for symbol in sorted(symbols)
        )

    def open_orders(self) -> tuple[Working, ...]:
        self._step("open_orders")
        return tuple(one for one in self.working.values() if one.remaining > 0)

    def fills(self, since: datetime) -> tuple[Fill, ...]:
        self._step("fills")
        return tuple(fill for fill in self.executed if fill.at >= since)

    def instrument(self, symbol: str) -> None:
        self._step(f"instrument {symbol}")

    def make_room(self, orders: int) -> None:
        self._step("make_room")

    def next_order_id(self, floor: int) -> int:
        return max(floor, len(self.working) + 1)

    def place(self, order: Order, order_id: int) -> Working:
        self._step(f"place {order.side} {order.quantity} {order.symbol}")
        return self._accept(order, order_id)

    def cancel_all(self) -> None:
        self._step("cancel_all")
        for key, one in self.working.items():
            if one.remaining > 0:
                self.working[key] = replace(one, status=OrderStatus.CANCELLED)
                self._due.pop(key, None)


@dataclass
class Notes:
    """A log in memory."""

    lines: list[Mapping] = field(default_factory=list)
    halted: str = ""
    orders: list[str] = field(default_factory=list)

    def halt(self, reason: str, who: str) -> None:
        self.halted = f"{reason} by {who}"

    def key(self) -> str:
        return f"e{len(self.orders) + 1}"

    def intend(self, asked: Asked, order_id: int) -> int:
        assert self.halted
        self.orders.append(asked.order.key)
        return order_id

    def note(self, facts: Mapping) -> None:
        self.lines.append(facts)


def order(key: str, quantity: int = 10, side: Side = Side.BUY, symbol: str = "AAA", **changes) -> Order:
    return Order(key, symbol, side, quantity, **changes)


def stop(broker: Memory, log=None, timeout: float = 30.0, alerts: list[str] | None = None) -> Stop:
    """A stop whose clock is the broker's count of calls: no test waits."""
    return Stop(
        broker, log or Notes(), (alerts if alerts is not None else []).append, timeout,
        clock=lambda: float(len(broker.calls)), sleep=lambda _: None,
    )  # fmt: skip


def placed(broker: Memory) -> list[str]:
    return [call for call in broker.calls if call.startswith("place")]


def test_it_halts_first_then_cancels_then_closes_and_looks_twice():
    broker, log, alerts = Memory({"AAA": 100, "BBB": -40, "CCC": 0}), Notes(), []
    broker._accept(order("w1", limit=90.0), 1)
    broker.before = lambda call: pytest.fail("not halted") if not log.halted else None
    stopped = stop(broker, log, alerts=alerts).run("drill", "ada")
    assert stopped.flat
    assert log.halted == "drill by ada"
    assert [call for call in broker.calls if call in ("cancel_all",) or call.startswith("place")] == [
        "cancel_all", "place SELL 100 AAA", "place BUY 40 BBB",
    ]  # fmt: skip
    assert broker.held == {"AAA": 0, "BBB": 0, "CCC": 0}
    assert broker.calls.count("positions") == 4  # twice held, twice flat
    assert alerts == ["drill (ada): flat: no position and no open order at the broker, 2 closing orders"]
    assert log.lines[-1]["flat"] is True


def test_without_reason_or_name_nothing_is_stopped():
    broker = Memory({"AAA": 1})
    with pytest.raises(InputRefused, match="kill: say why and who"):
        stop(broker).run(" ", "ada")
    assert broker.calls == []


def test_an_account_that_is_flat_gets_no_order():
    broker = Memory({})
    assert stop(broker).run("drill", "ada").flat
    assert placed(broker) == []


@pytest.mark.parametrize("lag", [0, 1, 2, 3, 6])
@pytest.mark.parametrize("delay", [0, 2, 5, 9])
@pytest.mark.parametrize("parts", [1, 3])
def test_late_and_partial_fills_and_positions_that_lag_never_turn_it_round(lag, delay, parts):
    broker = Memory({"AAA": 90, "BBB": -7}, delay=delay, lag=lag, parts=parts)
    assert stop(broker, timeout=300).run("drill", "ada").flat
    assert {symbol: shares for symbol, shares in broker.held.items() if shares} == {}
    assert placed(broker) == ["place SELL 90 AAA", "place BUY 7 BBB"]


def test_what_fills_while_it_is_cancelled_is_not_closed_twice():
    """A sale of 60 fills just before the cancel, and the position shows it one look later."""
    broker = Memory({"AAA": 100}, lag=2)
    broker._accept(order("w1", 60, Side.SELL), 1)
    assert stop(broker, timeout=300).run("drill", "ada").flat
    assert placed(broker) == ["place SELL 40 AAA"]
    assert broker.held == {"AAA": 0}


@pytest.mark.parametrize("step", range(2, 30, 3))
def test_an_order_of_the_runner_that_arrives_late_is_cancelled_or_closed(step):
    broker = Memory({"AAA": 50}, delay=3)
    broker.arrive = {step: order("late", 30), step + 1: order("later", 30, limit=90.0)}
    stopped = stop(broker, timeout=300).run("drill", "ada")
    assert stopped.flat
    seen = [one for one in broker.working.values() if one.remaining > 0]
    assert step + 1 > len(broker.calls) or (broker.held["AAA"], seen) == (0, [])


def test_a_hundred_orders_in_the_queue_are_all_dead_and_nothing_follows():
    broker = Memory({})
    for number in range(200):
        broker._accept(order(f"w{number}", limit=90.0), number)
    assert stop(broker).run("drill", "ada").flat
    assert broker.calls[1] == "cancel_all"
    assert {one.status for one in broker.working.values()} == {OrderStatus.CANCELLED}


def test_a_broken_connection_is_made_again_and_everything_is_cancelled_again():
    broker = Memory({"AAA": 10})
    fails = iter([True, True, False, True])

    def breaks(call: str) -> None:
        if call in ("now", "positions") and next(fails, False):
            raise Disconnected("no connection")

    broker.before = breaks
    stopped = stop(broker, timeout=100).run("drill", "ada")
    assert stopped.flat
    assert broker.calls.count("connect") >= 1
    assert broker.calls.count("cancel_all") >= 2
    assert "no connection" in stopped.troubles


def test_an_order_without_an_answer_is_looked_up_before_another_is_made():
    broker, answered = Memory({"AAA": 10}, delay=6), []

    def place(one: Order, order_id: int) -> Working:
        Memory.place(broker, one, order_id)
        answered.append(one.key)
        raise Unanswered("no answer within 5 s")

    broker.place = place  # type: ignore[method-assign]
    assert stop(broker, timeout=200).run("drill", "ada").flat
    assert answered == ["e1"]
    assert broker.held == {"AAA": 0}


def test_what_cannot_be_closed_is_told_and_stays_halted():
    broker, alerts = Memory({"AAA": 10}), []

    def refuse(one: Order, order_id: int) -> Working:
        broker.calls.append("place")
        raise OrderRejected("201: no")

    broker.place = refuse  # type: ignore[method-assign]
    log = Notes()
    stopped = stop(broker, log, timeout=120, alerts=alerts).run("drill", "ada")
    assert not stopped.flat
    assert broker.calls.count("place") == 5
    assert str(stopped).startswith("NOT FLAT after ")
    assert "AAA +10" in alerts[0]
    assert "AAA: 201: no" in stopped.troubles
    assert log.halted


@pytest.mark.parametrize("error", [Disconnected("no connection"), InputRefused("order id 7")])
@pytest.mark.parametrize("call", ["make_room", "instrument AAA", "place SELL 10 AAA"])
def test_a_try_that_sent_nothing_is_none(call, error):
    """Twelve times in a row something fails before anything leaves; then it is closed all the same."""
    broker, log, fails = Memory({"AAA": 10}), Notes(), iter([True] * 12)

    def breaks(now: str) -> None:
        if now == call and next(fails, False):
            raise error

    broker.before = breaks
    stopped = stop(broker, log, timeout=1000).run("drill", "ada")
    assert stopped.flat, str(stopped)
    assert (stopped.closing_orders, broker.held) == (1, {"AAA": 0})
    if not call.startswith("place"):
        assert log.orders == ["e1"]  # and none of them was written down as an order


@pytest.mark.parametrize("error", [OrderRejected("200: no such contract"), DataRefused("tick size"), KeyError("tick")])
def test_what_fails_for_one_symbol_keeps_no_other_from_being_closed(error):
    broker = Memory({"AAA": 10, "BAD": 7, "CCC": -5})

    def breaks(call: str) -> None:
        if call == "instrument BAD":
            raise error

    broker.before = breaks
    stopped = stop(broker, timeout=200).run("drill", "ada")
    assert broker.held == {"AAA": 0, "BAD": 7, "CCC": 0}
    assert placed(broker) == ["place SELL 10 AAA", "place BUY 5 CCC"]
    assert (stopped.flat, stopped.positions, stopped.closing_orders) == (False, {"BAD": 7}, 2)
    assert broker.calls.count("instrument BAD") > 5
    assert broker.calls.count("cancel_all") == 1


def test_what_the_broker_refuses_is_tried_again_later_and_later():
    broker, refused = Memory({"AAA": 10}), []

    def refuse(one: Order, order_id: int) -> Working:
        refused.append(broker.calls.count("positions"))
        if len(refused) < 5:
            raise OrderRejected("201: not now")
        return Memory.place(broker, one, order_id)

    broker.place = refuse  # type: ignore[method-assign]
    assert stop(broker, timeout=1000).run("drill", "ada").flat
    waited = [after - before for before, after in pairwise(refused)]
    assert waited == [3, 5, 9, 17]  # looks of half a second


def test_parts_of_a_share_keep_nothing_else_from_being_closed_and_are_named_at_the_end():
    broker, alerts = Memory({"AAA": 100, "BBB": -40}, {"BBB": -0.25, "DRIP": 0.5, "ODD": math.nan}), []
    stopped = stop(broker, timeout=1000, alerts=alerts).run("drill", "ada")
    assert broker.held == {"AAA": 0, "BBB": 0}
    assert not stopped.flat
    assert stopped.seconds < 100  # nothing else can be done: it does not wait until the time is up
    assert {symbol: stopped.positions[symbol] for symbol in ("BBB", "DRIP")} == {"BBB": -0.25, "DRIP": 0.5}
    assert stopped.positions.keys() == {"BBB", "DRIP", "ODD"}
    assert "positions BBB -0.25, DRIP +0.5, ODD +nan; 0 open orders" in alerts[0]
    assert "ODD: what is held of it cannot be read; only whole" in alerts[0]
    assert "DRIP: +0.5 shares are left; only whole shares can be closed here" in alerts[0]


def test_parts_of_a_share_are_left_where_nothing_is_to_be_closed():
    assert stop(Memory({"AAA": 10}, {"DRIP": 0.5})).run("drill", "ada", close=False).flat


def test_a_broker_that_never_answers_is_tried_until_the_time_is_up():
    broker, log = Memory({"AAA": 10}), Notes()

    def dead(_: str) -> None:
        raise Disconnected("connection refused")

    broker.before = dead
    stopped = stop(broker, log).run("drill", "ada")
    assert not stopped.flat
    assert stopped.troubles == ("connection refused",)
    assert log.halted == "drill by ada"


def test_cancelling_without_closing_leaves_the_positions():
    broker = Memory({"AAA": 10})
    broker._accept(order("w1", limit=90.0), 1)
    assert stop(broker).run("drill", "ada", close=False).flat
    assert broker.held == {"AAA": 10}
    assert placed(broker) == []


def test_a_full_disk_keeps_nothing_from_being_closed():
    class Full(Notes):
        def _full(self, *_):
            raise CannotWrite("data/state: the disk is full; free some space")

        halt = intend = note = _full

    broker = Memory({"AAA": 10})
    stopped = stop(broker, Full(), alerts=[]).run("drill", "ada")
    assert stopped.flat
    assert broker.held == {"AAA": 0}
    assert any("the disk is full" in trouble for trouble in stopped.troubles)


# ---- with the real journal ----


@pytest.fixture
def project(tmp_path) -> tuple[Settings, Paths]:
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "base.yaml").write_text("market: sample\n")
    return Settings(), Paths(tmp_path)


def test_the_journal_holds_halt_orders_and_result_and_the_runner_is_fenced_off(project):
    settings, paths = project
    lease = Lease.acquire(settings, paths, ACCOUNT)
    runner = Journal.open(settings, paths, ACCOUNT, lease=lease)
    runner.begin()
    broker, record = Memory({"AAA": 10}), Record(settings, paths, ACCOUNT)
    assert stop(broker, record).run("drill", "ada").flat
    record.close()
    assert HaltFile(paths, ACCOUNT).reason == "drill, by ada"
    journal = Journal.open(settings, paths, ACCOUNT)
    assert (journal.book.state, journal.book.because) == (TradingState.HALTED, "drill")
    assert [one.emergency for one in journal.book.orders.values()] == [True]
    kinds = [event.kind for event in journal.events()]
    assert kinds.index(Kind.STATE) < kinds.index(Kind.INTENT)
    assert [event.data["flat"] for event in journal.events() if event.kind is Kind.OPERATOR] == [True]
    journal.close()
    with pytest.raises(AlreadyRunning, match="traded by the emergency stop"):
        runner.append(Draft(Kind.DECISION, {}))
    runner.close()
    lease.release()


def test_a_runner_that_hangs_with_the_database_stops_nothing_and_resume_has_it_all(project):
    settings, paths = project
    Journal.open(settings, paths, ACCOUNT).close()
    database = sqlite3.connect(paths.state / "workbench.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")  # as a runner that was stopped in the middle of a write
    broker, record = Memory({"AAA": 10}), Record(settings, paths, ACCOUNT)
    started = time.monotonic()
    cancelled: list[float] = []
    broker.before = lambda call: cancelled.append(time.monotonic()) if call == "cancel_all" else None
    stopped = stop(broker, record).run("drill", "ada")
    assert stopped.flat
    assert cancelled[0] - started < 1.0
    noted = HaltFile(paths, ACCOUNT).noted()
    assert next(note["key"] for note in noted if "intent" in note).startswith("kill-")
    assert noted[-1]["flat"] is True
    database.execute("ROLLBACK")
    database.close()
    record.close()
    journal = Journal.open(settings, paths, ACCOUNT)  # told as soon as it answered
    assert journal.book.state is TradingState.HALTED
    journal.close()


def test_half_a_halt_file_halts_and_a_cut_note_is_kept_as_it_is(project):
    _, paths = project
    halt = HaltFile(paths, ACCOUNT)
    halt.require_none()
    halt.write("drill", "ada", datetime.now(UTC))
    halt.note({"emergency": "stopped"})
    with halt.notes.open("a") as stream:
        stream.write('{"emerg')
    assert halt.noted() == ({"emergency": "stopped"}, {"unreadable": '{"emerg'})
    halt.file.write_text("")
    with pytest.raises(TradingHalted, match="the reason cannot be read"):
        halt.require_none()
    halt.clear()
    halt.require_none()
    assert json.dumps(halt.noted()) == "[]"


def test_a_halt_of_every_account_halts_each_until_it_is_resumed_itself(project):
    _, paths = project
    HaltFile(paths).write("drill", "ada", datetime.now(UTC))
    with pytest.raises(TradingHalted, match=r"trading is halted \(drill, by ada"):
        HaltFile(paths, "DU7").require_none()
    HaltFile(paths, "DU7").clear()
    HaltFile(paths, "DU7").require_none()
    with pytest.raises(TradingHalted, match="drill, by ada"):
        HaltFile(paths, "DU8").require_none()
    HaltFile(paths, "DU8").clear()
    HaltFile(paths, "DU7").require_none()
    HaltFile(paths, "DU8").require_none()
    HaltFile(paths).write("again", "bob", datetime.now(UTC))
    with pytest.raises(TradingHalted, match="again, by bob"):
        HaltFile(paths, "DU7").require_none()


@pytest.mark.parametrize("text", ["", "[1]", '{"reason": "dri', '{"resumed": 5}', '{"resumed": [["DU7"]]}'])
def test_a_halt_of_every_account_that_cannot_be_read_is_lifted_for_who_resumes_only(tmp_path, text):
    paths = Paths(tmp_path)
    HaltFile(paths).write("drill", "ada", datetime.now(UTC))
    HaltFile(paths).file.write_text(text)
    HaltFile(paths, "DU7").clear()
    HaltFile(paths, "DU7").require_none()
    with pytest.raises(TradingHalted, match="the reason cannot be read"):
        HaltFile(paths, "DU8").require_none()


# ---- with the paper broker, over two clients of one account ----


def test_the_paper_account_of_a_runner_is_closed_over_another_connection(project, tmp_path):
    settings, paths = project
    settings = settings.model_copy(update={"live": LiveParams(account=ACCOUNT)})
    clock = SteppedClock(datetime(2024, 7, 2, 15, tzinfo=UTC))
    market = PushedMarket(clock, {"AAA": 100.0, "BBB": 50.0})

    def tick() -> None:
        clock.set(clock() + timedelta(seconds=1))
        market.push(*(Print.of(symbol, clock(), market.last(symbol)[0]) for symbol in market.symbols()))

    runner = PaperBroker(tmp_path / "paper.db", market, account=ACCOUNT, client_id=17)
    runner.connect()
    runner.place(order("r1", 100), 1)
    runner.place(order("r2", 40, Side.SELL, "BBB"), 2)
    tick()
    assert {one.symbol: one.quantity for one in runner.positions()} == {"AAA": 100, "BBB": -40}
    for number in range(50):
        runner.place(order(f"q{number}", 1, type=OrderType.LIMIT, limit=90.0), 3 + number)
    killer = PaperBroker(tmp_path / "paper.db", market, account=ACCOUNT, client_id=18)
    stop_ticking = threading.Event()

    def tape() -> None:
        while not stop_ticking.wait(0.05):
            tick()

    thread = threading.Thread(target=tape)
    thread.start()
    try:
        stopped = emergency_stop(settings, paths, killer, reason="drill", who="ada", timeout=60)
    finally:
        stop_ticking.set()
        thread.join()
    assert stopped.flat, str(stopped)
    assert runner.positions() == ()
    assert runner.open_orders() == ()
    texts = [alert.text for alert in Outbox.open(settings, paths).pending()]
    assert texts == ["drill (ada): flat: no position and no open order at the broker, 2 closing orders"]
    runner.close()
    killer.close()


def test_a_closing_order_of_a_stop_that_died_before_sending_is_never_sent_by_the_next_runner(project, tmp_path):
    settings, paths = project
    record = Record(settings, paths, ACCOUNT)
    record.halt("drill", "ada")
    record.intend(Asked(order(record.key(), 100, Side.SELL), Origin.EMERGENCY), 1)
    record.close()  # and nothing was placed
    market = PushedMarket(SteppedClock(datetime.now(UTC)), {"AAA": 100.0})
    broker = PaperBroker(tmp_path / "paper.db", market, account=ACCOUNT)
    broker.connect()
    lease = Lease.seize(settings, paths, ACCOUNT, "runner")
    journal = Journal.open(settings, paths, ACCOUNT, lease=lease)
    resume(journal, HaltFile(paths, ACCOUNT), who="bob", reason="the drill is over")
    found = recover(journal, broker, Outbox.open(settings, paths))
    assert [(one.outcome, one.text) for one in found] == [
        (Outcome.ABANDON, "it was the emergency stop's; make flatten closes what is still held")
    ]
    assert broker.open_orders() == ()
    journal.close()
    broker.close()


@pytest.mark.parametrize("before", [None, "the broker was away"])
def test_a_stop_that_reaches_an_account_that_the_settings_do_not_name_leaves_the_others_as_they_were(project, before):
    settings, paths = project
    if before:  # a stop of long ago, from which DU7 was resumed
        HaltFile(paths).write(before, "ada", datetime.now(UTC))
        HaltFile(paths, "DU7").clear()
    broker, halted = Memory({}, embedded=False), []
    broker.connect = lambda: halted.append(HaltFile(paths, "DU7").reason)  # type: ignore[method-assign]
    assert emergency_stop(settings, paths, broker, reason="drill", who="ada", timeout=10.0).flat
    assert halted[0] == "drill, by ada"  # all are, until the account is known
    assert HaltFile(paths, ACCOUNT).reason == "drill, by ada"
    assert HaltFile(paths, "DU7").reason == ""
    assert HaltFile(paths, "DU8").reason == (f"{before}, by ada" if before else "")


def test_a_stop_that_cannot_halt_its_own_account_or_that_another_one_followed_leaves_every_account_halted(project):
    settings, paths = project
    own = HaltFile(paths, ACCOUNT).file
    own.mkdir(parents=True)  # no file can be put there
    emergency_stop(settings, paths, Memory({}, embedded=False), reason="drill", who="ada", timeout=10.0)
    assert HaltFile(paths, "DU7").reason == "drill, by ada"
    own.rmdir()
    broker = Memory({}, embedded=False)
    broker.connect = lambda: HaltFile(paths).write("fire", "bob", datetime.now(UTC))  # type: ignore[method-assign]
    emergency_stop(settings, paths, broker, reason="drill", who="ada", timeout=10.0)
    assert (HaltFile(paths, ACCOUNT).reason, HaltFile(paths, "DU7").reason) == ("drill, by ada", "fire, by bob")
