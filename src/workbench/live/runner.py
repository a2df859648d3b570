"""One session of trading as one straight function: the first start, a restart after a crash and a replay are the same.

What is not known stops it: an account that differs from the journal, data that is not the newest, a broker that does
not answer. What was sent is in the journal before its bytes leave, so whoever starts next goes on from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd

from workbench.alerts.outbox import Severity
from workbench.errors import AccountDiffers, DataRefused, Disconnected, StaleData, TradingHalted, Unanswered
from workbench.live.book import Book
from workbench.live.decision import Decision, Line, Wanted
from workbench.live.dispatch import record, send
from workbench.live.gate import Asked, GateState, Outcome, decide
from workbench.live.journal.event import Draft, Kind
from workbench.live.operator import denied, refuse_stale
from workbench.live.reconcile import Reconciled, reconcile
from workbench.live.recovery import recover
from workbench.live.report import Result, SessionReport, report
from workbench.live.session import Data, Desk, Seat
from workbench.live.view import margin_of, rate_wait, view
from workbench.live.wishes import wishes_of
from workbench.orders import plan

# A decision that is older than this is not begun, nor gone on with: the next session decides anew.
LATE = timedelta(minutes=15)
# What the gate is shown is not older than this.
LOOK_AGAIN = timedelta(seconds=2)


def run_session(desk: Desk) -> SessionReport:
    """Trade one session, close the books, and return what it came to."""
    begin(desk)
    put_in_order(desk)
    for moment in desk.moments:
        _wait(desk, moment)
        trade(desk, moment)
    _wait(desk, desk.ends or desk.hours.closes)
    return close(desk)


def begin(desk: Desk) -> None:
    """Write who trades from now on: the evidence of each strategy, the limits, what the account is worth."""
    seats = {
        seat.name: {"pack": seat.pack, "version": seat.version, "stage": seat.stage, "mode": seat.mode,
                    "share": seat.share, "capital": seat.capital}
        for seat in desk.seats
    }  # fmt: skip
    equity = desk.broker.account().equity
    desk.journal.begin(date=str(desk.session), equity=equity, seats=seats, limits=desk.limits().digest)
    refuse_stale(desk.journal, desk.outbox, desk.clock())


def put_in_order(desk: Desk) -> Reconciled:
    """Find out what became of every order, hold the books against the broker's, and stop where they differ."""
    recover(desk.journal, desk.broker, desk.outbox, permit=lambda asked: _permit(desk, asked))
    told = reconcile(desk.journal, desk.broker, desk.outbox, max_cash=desk.limits().max_cash_difference)
    ours = [one for one in told.unexplained if one.ours and one.symbol]  # of cash, the gate only lets reduce
    if ours:
        more = f" and {len(ours) - 1} more" if len(ours) > 1 else ""
        raise AccountDiffers(
            f"account {desk.broker.account_id}: {ours[0].text}{more}; nothing is sent until a person has looked: "
            "workbench reconcile"
        )
    return told


def trade(desk: Desk, moment: datetime) -> Decision | None:
    """Decide for one moment, or go on with what was decided for it, and send what the gate lets pass."""
    if halted := desk.journal.halted:
        desk.outbox.post(Severity.WARNING, "halted", f"nothing is sent: {halted}", cooldown=f"halted {desk.session}")
        return None
    decision = desk.journal.book.past.decision
    begun = decision if decision is not None and decision.id == name_of(moment) else None
    if begun and not any(_to_send(desk, line) for line in begun.lines):
        return begun
    if desk.clock() - moment > LATE:
        late = f"the decision of {moment:%Y-%m-%d %H:%M}Z is {desk.clock() - moment} late; it is left out"
        desk.outbox.post(Severity.WARNING, "late", late, cooldown=f"late {moment}")
        return None
    data = require_fresh(desk, moment)
    if begun is None:
        begun = make_decision(desk, moment, data, desk.journal.next_key)
        desk.journal.append(Draft(Kind.DECISION, begun.data))
    carry_out(desk, begun, data)
    return begun


