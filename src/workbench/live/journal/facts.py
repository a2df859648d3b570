"""Orders, fills and intents as the journal's events hold them, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workbench.live.gate.facts import Asked, Origin
from workbench.live.journal.event import read_time, time_text
from workbench.trading import Fill, Order, OrderStatus, OrderType, Side, Working


@dataclass(frozen=True)
class Intent:
    """An order that may be sent, under the number it will have at the broker."""

    asked: Asked
    order_id: int

    @property
    def order(self) -> Order:
        """What is asked for."""
        return self.asked.order


def intent_data(asked: Asked, order_id: int) -> dict[str, Any]:
    """Return an intent as it is written."""
    return {
        "order": asdict(asked.order), "order_id": order_id, "origin": asked.origin.value, "shares": dict(asked.shares),
        "packs": dict(asked.packs), "decision": asked.decision, "planned": asked.planned,
    }  # fmt: skip


def read_intent(data: Mapping[str, Any]) -> Intent:
    """Return an intent that was written."""
    asked = Asked(
        read_order(data["order"]), Origin(data["origin"]), data["shares"], data["packs"], data["decision"],
        data["planned"],
    )  # fmt: skip
    return Intent(asked, data["order_id"])


def read_order(data: Mapping[str, Any]) -> Order:
    """Return an order that was written."""
    return Order(**{**data, "side": Side(data["side"]), "type": OrderType(data["type"])})


def working_data(working: Working, text: str = "") -> dict[str, Any]:
    """Return what the broker said of an order."""
    return {
        "status": working.status.value, "order_id": working.order_id, "permanent_id": working.permanent_id,
        "filled": working.filled, "average_price": working.average_price, "text": text,
    }  # fmt: skip


def rejected_data(text: str) -> dict[str, Any]:
    """Return the broker's refusal of an order."""
    return {"status": OrderStatus.REJECTED.value, "permanent_id": 0, "text": text}


def fill_data(fill: Fill) -> dict[str, Any]:
    """Return an execution as it is written."""
    return {**asdict(fill), "at": time_text(fill.at)}


def read_fill(data: Mapping[str, Any]) -> Fill:
    """Return an execution that was written."""
    return Fill(**{**data, "side": Side(data["side"]), "at": read_time(data["at"])})
