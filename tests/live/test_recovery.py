"""Orders whose end the journal does not know: every branch, with the real journal and the paper broker."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.live.conftest import minutes, wanted
from tests.live.test_exits import make  # noqa: F401 (the fixture)
from tests.live.test_exits import seat as bounded
from tests.live.test_runner import WIDE, Stage, last_days
from workbench.errors import DataRefused, Disconnected, OrderRejected, TradingHalted, Unanswered
from workbench.live import dispatch
from workbench.live.journal.event import Kind
from workbench.live.operator import confirm
from workbench.live.paper import PaperBroker
from workbench.live.paper.ledger import Ledger
from workbench.live.reconcile import reconcile
from workbench.live.recovery import Outcome, recover
from workbench.live.runner import begin, put_in_order, run_session
from workbench.live.trading_state import TradingState
from workbench.trading import Order, OrderStatus, OrderType, Side


@pytest.fixture
def outbox(project):
    return project.outbox()


def outcomes(found) -> dict[str, Outcome]:
    return {one.key: one.outcome for one in found}


def broker_orders(venue) -> list[tuple[str, int]]:
    ledger = Ledger(venue.project.paths.root / "paper.db")
    rows = ledger._connection.execute("SELECT key, order_id FROM orders ORDER BY permanent").fetchall()
    ledger.close()
    return rows


def forget(venue, key: str) -> None:
    ledger = Ledger(venue.project.paths.root / "paper.db")
    ledger._connection.execute("DELETE FROM orders WHERE key = ?", (key,))
    ledger.close()


def test_an_intent_that_the_broker_never_had_is_sent_under_its_own_number(journal, venue, outbox):
    journal.intend([wanted("k1", limit=90.0)], 5)
    assert outcomes(recover(journal, venue.broker, outbox)) == {"k1": Outcome.RESEND}
    assert broker_orders(venue) == [("k1", 5)]
    assert journal.book.orders["k1"].status is OrderStatus.WORKING
    assert recover(journal, venue.broker, outbox) == ()
    assert broker_orders(venue) == [("k1", 5)]


def test_an_order_that_arrived_is_adopted_and_not_sent_again(journal, venue, outbox):
    (intent,) = journal.intend([wanted("k1", limit=90.0)], 5)
    venue.broker.place(intent.order, intent.order_id)  # and the process dies here
    assert outcomes(recover(journal, venue.broker, outbox)) == {"k1": Outcome.ADOPT}
    assert broker_orders(venue) == [("k1", 5)]
    assert journal.book.orders["k1"].permanent_id == 1


def test_an_order_that_filled_while_nobody_looked_is_filled(journal, venue, outbox):
    (intent,) = journal.intend([wanted("k1")], 5)
    venue.broker.place(intent.order, intent.order_id)
    venue.move("AAA", 101.0)
    assert outcomes(recover(journal, venue.broker, outbox)) == {"k1": Outcome.FILLED}
    assert journal.book.positions == {"AAA": 100}
    assert journal.book.books == {"one": {"AAA": 100}}


def test_an_order_that_was_cancelled_while_nobody_looked_is_adopted(journal, venue, outbox):
    dispatch.send(journal, venue.broker, [wanted("k1", limit=90.0)])
    venue.broker.cancel("k1")
    assert outcomes(recover(journal, venue.broker, outbox)) == {"k1": Outcome.ADOPT}
    assert journal.book.orders["k1"].status is OrderStatus.CANCELLED


def test_an_order_that_the_broker_accepted_and_forgot_is_missing(journal, venue, outbox):
    dispatch.send(journal, venue.broker, [wanted("k1", limit=90.0)])
    forget(venue, "k1")
    assert outcomes(recover(journal, venue.broker, outbox)) == {"k1": Outcome.MISSING}
    assert broker_orders(venue) == []
    assert list(journal.book.locked) == ["AAA"]
    (alert,) = outbox.pending()
    assert (alert.kind, alert.severity) == ("missing_order", "critical")
    assert alert.text.startswith("AAA: order k1 is missing: working before, and no trace at the broker")
    assert recover(journal, venue.broker, outbox) == ()  # said once
    assert len(outbox.all()) == 1


def test_a_part_that_filled_without_a_trace_of_the_rest_is_missing(journal, venue, outbox):
    dispatch.send(journal, venue.broker, [wanted("k1", limit=100.0)])
    venue.move("AAA", 99.0, volume=30)
    forget(venue, "k1")
    (found,) = recover(journal, venue.broker, outbox)
    assert (found.outcome, found.text) == (
        Outcome.MISSING, "30 of 100 filled, and no trace of the rest at the broker",
    )  # fmt: skip
    assert journal.book.positions == {"AAA": 30}


def test_an_intent_of_yesterday_cannot_be_proven_absent(project, journal, venue, outbox):
    journal.intend([wanted("k1")], 5)
    project.clock.set(project.clock() + minutes(24 * 60))
    (found,) = recover(journal, venue.broker, outbox)
    assert (found.outcome, found.text) == (Outcome.MISSING, "of 2024-03-05, and the broker tells of today only")


def test_an_old_decision_is_not_sent_any_more(project, journal, venue, outbox):
    journal.intend([wanted("k1")], 5)
    project.clock.set(project.clock() + minutes(16))
    assert outcomes(recover(journal, venue.broker, outbox)) == {"k1": Outcome.ABANDON}
    assert broker_orders(venue) == []
    assert journal.book.orders["k1"].status is OrderStatus.CANCELLED


def test_nothing_is_sent_again_while_halted(journal, venue, outbox):
    journal.intend([wanted("k1")], 5)
    journal.set_state(TradingState.HALTED, "too much is lost")
    (found,) = recover(journal, venue.broker, outbox)
    assert (found.outcome, found.text) == (Outcome.ABANDON, "trading is halted (too much is lost)")
    assert broker_orders(venue) == []


def test_the_gate_is_asked_before_anything_is_sent_again(journal, venue, outbox):
    journal.intend([wanted("k1"), wanted("k2", symbol="BBB")], 5)
    found = recover(
        journal, venue.broker, outbox, permit=lambda family: "LOCKED" if family[0].order.key == "k1" else ""
    )
    assert outcomes(found) == {"k1": Outcome.ABANDON, "k2": Outcome.RESEND}
    assert broker_orders(venue) == [("k2", 6)]


def test_without_the_gate_nothing_is_sent_again_and_what_is_too_old_is_given_up(project, journal, venue, outbox):
    journal.intend([wanted("k1")], 5)
    assert recover(journal, venue.broker, outbox, permit=None) == ()
    assert (broker_orders(venue), journal.book.orders["k1"].status) == ([], OrderStatus.INTENDED)
    project.clock.set(project.clock() + minutes(16))
    assert outcomes(recover(journal, venue.broker, outbox, permit=None)) == {"k1": Outcome.ABANDON}


def test_a_number_that_is_taken_means_that_a_person_looks(journal, venue, outbox):
    stranger = Order("", "AAA", Side.BUY, 1, OrderType.LIMIT, limit=1.0)
    journal.intend([wanted("k1")], 5)
    venue.broker.place(stranger, 5)
    (found,) = recover(journal, venue.broker, outbox)
    assert found.outcome is Outcome.MISSING
    assert "knows its number but shows no order" in found.text


def test_a_bracket_is_sent_again_as_one(journal, venue, outbox):
    entry = wanted("entry")
    target = wanted("target", side=Side.SELL, limit=110.0, parent="entry", oca="x")
    journal.intend([entry, target], 5)
    assert outcomes(recover(journal, venue.broker, outbox)) == {"entry": Outcome.RESEND, "target": Outcome.RESEND}
    assert broker_orders(venue) == [("entry", 5), ("target", 6)]


def test_the_gate_is_asked_about_a_bracket_as_a_whole(journal, venue, outbox):
    entry = wanted("entry")
    target = wanted("target", side=Side.SELL, limit=110.0, parent="entry", oca="x")
    journal.intend([wanted("k1", symbol="BBB"), entry, target], 5)
    asked: list[list[str]] = []

    def permit(family) -> str:
        asked.append([one.order.key for one in family])
        return "CONFIRM" if any(one.order.parent for one in family) else ""

    found = recover(journal, venue.broker, outbox, permit=permit)
    assert asked == [["k1"], ["entry", "target"]]
    assert outcomes(found) == {"k1": Outcome.RESEND, "entry": Outcome.ABANDON, "target": Outcome.ABANDON}
    assert broker_orders(venue) == [("k1", 5)]
    assert {journal.book.orders[key].status for key in ("entry", "target")} == {OrderStatus.CANCELLED}


def test_a_confirmed_bracket_is_sent_again_whole(tmp_path, make):  # noqa: F811
    made = make()
    limits = WIDE.model_copy(update={"confirm_above": 10_000.0})
    seats = (bounded("one", {last_days(made, 2)[0]: {"AAA": 0.5}}),)
    stage = Stage(tmp_path, made, seats, limits=limits, count=1)
    rehearsal = stage.open()
    rehearsal.broker.connect()
    desk = rehearsal.desk(rehearsal.sessions[0])
    confirmed: list[str] = []

    def wait(moment) -> bool:
        waiting = list(desk.journal.book.past.denied)
        if moment == desk.hours.closes and waiting and not confirmed:
            rehearsal.clock.set(desk.hours.opens + minutes(10))
            confirmed.extend(waiting)
            confirm(desk.journal, waiting[0], who="ada", now=rehearsal.clock())
            return True
        rehearsal.clock.set(max(moment, rehearsal.clock()))
        return False

    def dying(*_):
        raise KeyboardInterrupt  # three intents are written, nothing is sent

    desk.wait = wait
    rehearsal.broker.place_bracket = dying
    with pytest.raises(KeyboardInterrupt):
        run_session(desk)
    session = rehearsal.sessions[0]
    rehearsal.close()
    assert confirmed
    again = stage.open()
    again.broker.connect()
    desk = again.desk(session)
    begin(desk)
    put_in_order(desk)
    orders = [(one.order.type, one.order.signed, one.status) for one in again.journal.book.orders.values()]
    again.close()
    assert orders == [
        (OrderType.MARKET, 500, OrderStatus.FILLED),
        (OrderType.STOP, -500, OrderStatus.ACCEPTED),
        (OrderType.LIMIT, -500, OrderStatus.ACCEPTED),
    ]


def test_a_late_fill_of_a_cancelled_order_is_applied_and_told(journal, venue, outbox):
    dispatch.send(journal, venue.broker, [wanted("k1", limit=90.0)])
    venue.broker.cancel("k1")
    recover(journal, venue.broker, outbox)
    dispatch.send(journal, venue.broker, [wanted("k2")])
    venue.move("AAA", 101.0)
    (real,) = venue.broker.fills(venue.project.clock() - minutes(60))
    late = replace(real, id="late", key="k1", quantity=40)
    dispatch.record(journal, outbox, [late, late])
    assert journal.book.positions == {"AAA": 40}
    assert journal.book.orders["k1"].status is OrderStatus.CANCELLED
    assert [one.text for one in outbox.pending()] == [
        "order k1: 40 shares filled when it was cancelled; look at the broker: workbench reconcile"
    ]


@pytest.mark.parametrize("together", [True, False])
def test_a_word_that_is_older_than_the_end_of_its_order_is_no_alarm(journal, venue, outbox, together):
    (placed,) = dispatch.send(journal, venue.broker, [wanted("k1")])
    venue.move("AAA", 101.0)
    (fill,) = venue.broker.fills(venue.project.clock() - minutes(60))
    told = [
        replace(placed.working, filled=0),
        fill,
        replace(placed.working, permanent_id=9, status=OrderStatus.WORKING, filled=100),
        replace(placed.working, status=OrderStatus.FILLED, filled=100),
        replace(placed.working, permanent_id=9, status=OrderStatus.ACCEPTED),
    ]
    for updates in [told] if together else [[one] for one in told]:
        dispatch.record(journal, outbox, updates)
    assert journal.book.orders["k1"].status is OrderStatus.FILLED
    assert (journal.book.flags, outbox.all()) == ([], ())


def test_an_order_that_the_broker_works_on_after_its_end_is_found_by_the_reconciliation(journal, venue, outbox):
    reconcile(journal, venue.broker, outbox)
    (placed,) = dispatch.send(journal, venue.broker, [wanted("k1", limit=90.0)])
    dispatch.record(journal, outbox, [replace(placed.working, status=OrderStatus.REJECTED)])
    dispatch.record(journal, outbox, [replace(placed.working, status=OrderStatus.WORKING, permanent_id=9)])
    assert outbox.all() == ()
    (difference,) = reconcile(journal, venue.broker, outbox).unexplained
    assert difference.text == "AAA: order k1 is open at the broker, and rejected in the journal"


class Flaky:
    """A paper broker of which one answer, or one order, is lost."""

    def __init__(self, broker: PaperBroker, *, arrives: bool) -> None:
        self._broker, self._arrives = broker, arrives

    def __getattr__(self, name: str):
        return getattr(self._broker, name)

    def place(self, order, order_id):
        if self._arrives:
            self._broker.place(order, order_id)
        raise Unanswered(f"order {order.key}: no answer in 5 s")


@pytest.mark.parametrize(("arrives", "outcome"), [(True, Outcome.ADOPT), (False, Outcome.RESEND)])
def test_an_order_without_an_answer_is_looked_up(journal, venue, outbox, arrives, outcome):
    with pytest.raises(Unanswered):
        dispatch.send(journal, Flaky(venue.broker, arrives=arrives), [wanted("k1", limit=90.0)])
    assert journal.book.orders["k1"].sent == 1
    assert outcomes(recover(journal, venue.broker, outbox)) == {"k1": outcome}
    assert broker_orders(venue) == [("k1", 1)]


def test_nothing_is_decided_where_the_broker_does_not_answer(journal, venue, outbox):
    journal.intend([wanted("k1")], 5)
    venue.broker.close()
    with pytest.raises(Disconnected):
        recover(journal, venue.broker, outbox)
    assert journal.book.orders["k1"].status is OrderStatus.INTENDED


def test_a_refused_order_is_written_with_the_brokers_words(journal, venue):
    (placed,) = dispatch.send(journal, venue.broker, [wanted("k1", symbol="NOPE")])
    assert placed.working is None
    assert journal.book.orders["k1"].status is OrderStatus.REJECTED
    assert "no such symbol" in journal.book.orders["k1"].text


def test_a_halt_between_two_orders_stops_the_second_for_good(project, journal, venue):
    halting = project.journal()

    class Halts(Flaky):
        def place(self, order, order_id):
            working = self._broker.place(order, order_id)
            halting._write(lambda book, at: [dispatch.Draft(Kind.STATE, {"state": "halted", "reason": "x", "who": ""})])
            return working

    with pytest.raises(TradingHalted):
        dispatch.send(journal, Halts(venue.broker, arrives=True), [wanted("k1"), wanted("k2")])
    assert broker_orders(venue) == [("k1", 1)]
    assert journal.book.orders["k2"].status is OrderStatus.CANCELLED


def test_a_cancel_is_written_and_asked_for(journal, venue):
    dispatch.send(journal, venue.broker, [wanted("k1", limit=90.0)])
    dispatch.cancel(journal, venue.broker, "k1", "session ends")
    assert journal.book.orders["k1"].cancel_asked
    assert venue.broker.open_orders() == ()
    with pytest.raises(OrderRejected):
        dispatch.cancel(journal, venue.broker, "k1", "again")


def test_a_cancel_is_asked_for_where_the_journal_cannot_be_written(project, journal, venue):
    dispatch.send(journal, venue.broker, [wanted("k1", limit=90.0)])
    file = project.paths.state / "workbench.db"
    journal._engine.dispose()
    file.rename(file.with_suffix(".kept"))
    file.write_text("not a database at all, " * 100)
    with pytest.raises(DataRefused, match="damaged"):
        dispatch.cancel(journal, venue.broker, "k1", "session ends")
    assert venue.broker.open_orders() == ()
    file.with_suffix(".kept").rename(file)
