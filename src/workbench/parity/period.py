"""What the journal says of one strategy between two dates: what it decided, and what became of each order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime

from workbench.errors import NoData
from workbench.live.book import Book
from workbench.live.decision import Decision, Wanted
from workbench.live.journal.event import Kind
from workbench.live.journal.journal import Journal
from workbench.orders import attribute


@dataclass(frozen=True)
class Trade:
    """The strategy's part of one order: signed shares planned and filled, what they cost; ``why`` it was not filled."""

    symbol: str
    planned: int
    price: float  # decided at
    filled: int
    paid: float  # signed as the shares: what was paid for them, or got
    commission: float
    fills: int
    denied: bool
    why: str = ""


@dataclass(frozen=True)
class Decided:
    """One decision of the strategy and what was traded for it; ``digest`` names the bars that it saw."""

    session: date
    moment: datetime
    wanted: Wanted
    digest: str
    trades: tuple[Trade, ...]


@dataclass(frozen=True)
class Period:
    """All decisions of one strategy in a journal, in order; ``head`` is the journal's."""

    account: str
    strategy: str
    decisions: tuple[Decided, ...]
    head: str


def read_period(journal: Journal, strategy: str, start: date | None = None, end: date | None = None) -> Period:
    """Return the decisions of a strategy from ``start`` to ``end``, both included; what the clock closed is none."""
    decisions: dict[str, Decision] = {}
    denials: dict[str, str] = {}
    for event in journal.events():
        if event.kind is Kind.DECISION and "lines" in event.data:
            decision = Decision.read(event.data)
            decisions[decision.id] = decision
        elif event.kind is Kind.DENIAL:
            denials[event.key] = str(event.data["reasons"][0])
    book, found = journal.whole(), []
    for decision in decisions.values():
        wanted = decision.of(strategy)
        within = (start is None or decision.session >= start) and (end is None or decision.session <= end)
        if wanted is not None and within and not decision.ending:
            trades = _trades(decision, strategy, book, denials)
            moment = datetime.fromisoformat(decision.id.replace("Z", "+00:00"))
            found.append(Decided(decision.session, moment, wanted, decision.inputs["bars"], trades))
    if not found:
        between = f" between {start or 'the beginning'} and {end or 'now'}" if start or end else ""
        raise NoData(
            f"{strategy}: account {journal.account} has no decision of it{between}; trade it first: make paper"
        )
    return Period(journal.account, strategy, tuple(found), book.last.head if book.last else "")


def _trades(decision: Decision, strategy: str, book: Book, denials: dict[str, str]) -> tuple[Trade, ...]:
    found = []
    for line in decision.lines:
        if not line.shares.get(strategy):
            continue
        fills = book.of_order(line.key)
        whole = sum(fill.signed for fill in fills)
        own = attribute(line.shares, whole)[strategy]
        each = sum(fill.signed * fill.price for fill in fills) / whole if whole else 0.0
        parts = sum(map(abs, attribute(line.shares, whole).values()))
        fee = sum(book.commissions.get(fill.id, 0.0) for fill in fills) * (abs(own) / parts if parts else 0.0)
        made = Trade(line.symbol, line.shares[strategy], line.price, own, own * each, fee, len(fills), False)
        if line.key in book.orders:
            tracked = book.orders[line.key]
            why = "" if own == made.planned else f"{tracked.status} {tracked.text}".strip()
            found.append(replace(made, why=why))
        else:
            found.append(replace(made, denied=True, why=denials.get(line.key, "it was never sent")))
    for crossing in decision.crossings:
        if own := crossing.shares.get(strategy, 0):
            found.append(Trade(crossing.symbol, own, crossing.price, own, own * crossing.price, 0.0, 0, False))
    return tuple(found)
