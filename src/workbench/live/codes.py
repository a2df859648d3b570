"""What the broker's error codes mean for an order, a request or the connection, as data.

A code says less than it seems to: many come for orders that live on. Only ``REJECTS`` ends an order by itself; where
a code is unknown or ``ASK``, the broker is asked what became of the order, and its answer counts.
Sources: the broker's list of message codes, and what was seen on the wire (docs/live.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class CodeClass(StrEnum):
    """What a code means for whoever waits."""

    FATAL = "fatal"  # the connection cannot be used; opening it again does not help
    IN_USE = "in use"  # the client id belongs to a session that lives or has just died: the same id again, later
    LOST = "lost"  # the gateway has no way to the broker; the socket stays open
    BACK_EMPTY = "back, subscriptions gone"
    BACK = "back, subscriptions kept"
    RESET = "reset"  # the socket is of no use any more
    DATA_LOST = "data lost"  # a market data farm is away: orders go on, quotes do not
    DATA_BACK = "data back"
    REJECTS = "rejects order"
    ASK = "ask"  # about an order, and not decided by the code alone
    CANCELLED = "cancelled"  # the status tells it as well
    NOT_CANCELLED = "not cancelled"  # a cancel that came too late or found nothing: perhaps a missed fill
    WARNING = "warning"  # the order stays as it is; never a cancel
    PACING = "pacing"  # too many requests: wait, then ask again
    NO_DATA = "no data"  # a request for prices that cannot be met
    INFO = "info"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Code:
    """One code: its class, and what it means in our words."""

    number: int
    kind: CodeClass
    meaning: str


_TABLE: Mapping[CodeClass, Mapping[int, str]] = {
    CodeClass.FATAL: {
        501: "already connected",
        502: "no gateway at this address",
        503: "the gateway is too old",
        505: "the gateway does not know a message",
        506: "the gateway does not know this version",
        507: "a message had a wrong length",
        508: "a message could not be read",
        530: "TLS is asked for",
    },
    CodeClass.IN_USE: {326: "the client id is in use"},
    CodeClass.LOST: {
        1100: "the gateway has lost the broker",
        2110: "the gateway has lost the broker and tries again by itself",
    },
    CodeClass.BACK_EMPTY: {1101: "the broker is back, subscriptions are gone"},
    CodeClass.BACK: {1102: "the broker is back, subscriptions are kept"},
    CodeClass.RESET: {
        504: "the gateway takes this connection for none",
        1300: "the gateway's port was changed, the connection is dropped",
    },
    CodeClass.DATA_LOST: {
        2103: "market data farm is away",
        2105: "history farm is away",
        2157: "definitions farm is away",
    },
    CodeClass.DATA_BACK: {
        2104: "market data farm is there",
        2106: "history farm is there",
        2158: "definitions farm is there",
    },
    CodeClass.REJECTS: {
        103: "the order id was used before",
        104: "a filled order cannot be changed",
        105: "the order id belongs to another order",
        107: "a field is missing",
        109: "price beyond the gateway's own precautions",
        111: "time in force and order type do not go together",
        135: "the parent order is not known",
        136: "this order cannot be cancelled",
        140: "the size is not a number",
        141: "the price is not a number",
        145: "a field is not valid",
        152: "hidden orders are not possible there",
        154: "trading is halted",
        163: "price beyond the percentage allowed",
        200: "no such contract, or several",
        201: "rejected",
        203: "not available or not allowed for this account",
        328: "trailing stop for the wrong order type",
        355: "the size does not fit the market's rule",
        387: "order type not supported there",
        388: "the size is below the minimum",
        391: "time in force not valid",
        403: "stop price not valid",
        412: "the contract cannot be traded",
        435: "an account must be named",
        436: "an allocation must be named",
        460: "no trading permission",
        461: "size or increment not valid",
        10006: "the parent order is missing",
        10149: "order id not valid",
        10243: "a fraction of a share",
        10247: "fractions are for one venue only",
        10289: "cash quantity is needed",
        10318: "fractions are not possible",
    },
    # Each of these came for orders that were alive as well: sent twice, or a change that did not take.
    CodeClass.ASK: {
        110: "the price is not on the tick",
        320: "the request could not be read",
        321: "the request is not valid",
        322: "the request could not be handled",
        323: "the server failed",
        329: "the change is not possible",
        434: "the size is zero",
    },
    CodeClass.CANCELLED: {202: "cancelled"},
    CodeClass.NOT_CANCELLED: {
        161: "cannot be cancelled as it stands",
        10147: "the order to cancel is not there",
        10148: "the order to cancel is done",
    },
    CodeClass.WARNING: {
        165: "history service speaks",
        399: "a note about the order, such as: held until the exchange opens",
        404: "shares to borrow are looked for; the order is held",
        492: "the order is held",
        2102: "still being worked on; cannot be changed now",
        2109: "outside regular hours is ignored",
        2137: "crosses the position's side",
        2148: "the order is noted",
        10349: "time in force was set by a preset",
    },
    CodeClass.PACING: {
        100: "too many messages a second",
        420: "market data is asked for too often",
    },
    CodeClass.NO_DATA: {
        101: "too many market data lines",
        162: "no history, or asked for too often",
        300: "the market data line is not known",
        354: "no market data subscription",
        366: "the history request is not known",
        10089: "needs a further subscription",
        10090: "part of the data needs a subscription",
        10168: "no subscription, and delayed data is off",
        10182: "live bars ended",
        10186: "delayed data is off",
        10197: "another session uses the market data",
    },
    CodeClass.INFO: {
        2100: "account data was unsubscribed",
        2101: "account data could not be subscribed",
        2107: "history farm sleeps until asked",
        2108: "market data farm sleeps until asked",
        2119: "market data farm connects",
        2150: "position with the profit of a closed one",
        2168: "a note about an algorithm",
        2169: "a note about an algorithm",
        10167: "delayed data instead of live",
    },
}
CODES: Mapping[int, Code] = {
    number: Code(number, kind, meaning) for kind, rows in _TABLE.items() for number, meaning in rows.items()
}


def code_of(number: int) -> Code:
    """Return what a code means; all from 2100 to 2199 are notes, and what else is not listed is unknown."""
    if number in CODES:
        return CODES[number]
    if 2100 <= number < 2200:
        return Code(number, CodeClass.WARNING, "a note of the gateway")
    return Code(number, CodeClass.UNKNOWN, "not in the list")
