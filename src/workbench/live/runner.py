"""One session of trading as one straight function: the first start, a restart after a crash and a replay are the same.

What is not known stops it: an account that differs from the journal, data that is not the newest, a broker that does
not answer. What was sent is in the journal before its bytes leave, so whoever starts next goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from workbench.alerts.outbox import Severity
from workbench.errors import (
    AccountDiffers,
    AlreadyRunning,
    Disconnected,
    OrderRejected,
    TradingHalted,
    Unanswered,
    WorkbenchError,
)
from workbench.live import exits, protection
from workbench.live.book import Book, Tracked
from workbench.live.deciding import held_by_anybody, is_ending, make_decision, name_of, prices_of, require_fresh
from workbench.live.decision import Decision, Line
from workbench.live.dispatch import cancel, record, send, send_bracket, tell_ends
from workbench.live.gate import Asked, GateState, Outcome, decide
from workbench.live.gate import Decision as Verdict
from workbench.live.gate.facts import Origin
from workbench.live.journal.event import Draft, Kind
from workbench.live.operator import denied, refuse_stale
from workbench.live.reconcile import Reconciled, reconcile
from workbench.live.recovery import recover
from workbench.live.report import SessionReport, report
from workbench.live.result import results_of
from workbench.live.session import Data, Desk
from workbench.live.splits import lock_splits
from workbench.live.turns import BRIEF_SECONDS, at_once, make_room, turn_of
from workbench.live.view import DAY, margin_of, rate_wait, view
from workbench.trading import OrderStatus

# A decision that is older than this is not begun, nor gone on with: the next session decides anew.
LATE = timedelta(minutes=15)
# What the gate is shown is not older than this.
LOOK_AGAIN = timedelta(seconds=2)


def run_session(desk: Desk) -> SessionReport:
    """Trade one session, close the books, and return what it came to."""
    begin(desk)
    try:
        put_in_order(desk)
    except AccountDiffers:
        _guard_others(desk)
        raise
    guard(desk)
    exits.require_time(desk.seats, desk.limits())
    for moment in _moments(desk):
        if not _over(desk, moment):
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
    now = desk.broker.account()
    facts = {"equity": now.equity, "cash": now.cash, "seats": seats, "limits": desk.limits().digest}
    desk.journal.begin(date=str(desk.session), **facts)
    refuse_stale(desk.journal, desk.outbox, desk.clock())


def put_in_order(desk: Desk) -> Reconciled:
    """Find out what became of every order, hold the books against the broker's, and stop where they differ."""
    found = recover(desk.journal, desk.broker, desk.outbox, permit=None)
    _tell_ends(desk, (one.key for one in found))
    told = _compare(desk)
    if any(one.status is OrderStatus.INTENDED for one in desk.journal.book.open_orders):
        # Only now is what never arrived asked of the gate, which knows whether the account differs.
        recover(desk.journal, desk.broker, desk.outbox, permit=lambda family: _permit(desk, family))
        told = _compare(desk)
    lock_splits(desk)
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
    if _halted(desk):
        return None
    decision = desk.journal.book.past.decision
    if decision is not None and decision.id > name_of(moment):  # a later one was made: a restart goes on from there
        return None
    begun = decision if decision is not None and decision.id == name_of(moment) else None
    if begun and not any(_to_send(desk, line) for line in begun.lines):
        return begun
    ending = is_ending(desk, moment)  # what must be closed is, as long as it can be
    if desk.clock() >= desk.hours.closes if ending else desk.clock() - moment > LATE:
        late = f"the decision of {moment:%Y-%m-%d %H:%M}Z is {desk.clock() - moment} late; it is left out"
        desk.outbox.post(Severity.WARNING, "late", late, cooldown=f"late {moment}")
        return None
    data = desk.data(moment) if ending else require_fresh(desk, moment)
    if begun is None:
        stuck, waits = frozenset[str](), False
        if _unsettled(desk):
            planned = make_decision(desk, moment, data, str)
            # Nothing lies bare while others wait for their turn: each is taken back when its own has come. What passes
            # from one strategy to another has none: it changes hands as the decision is written.
            waits = not at_once(desk, planned, planned.symbols)
            now = {one.symbol for one in planned.crossings} if waits else planned.symbols
            make_room(desk, planned, now)
            if _halted(desk):
                return None
            stuck = take_back(desk, now)  # first, and decided by what is held then
        begun = make_decision(desk, moment, data, desk.journal.next_key, stuck)
        desk.journal.append(Draft(Kind.DECISION, begun.data))
        if waits and begun.crossings:
            guard(desk, data, {line.symbol for line in begun.lines})
    carry_out(desk, begun, data)
    for seat in desk.seats:
        held = desk.journal.book.books.get(seat.name) if ending and exits.ends(seat, desk.hours, moment) else None
        if held:
            text = f"{seat.name} still holds {', '.join(sorted(held))}, which should be closed before the session ends"
            desk.outbox.post(Severity.CRITICAL, "not_closed", text, cooldown=f"not closed {seat.name} {desk.session}")
    return begun