def make_decision(desk: Desk, moment: datetime, data: Data, next_key: Callable[[], str]) -> Decision:
    """Return what every strategy wants now and the orders that follow, netted; nothing is written or sent."""
    book, account = desk.journal.book, desk.broker.account()
    closing = {seat.name: book.past.closes(seat.name, seat.flatten, book) for seat in desk.seats}
    weights = {seat.name: {} if closing[seat.name] else _weights(seat, data) for seat in desk.seats}
    prices = _prices(desk, {name for own in weights.values() for name in own})
    wishes = wishes_of(desk.seats, weights, book, prices, account.equity)
    made = plan([wish.clipped for wish in wishes], prices)
    wanted = tuple(
        Wanted(seat.name, seat.pack, seat.version, seat.stage, seat.mode, seat.money(account.equity),
               wish.weights, wish.before, wish.held, closing[seat.name], 0 if closing[seat.name] else seat.flatten)
        for seat, wish in zip(desk.seats, wishes, strict=True)
    )  # fmt: skip
    lines = tuple(
        Line(next_key(), one.symbol, one.signed, one.price, one.shares, book.positions.get(one.symbol, 0))
        for one in made.orders
    )
    unpriced = sorted({name for wish in wishes for name in wish.unpriced})
    inputs = {
        "bars": data.digest(max(seat.strategy.lookback for seat in desk.seats)), "until": str(data.bars.index[-1]),
        "versions": dict(data.versions), "equity": account.equity, "limits": desk.limits().digest,
    }  # fmt: skip
    return Decision(name_of(moment), desk.session, wanted, lines, made.crossings, tuple(unpriced), inputs)


def carry_out(desk: Desk, decision: Decision, data: Data) -> None:
    """Send what is still to be sent of a decision: sales first, so that what they free can be bought with."""
    for sales in (True, False):
        lines = [line for line in decision.lines if (line.signed < 0) is sales and _to_send(desk, line)]
        if lines:
            _send(desk, decision, lines, data)
            settle(desk)


def settle(desk: Desk) -> None:
    """Write what the broker tells, for as long as orders are at work and patience lasts."""
    until = desk.clock() + timedelta(seconds=desk.patience)
    while True:
        hear(desk, min(desk.patience, 1.0))
        if not desk.journal.book.open_orders or desk.clock() >= until:
            return


def hear(desk: Desk, seconds: float) -> None:
    """Write what the broker tells within some seconds; a lost connection is taken up again first."""
    try:
        told = desk.broker.updates(seconds)
    except (Disconnected, Unanswered):
        find_back(desk)
        return
    if told:
        record(desk.journal, desk.outbox, told)


def find_back(desk: Desk) -> None:
    """Connect again as the same client, and put the account in order before anything else is sent."""
    desk.broker.connect()
    put_in_order(desk)


def close(desk: Desk) -> SessionReport:
    """Hold the books against the broker's once more, write what the session came to, and return it."""
    journal, book = desk.journal, desk.journal.book
    hear(desk, 0.0)
    told = reconcile(journal, desk.broker, desk.outbox, max_cash=desk.limits().max_cash_difference)
    last = book.past.closing
    now = _prices(desk, {book.orders[key].order.symbol for key in book.past.today})
    marks = {**(last.marks if last else {}), **now}
    worth, before = book.past.worth(book, marks), last.worth if last else {}
    results = tuple(_result(desk, seat, worth.get(seat.name, 0.0) - before.get(seat.name, 0.0)) for seat in desk.seats)
    facts = {
        "date": str(desk.session), "equity": desk.broker.account().equity, "worth": worth,
        "marks": {name: price for name, price in marks.items() if name in now or name in _held(book)},
    }  # fmt: skip
    journal.append(Draft(Kind.RECONCILE, {"closing": facts}))
    return report(book, desk.session, desk.broker.account_id, told, results, journal.halted)


def name_of(moment: datetime) -> str:
    """Return the name of the decision of a moment."""
    return f"{moment:%Y-%m-%dT%H:%MZ}"


def _wait(desk: Desk, moment: datetime) -> None:
    """Wait, and send what a person confirmed meanwhile."""
    while desk.wait(moment):
        decision = desk.journal.sync().past.decision
        refuse_stale(desk.journal, desk.outbox, desk.clock())
        if decision is not None and decision.session == desk.session and not desk.journal.halted:
            carry_out(desk, decision, desk.data(desk.clock()))


def require_fresh(desk: Desk, moment: datetime) -> Data:
    """Return the data of a moment; what is not the newest, or is largely in quarantine, is not traded by."""
    data, wanted, most = desk.data(moment), desk.newest(moment), desk.limits().max_bad_rows
    newest = data.bars.index[-1]
    if newest < pd.Timestamp(wanted):
        raise StaleData(f"bars: the newest is of {newest}, the last one that closed is of {wanted}; nothing was "
                        "decided; ingest newer data: make data")  # fmt: skip
    if not data.bad_rows <= most:
        raise DataRefused(f"bars of {newest}: {data.bad_rows:.0%} of the rows are in quarantine, max_bad_rows "
                          f"{most:.0%}; nothing was decided; see: make validate")  # fmt: skip
    return data


