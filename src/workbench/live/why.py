"""The way back: from a fill to its order, the decision, the data that it was made on, and the evidence behind it."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import NoData, did_you_mean
from workbench.live.book import Tracked
from workbench.live.decision import Decision, Line
from workbench.live.journal.event import Event, Kind
from workbench.live.journal.journal import Journal
from workbench.trading import Fill


@dataclass(frozen=True)
class Why:
    """Everything that led to an order; ``decision`` is None where a person or the emergency stop asked for it."""

    order: Tracked
    fills: tuple[Fill, ...]
    decision: Decision | None
    line: Line | None
    events: tuple[Event, ...]


def why(journal: Journal, name: str) -> Why:
    """Return what led to a fill, by its id, or to an order, by its key."""
    book = journal.whole()
    key = book.fills[name].key if name in book.fills else name
    if key not in book.orders:
        known = [*book.fills, *book.orders]
        raise NoData(f"why: neither a fill nor an order of account {journal.account} is '{name}'.{_near(name, known)}")
    events = tuple(journal.events())
    decision = next((found for event in events if (found := _decision(event, key)) is not None), None)
    line = next((line for line in decision.lines if line.key == key), None) if decision else None
    own = tuple(event for event in events if event.key == key or (event.data.get("execution") in book.fills
                and book.fills[event.data["execution"]].key == key))  # fmt: skip
    return Why(book.orders[key], book.of_order(key), decision, line, own)


def _decision(event: Event, key: str) -> Decision | None:
    if event.kind is not Kind.DECISION or not any(line["key"] == key for line in event.data.get("lines", ())):
        return None
    return Decision.read(event.data)


def _near(name: str, known: list[str]) -> str:
    return did_you_mean(name, known) if known else " Nothing was traded yet."