def carry_out(desk: Desk, decision: Decision, data: Data, keys: Collection[str] | None = None) -> None:
    """Send what is still to be sent of a decision, or of it some keys: sales first, what they free buys more."""
    left = [line for line in sorted(decision.lines, key=lambda line: line.signed > 0) if _to_send(desk, line)]
    left = [line for line in left if keys is None or line.key in keys]
    while left:
        turn = turn_of(desk, decision, left)
        if _halted(desk):  # what protects stays
            return
        _look_once_more(desk)
        stuck = take_back(desk, {line.symbol for line in turn})
        _look_once_more(desk)
        lines = [line for line in turn if not _outdated(desk, decision, line, stuck)]
        _send(desk, [protection.family_of(decision, line, desk.journal.next_key) for line in lines], data)
        settle(desk)
        left = left[len(turn) :]
        if left:
            guard(desk, data, {line.symbol for line in left})
    guard(desk, data)


def guard(desk: Desk, data: Data | None = None, waiting: Collection[str] = ()) -> None:
    """Put a stop and a target beside all that is held without those that its strategy wants, and tell who took them.

    Symbols in ``waiting`` are still to be traded: until then they keep what protects them.
    """
    if desk.journal.halted:
        return
    count(desk)
    for one in protection.taken_away(desk):
        text = f"{one.order.symbol}: the broker ended {one.order.key}, which protected it: {one.text}".rstrip(": ")
        cooldown = f"ended {one.order.symbol} {desk.session}"
        desk.outbox.post(Severity.CRITICAL, "unprotected", text, cooldown=cooldown, key=one.order.key)
    if not protection.guarded(desk):
        return
    if stale := protection.lacking(desk, waiting)[1]:
        take_back(desk, stale)
    missing, why = protection.to_put(desk)
    for symbol, text in why.items():
        text = f"{symbol}: {text}; nothing more is put beside it: look at the broker, then workbench reconcile"
        cooldown = f"not put back {symbol} {desk.session}"
        desk.outbox.post(Severity.CRITICAL, "unprotected", text, cooldown=cooldown, quiet=DAY, symbol=symbol)
    if missing:
        for wanted in missing:
            _cancel_refused(desk, wanted)
        asked = [(order,) for one in missing for order in one.orders(desk.journal.next_key)]
        _send(desk, asked, data or desk.data(desk.clock()))


def leave(desk: Desk) -> None:
    """Let no holding lie bare for a decision that an error ended: what it sent is waited for, and nothing more sent."""
    desk.broker.connect()
    if any(one.status is OrderStatus.INTENDED for one in desk.journal.book.open_orders):
        found = recover(desk.journal, desk.broker, desk.outbox, permit=lambda _: "an error ended the deciding")
        _tell_ends(desk, (one.key for one in found))
    settle(desk)
    guard(desk, waiting=desk.journal.book.locked)


def _guard_others(desk: Desk) -> None:
    """See to what protects other symbols while some differ; where that fails, it is told beside what differs."""
    try:
        guard(desk, waiting=desk.journal.book.locked)
    except (AlreadyRunning, AccountDiffers):
        raise
    except WorkbenchError as error:
        text = f"while the account differs nobody puts back what protects other symbols: {error}"
        cooldown = f"not guarded {type(error).__name__} {desk.session}"
        desk.outbox.post(Severity.CRITICAL, "unprotected", text, cooldown=cooldown)


def _cancel_refused(desk: Desk, wanted: protection.Protection) -> None:
    """Cancel once what the broker called refused: some come alive again, and beside a new one would sell twice."""
    for one in protection.refused(desk.journal.book, wanted):
        if not one.cancel_asked and wanted.symbol not in desk.journal.book.locked:
            try:
                cancel(desk.journal, desk.broker, one.order.key, "refused, and another one is put in its place")
            except OrderRejected:
                continue  # the broker has nothing to cancel
            except (Disconnected, Unanswered):
                find_back(desk)


def take_back(desk: Desk, symbols: Iterable[str]) -> frozenset[str]:
    """Cancel what protects these symbols, and return those of which something may still fill, or has uncounted."""
    wanted = frozenset(symbols)
    for one in protection.protecting(desk.journal.book, wanted):
        try:
            cancel(desk.journal, desk.broker, one.order.key, "its symbol is traded")
        except OrderRejected:
            continue  # it has just ended, which the broker tells next
        except (Disconnected, Unanswered):
            find_back(desk)
    if _unsettled(desk, wanted):
        settle(desk, lambda book: protection.protecting(book, wanted))
    count(desk)
    return frozenset(one.order.symbol for one in _unsettled(desk, wanted))