def _weights(seat: Seat, data: Data) -> dict[str, float]:
    """Return what a strategy wants now: the same line as in the backtest, and of it the last row."""
    weights = seat.strategy.weights(data.bars.select(seat.strategy.symbols))
    row = weights.iloc[-1]
    if weights.index[-1] != data.bars.index[-1]:
        raise DataRefused(f"{seat.name}: its weights end at {weights.index[-1]}, the bars at {data.bars.index[-1]}")
    return {str(name): float(value) for name, value in row.items() if value != 0.0}


def _prices(desk: Desk, symbols: set[str]) -> dict[str, float]:
    """Return the price of each symbol, and of all that is held, as far as there is one."""
    quotes = desk.broker.quotes(sorted(symbols | _held(desk.journal.book)))
    found = {name: quote.mid for name, quote in quotes.items()}
    return {name: mid for name, mid in found.items() if mid is not None and math.isfinite(mid) and mid > 0}


def _held(book: Book) -> set[str]:
    """Return what anybody holds: what strategies hold against each other is no position of the account."""
    return {*book.positions, *(symbol for shares in book.books.values() for symbol in shares)}


def _to_send(desk: Desk, line: Line) -> bool:
    past, book = desk.journal.book.past, desk.journal.book
    refused = past.denied.get(line.key)
    return line.key not in book.orders and (refused is None or (refused.waits and line.key in past.confirmed))


def _send(desk: Desk, decision: Decision, lines: Sequence[Line], data: Data) -> None:
    state: GateState | None = None
    looked = desk.clock()
    for line in lines:
        asked = decision.asked(line)
        order = asked.order
        if state is None or desk.clock() - looked > LOOK_AGAIN:
            state, looked = _look(desk, data, lines), desk.clock()
        while (seconds := rate_wait(state)) > 0:
            desk.pause(seconds)
            state, looked = _look(desk, data, lines), desk.clock()
        if not state.reduces(order):
            state = replace(state, what_if=margin_of(desk, order))
        verdict = decide(asked, state)
        if not verdict.passes:
            desk.journal.append(denied(asked, verdict))
            waits = verdict.outcome is Outcome.WAITS
            text = f"{line.side} {line.quantity} {line.symbol}: {verdict.reason}"
            kind = "confirm" if waits else "denied"
            desk.outbox.post(Severity.WARNING, kind, text, cooldown=f"{kind} {line.symbol}", key=line.key)
            continue
        try:
            send(desk.journal, desk.broker, [asked])
        except TradingHalted:
            return
        except (Disconnected, Unanswered):
            find_back(desk)
            state = None
            continue
        state = state.after(asked)


def _look(desk: Desk, data: Data, lines: Sequence[Line]) -> GateState:
    hear(desk, 0.0)
    return view(desk, data, {line.symbol for line in lines}, reconciled=True)


def _permit(desk: Desk, asked: Asked) -> str:
    """Ask the gate about an order that was written but never arrived; it is sent again only if it still may be."""
    state = view(desk, desk.data(desk.clock()), {asked.order.symbol}, reconciled=True, beside=asked.order.key)
    if not state.reduces(asked.order):
        state = replace(state, what_if=margin_of(desk, asked.order))
    return decide(asked, state).reason or ""


def _result(desk: Desk, seat: Seat, pnl: float) -> Result:
    book, decision = desk.journal.book, desk.journal.book.past.decision
    held = dict(book.books.get(seat.name, {}))
    trades = sum(
        bool(book.of_order(key)) and seat.name in book.orders[key].intent.asked.shares for key in book.past.today
    )
    capital = seat.money(book.past.equity_at_open or 0.0)
    mine = decision.session == desk.session if decision else False
    equal = _equal(desk, decision, seat, held) if decision and mine and desk.recompute else None
    return Result(seat.name, seat.version, seat.pack, seat.stage, capital, pnl, trades, held, equal)


def _equal(desk: Desk, decision: Decision, seat: Seat, held: dict[str, int]) -> bool | None:
    """Compute the session's weights again from the data of its moment, and the shares that they ask for."""
    wanted = next((one for one in decision.wanted if one.strategy == seat.name), None)
    if wanted is None:
        return None
    moment = datetime.fromisoformat(decision.id.replace("Z", "+00:00"))
    again = {} if wanted.closing else _weights(seat, desk.data(moment))
    expected = dict(wanted.held)
    moved = [(line.symbol, line.shares) for line in decision.lines]
    moved += [(crossing.symbol, crossing.shares) for crossing in decision.crossings]
    for symbol, shares in moved:
        expected[symbol] = expected.get(symbol, 0) + shares.get(seat.name, 0)
    return again == dict(wanted.weights) and {name: count for name, count in expected.items() if count} == held
