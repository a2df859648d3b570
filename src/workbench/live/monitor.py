"""Every minute one look at the account and the market, judged against the limits: tell, only reduce, or stop.

``judge`` is pure: the same snapshot gives the same findings. What it cannot see is a finding too.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum
from threading import Event
from typing import Protocol

from workbench.alerts.outbox import Severity
from workbench.errors import WorkbenchError
from workbench.live.gate.facts import Day, Hours, Unknown, finite, known, positive
from workbench.live.gate.rule import Denial, deny
from workbench.live.limits import Limits, Watch
from workbench.live.trading_state import TradingState
from workbench.trading import Account, Quote

EVERY_SECONDS = 60.0
DAILY_LOSS, DRAWDOWN = "DAILY_LOSS_REACHED", "DRAWDOWN_REACHED"


class Action(IntEnum):
    """What a finding asks for; of several the strongest is done."""

    TELL = 0
    REDUCE = 1  # trading goes to REDUCING: a person brings it back
    STOP = 2  # emergency stop: halt, cancel, flatten, confirm


@dataclass(frozen=True)
class Finding:
    """Something that a person should know, and what is done about it at once."""

    action: Action
    denial: Denial
    subject: str = ""  # a symbol or a sector

    @property
    def code(self) -> str:
        """Its stable name."""
        return self.denial.code

    @property
    def severity(self) -> Severity:
        """How soon somebody must look."""
        return Severity.WARNING if self.action is Action.TELL else Severity.CRITICAL

    def __str__(self) -> str:
        return str(self.denial)


@dataclass(frozen=True)
class Snapshot:
    """What one look saw; None is not known. ``moves`` are the returns of the market's symbols since their last close.

    ``seen_at`` is when the broker last answered everything, ``bad_rows`` the share of the newest rows in quarantine,
    ``missing_cash`` what the broker has less than the journal where the shares agree: perhaps it was taken out;
    ``paid_in`` what it has more. The gaps are what it had more or less already when losses began to be counted.
    """

    now: datetime
    trading: TradingState | None = None
    seen_at: datetime | None = None
    account: Account | None = None
    day: Day | None = None
    peak_equity: float | None = None
    missing_cash: float = 0.0
    paid_in: float = 0.0
    gap_at_open: float | None = None
    gap_at_peak: float | None = None
    positions: Mapping[str, int] | None = None
    quotes: Mapping[str, Quote] | None = None
    sectors: Mapping[str, str] = field(default_factory=dict)
    moves: Mapping[str, float] | None = None
    reconciled_at: datetime | None = None
    differences: tuple[str, ...] = ()
    data_age_sessions: int | None = None
    bad_rows: float | None = None
    hours: Hours | None = None

    @property
    def open(self) -> bool:
        """Whether the market is open now."""
        return self.hours is not None and self.hours.opens <= self.now < self.hours.closes


def judge(snapshot: Snapshot, limits: Limits) -> tuple[Finding, ...]:
    """Return what is wrong, the most urgent first."""
    found: list[Finding] = []
    for name, look in _LOOKS.items():
        try:
            found += look(snapshot, limits)
        except Unknown as error:
            # Losses that nobody sees grow; without them nothing new is opened.
            blind = Action.REDUCE if name in ("LOSS", "DRAWDOWN", "MARGIN") else Action.TELL
            found.append(Finding(blind, deny(f"{name}_UNKNOWN", because=error)))
    return tuple(sorted(found, key=lambda finding: -finding.action))


def _loss(snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    day = known(snapshot.day, "result of the day")
    most = limits.daily_loss(positive(day.equity_at_open, "equity at the open"))
    loss = -finite(day.pnl, "result of the day")
    if loss + (come := _come(snapshot, snapshot.gap_at_open)) >= most:
        gone = _gone(snapshot, snapshot.gap_at_open)
        yield _lost(loss - most, gone, come, deny(DAILY_LOSS, max_loss=most, loss=loss))
    elif loss >= limits.warn_loss_at * most:
        yield Finding(
            Action.TELL, deny("DAILY_LOSS_WARNING", warn_at=limits.warn_loss_at * most, max_loss=most, loss=loss)
        )


def _drawdown(snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    equity = finite(known(snapshot.account, "account").equity, "equity")
    peak = positive(snapshot.peak_equity, "highest equity")
    loss, most = peak - equity, limits.max_drawdown * peak
    if loss + (come := _come(snapshot, snapshot.gap_at_peak)) >= most:
        gone = _gone(snapshot, snapshot.gap_at_peak)
        facts = {"max_drawdown": limits.max_drawdown, "drawdown": loss / peak, "peak": peak, "equity": equity}
        yield _lost(loss - most, gone, come, deny(DRAWDOWN, **facts))


def _come(snapshot: Snapshot, gap: float | None) -> float:
    """Return the cash that nobody explained and that came since the broker had so much more; none where not known."""
    come = finite(snapshot.paid_in, "cash paid in")
    return 0.0 if gap is None else min(come, max(come - finite(gap, "cash of before"), 0.0))


def _gone(snapshot: Snapshot, gap: float | None) -> float:
    """Return the cash that nobody explained and that went since the broker had so much more; all where not known."""
    gone = finite(snapshot.missing_cash, "missing cash")
    return gone if gap is None else min(gone, max(gone + finite(gap, "cash of before"), 0.0))


def _lost(beyond: float, gone: float, come: float, denial: Denial) -> Finding:
    """Return the emergency stop; where only cash that nobody explained carries a loss beyond its bound, no new risk."""
    if gone <= beyond:
        return Finding(Action.STOP, denial)
    fact = ("missing_cash", gone) if gone > 0 else ("paid_in", come)
    return Finding(Action.REDUCE, replace(denial, facts=(*denial.facts, fact)))


def _margin(snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    account = known(snapshot.account, "account")
    equity = finite(account.equity, "equity")
    free = equity - finite(account.maintenance_margin, "maintenance margin")
    least = limits.min_margin_cushion * equity
    if free < 0 or equity <= 0:
        yield Finding(Action.STOP, deny("MARGIN_CALL", equity=equity, maintenance=account.maintenance_margin))
    elif free < least:
        yield Finding(Action.REDUCE, deny("MARGIN_CUSHION_THIN", min_cushion=least, cushion=free))


def _exposure(snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    """Tell what prices made of positions that were within the limits when they were opened."""
    equity = positive(known(snapshot.account, "account").equity, "equity")
    values: dict[str, float] = {}
    for symbol, shares in known(snapshot.positions, "positions").items():
        if shares:
            quote = known(snapshot.quotes, "quotes").get(symbol)
            values[symbol] = shares * positive(quote.mid if quote else None, f"price of {symbol}")
    gross, net = math.fsum(map(abs, values.values())), abs(math.fsum(values.values()))
    sectors: dict[str, float] = {}
    for symbol, value in values.items():
        name = snapshot.sectors.get(symbol, "unknown")
        sectors[name] = sectors.get(name, 0.0) + abs(value)
    most = min(limits.max_position * equity, limits.max_position_value)
    yield from _above("GROSS_ABOVE_MAX", {"": gross}, limits.max_gross * equity)
    yield from _above("NET_ABOVE_MAX", {"": net}, limits.max_net * equity)
    yield from _above("SECTOR_ABOVE_MAX", sectors, limits.max_sector * equity)
    yield from _above("POSITION_ABOVE_MAX", {symbol: abs(value) for symbol, value in values.items()}, most)


def _above(code: str, values: Mapping[str, float], most: float) -> Iterator[Finding]:
    for subject, value in values.items():
        if value > most:
            of = {"of": subject} if subject else {}
            yield Finding(Action.TELL, deny(code, **of, max_exposure=most, exposure=value), subject)


def _blind(snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    most = timedelta(minutes=limits.max_blind_minutes)
    if snapshot.seen_at is None or snapshot.now - snapshot.seen_at > most:
        since = f"{snapshot.seen_at:%H:%M:%SZ}" if snapshot.seen_at else "never"
        yield Finding(Action.REDUCE, deny("BROKER_OUT_OF_SIGHT", max_minutes=limits.max_blind_minutes, last_seen=since))


def _reconcile(snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    if snapshot.differences:
        first, count = snapshot.differences[0], len(snapshot.differences)
        yield Finding(Action.TELL, deny("DIFFERENCES", count=count, first=first))
    at, most = snapshot.reconciled_at, limits.max_reconcile_age_minutes
    age = math.inf if at is None else (snapshot.now - at).total_seconds() / 60
    if age > most:
        yield Finding(Action.REDUCE, deny("RECONCILE_OVERDUE", max_minutes=most, minutes=age))


def _data(snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    age = known(snapshot.data_age_sessions, "age of the data")
    if age > limits.max_data_age_sessions:
        yield Finding(Action.REDUCE, deny("DATA_STALE", max_sessions=limits.max_data_age_sessions, sessions=age))
    bad = finite(snapshot.bad_rows, "share of bad rows")
    if bad > limits.max_bad_rows:
        yield Finding(Action.REDUCE, deny("DATA_QUALITY_COLLAPSED", max_bad_rows=limits.max_bad_rows, bad_rows=bad))


def _quotes(snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    if not snapshot.open:
        return
    quotes = known(snapshot.quotes, "quotes")
    oldest = timedelta(seconds=limits.max_quote_age_seconds)
    silent = [name for name, quote in quotes.items() if not _usable(quote) or snapshot.now - quote.at > oldest]
    share = len(silent) / len(quotes) if quotes else 0.0
    if share > limits.max_silent_quotes:
        facts = {"max_silent": limits.max_silent_quotes, "silent": share, "first": sorted(silent)[0]}
        yield Finding(Action.REDUCE, deny("QUOTES_SILENT", **facts))


def _usable(quote: Quote) -> bool:
    mid = quote.mid
    return mid is not None and math.isfinite(mid) and mid > 0


def _market(snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    moves = [move for move in known(snapshot.moves, "moves of the market").values() if math.isfinite(move)]
    if not moves:
        if snapshot.open:
            raise Unknown("no symbol of the market has a move")
        return
    move = statistics.median(moves)
    if abs(move) >= limits.max_market_move:
        facts = {"max_move": limits.max_market_move, "median_move": move, "symbols": len(moves)}
        yield Finding(Action.REDUCE, deny("CIRCUIT_BREAKER", **facts))


def _halt(snapshot: Snapshot, _: Limits) -> Iterator[Finding]:
    held = sorted(symbol for symbol, shares in (snapshot.positions or {}).items() if shares)
    if snapshot.trading is TradingState.HALTED and held:
        yield Finding(Action.TELL, deny("HALTED_NOT_FLAT", positions=len(held), first=held[0]))


_LOOKS: Mapping[str, Callable[[Snapshot, Limits], Iterator[Finding]]] = {
    "HALT": _halt,
    "LOSS": _loss,
    "DRAWDOWN": _drawdown,
    "MARGIN": _margin,
    "BLIND": _blind,
    "RECONCILE": _reconcile,
    "DATA": _data,
    "QUOTES": _quotes,
    "MARKET": _market,
    "EXPOSURE": _exposure,
}


class Desk(Protocol):
    """What the monitor can do: tell a person, forbid new positions, stop."""

    def tell(self, severity: Severity, kind: str, text: str, cooldown: str) -> None:
        """Put an alert into the outbox, which keeps quiet of what it told before under the same name."""
        ...

    def reduce(self, reason: str) -> None:
        """Allow only what shrinks a position."""
        ...

    def stop(self, reason: str) -> None:
        """Halt, cancel, flatten and confirm it at the broker."""
        ...


class Monitor:
    """The thin loop around ``judge``: it looks, tells every finding, and acts by the strongest.

    Where its first looks fail there is nothing to judge: that is told, and what it may be blind counts from its begin.
    """

    def __init__(self, look: Callable[[], Snapshot], limits: Watch, desk: Desk, clock: Callable[[], datetime]) -> None:
        self._look, self._limits, self._desk, self._clock = look, limits, desk, clock
        self._began, self._seen = clock(), False
        self._last = Snapshot(self._began, TradingState.ACTIVE)

    def tick(self) -> tuple[Finding, ...]:
        """Look once; never raises for what the broker, the data or a file do wrong."""
        reading = self._limits.poll()
        news = [Finding(Action.TELL, deny("LIMITS_REFUSED", because=reading.refused))] if reading.refused else []
        if reading.changes:
            changes = ", ".join(map(str, reading.changes))
            self._desk.tell(Severity.WARNING, "limits", f"limits in force: {changes}", f"limits {changes}")
        try:
            self._last, self._seen = self._look(), True
        except WorkbenchError as error:
            # What was seen last is judged again: it grows old, and that is a finding. That its quotes are old is none.
            self._last = replace(self._last, now=self._clock(), hours=None)
            news.append(Finding(Action.TELL, deny("LOOK_FAILED", because=error)))
        most = timedelta(minutes=reading.limits.max_blind_minutes)
        judged = self._seen or self._last.now - self._began > most
        found = (*(judge(self._last, reading.limits) if judged else ()), *news)
        for finding in found:
            cooldown = f"{finding.code} {finding.subject} {finding.action.name}"
            self._desk.tell(finding.severity, finding.code.lower(), str(finding), cooldown)
        self._act(found)
        return found

    def run(self, until: Event, every: float = EVERY_SECONDS) -> None:
        """Look every minute until told to end."""
        while not until.is_set():
            self.tick()
            until.wait(every)

    def _act(self, found: tuple[Finding, ...]) -> None:
        strongest = max(found, key=lambda finding: finding.action, default=None)
        if strongest is None or self._last.trading is TradingState.HALTED:
            return
        if strongest.action is Action.STOP:
            self._desk.stop("; ".join(str(finding) for finding in found if finding.action is Action.STOP))
        elif strongest.action is Action.REDUCE and self._last.trading is not TradingState.REDUCING:
            self._desk.reduce(str(strongest))