def settle(desk: Desk, at_work: Callable[[Book], Sequence[Tracked]] = protection.entering) -> None:
    """Write what the broker tells, for as long as orders are at work, or not counted, and patience lasts."""
    until = desk.clock() + timedelta(seconds=desk.patience)
    while True:
        told = hear(desk, min(desk.patience, 1.0))
        if protection.arriving(desk.journal.book, desk.clock()):
            count(desk)
        arriving = protection.arriving(desk.journal.book, desk.clock())
        if desk.clock() >= until or not (at_work(desk.journal.book) or arriving):
            return
        if not (told or arriving):
            desk.watch()


def hear(desk: Desk, seconds: float) -> bool:
    """Write what the broker tells within some seconds, if any; a lost connection is taken up again first."""
    try:
        told = desk.broker.updates(seconds)
    except (Disconnected, Unanswered):
        find_back(desk)
        return True
    if told:
        events = record(desk.journal, desk.outbox, told)
        _tell_ends(desk, (event.key for event in events if event.kind is Kind.ACKNOWLEDGED))
    return bool(told)


def _tell_ends(desk: Desk, keys: Iterable[str]) -> None:
    tell_ends(desk.journal, desk.outbox, keys, desk.hours.closes - desk.clock())


def count(desk: Desk) -> None:
    """Write every execution that the broker knows when it is asked: it tells of an order's end before its fills."""
    try:
        fills = desk.broker.fills(desk.clock() - DAY)
    except (Disconnected, Unanswered):
        find_back(desk)
        return
    record(desk.journal, desk.outbox, fills)


def find_back(desk: Desk) -> None:
    """Connect again as the same client, and put the account in order before anything else is sent."""
    desk.broker.connect()
    put_in_order(desk)


def close(desk: Desk) -> SessionReport:
    """Hold the books against the broker's once more, write what the session came to, and return it."""
    journal, book = desk.journal, desk.journal.book
    hear(desk, 0.0)
    told = _compare(desk)
    last = book.past.closing
    now = prices_of(desk, {book.orders[key].order.symbol for key in book.past.today})
    marks = {**(last.marks if last else {}), **now}
    worth, before = book.past.worth(book, marks), last.worth if last else {}
    made = {name: worth.get(name, 0.0) - before.get(name, 0.0) for name in worth.keys() | before.keys()}
    results = results_of(desk, made)
    facts = {
        "date": str(desk.session), "equity": desk.broker.account().equity, "gap": told.gap, "worth": worth,
        "marks": {name: price for name, price in marks.items() if name in now or name in held_by_anybody(book)},
    }  # fmt: skip
    journal.append(Draft(Kind.RECONCILE, {"closing": facts}))
    return report(book, desk.session, desk.broker.account_id, told, results, journal.halted)


def _look_once_more(desk: Desk) -> None:
    """Hold the books against the broker's again where they differed at the last look: it may have been of that one."""
    if not desk.journal.book.differs:
        return
    try:
        hear(desk, min(desk.patience, 1.0))
        _compare(desk)
    except (Disconnected, Unanswered):
        find_back(desk)


def _compare(desk: Desk) -> Reconciled:
    return reconcile(desk.journal, desk.broker, desk.outbox, max_cash=desk.limits().max_cash_difference)


def _moments(desk: Desk) -> list[datetime]:
    """Return when something is decided: the desk's moments, and when the clock closes what ends with the session."""
    until = desk.ends or desk.hours.closes
    return sorted({*desk.moments, *(at for at in exits.ending_moments(desk.seats, desk.hours) if at < until)})


def _over(desk: Desk, moment: datetime) -> bool:
    """Whether a later moment is due, as after a restart: it decides by newer data, and none decides after it."""
    return not is_ending(desk, moment) and any(moment < later <= desk.clock() for later in desk.moments)


def _wait(desk: Desk, moment: datetime) -> None:
    """Wait, and send what a person confirmed meanwhile."""
    while desk.wait(moment):
        decision = desk.journal.sync().past.decision
        refuse_stale(desk.journal, desk.outbox, desk.clock())
        if decision is not None and decision.session == desk.session and not desk.journal.halted:
            carry_out(desk, decision, desk.data(desk.clock()), desk.journal.book.past.confirmed)


def _halted(desk: Desk) -> bool:
    """Whether trading is halted, which is told: nothing is sent then, and nothing taken back for what would be."""
    if halted := desk.journal.halted:
        desk.outbox.post(Severity.WARNING, "halted", f"nothing is sent: {halted}", cooldown=f"halted {desk.session}")
    return bool(halted)


def _to_send(desk: Desk, line: Line) -> bool:
    past, book = desk.journal.book.past, desk.journal.book
    refused = past.denied.get(line.key)
    return line.key not in book.orders and (refused is None or (refused.waits and line.key in past.confirmed))


def _send(desk: Desk, families: Sequence[tuple[Asked, ...]], data: Data) -> None:
    """Ask the gate about each order, or each bracket, and send what passes; of a bracket all or nothing does."""
    state: GateState | None = None
    looked, symbols = desk.clock(), {family[0].order.symbol for family in families}
    for family in families:
        if state is None or desk.clock() - looked > LOOK_AGAIN:
            state, looked = _look(desk, data, symbols), desk.clock()
        while (seconds := rate_wait(state, len(family))) > 0:
            desk.pause(min(seconds, BRIEF_SECONDS))
            state, looked = _look(desk, data, symbols), desk.clock()
        if not protection.still_held(family[0], desk.journal.book):  # a person adopted what was sold by hand
            continue
        verdict, after = judge(desk, family, state)
        if not verdict.passes:
            if not _said(desk, family[0], verdict):
                desk.journal.append(denied(family[0], verdict))
            _tell(desk, family[0], "confirm" if verdict.outcome is Outcome.WAITS else "denied", verdict.reason or "")
            continue
        try:
            placed = (send_bracket if len(family) > 1 else send)(desk.journal, desk.broker, family)
        except TradingHalted:
            return
        except (Disconnected, Unanswered):
            find_back(desk)
            state = None
            continue
        state = after
        if placed[0].working is None:  # of a bracket too: where it is refused nothing is held, so nothing lies bare
            _tell(desk, family[0], "rejected", placed[0].text)


def judge(desk: Desk, family: Sequence[Asked], state: GateState) -> tuple[Verdict, GateState]:
    """Return the first verdict that is against one of these orders, else the last, and the state after them."""
    for asked in family:
        if not state.reduces(asked):
            state = replace(state, what_if=margin_of(desk, asked.order))
        verdict = decide(asked, state)
        if not verdict.passes:
            break
        state = state.after(asked)
    return verdict, state


def _unsettled(desk: Desk, symbols: Iterable[str] | None = None) -> tuple[Tracked, ...]:
    """Return what protects some symbols, or all, and the orders whose executions are on their way."""
    book = desk.journal.book
    return (*protection.protecting(book, symbols), *protection.arriving(book, desk.clock()))


def _said(desk: Desk, asked: Asked, verdict: Verdict) -> bool:
    """Whether the journal of the session has why nothing protects these shares: it is asked for again each minute."""
    code = str(verdict.reason).split(":")[0]
    return asked.origin is Origin.PROTECTION and any(
        (one.symbol, one.signed) == (asked.order.symbol, asked.order.signed) and one.reason.split(":")[0] == code
        for one in desk.journal.book.past.denied.values()
    )


def _tell(desk: Desk, asked: Asked, kind: str, why: str) -> None:
    order, protects = asked.order, asked.origin is Origin.PROTECTION
    kind, severity = ("unprotected", Severity.CRITICAL) if protects else (kind, Severity.WARNING)
    text = f"{order.side} {order.quantity} {order.symbol}: {why}"
    desk.outbox.post(severity, kind, text, cooldown=f"{kind} {order.symbol}", key=order.key)


def _outdated(desk: Desk, decision: Decision, line: Line, stuck: frozenset[str]) -> bool:
    if why := protection.outdated(decision, line, desk.journal.book, stuck):
        desk.journal.append(denied(decision.asked(line), Verdict(Outcome.DENIED, (why,))))
        _tell(desk, decision.asked(line), "denied", why)
    return bool(why)


def _look(desk: Desk, data: Data, symbols: set[str]) -> GateState:
    """Return what the gate is shown; a fill that one side tells before the other is waited for a moment."""
    until = desk.clock() + min(timedelta(seconds=desk.patience), LOOK_AGAIN)
    while True:
        hear(desk, 0.0)
        count(desk)
        state = view(desk, data, symbols)
        if desk.clock() >= until or all(state.booked_of(name) == state.held(name) for name in symbols):
            return state
        hear(desk, LOOK_AGAIN.total_seconds() / 4)


def _permit(desk: Desk, family: Sequence[Asked]) -> str:
    """Ask the gate about orders that were written but never arrived; they are sent again only if they still may be."""
    symbols, keys = {one.order.symbol for one in family}, {one.order.key for one in family}
    verdict, _ = judge(desk, family, view(desk, desk.data(desk.clock()), symbols, beside=keys))
    return verdict.reason or ""
