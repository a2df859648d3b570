"""What a client may send, by number and name, and how its fields are read at each server version."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

KINDS = {
    1: "reqMktData", 2: "cancelMktData", 3: "placeOrder", 4: "cancelOrder", 5: "reqOpenOrders",
    6: "reqAccountUpdates", 7: "reqExecutions", 8: "reqIds", 9: "reqContractDetails", 15: "reqAutoOpenOrders",
    16: "reqAllOpenOrders", 17: "reqManagedAccts", 20: "reqHistoricalData", 25: "cancelHistoricalData",
    49: "reqCurrentTime", 58: "reqGlobalCancel", 59: "reqMarketDataType", 61: "reqPositions",
    62: "reqAccountSummary", 63: "cancelAccountSummary", 64: "cancelPositions", 71: "startApi",
    76: "reqAccountUpdatesMulti", 77: "cancelAccountUpdatesMulti", 87: "reqHeadTimeStamp", 90: "cancelHeadTimeStamp",
    91: "reqMarketRule", 92: "reqPnL", 93: "cancelPnL", 94: "reqPnLSingle", 95: "cancelPnLSingle",
    99: "reqCompletedOrders",
}  # fmt: skip
ORDER_KINDS = frozenset({"placeOrder", "cancelOrder", "reqGlobalCancel"})

CONTRACT = (
    "conId", "symbol", "secType", "lastTradeDate", "strike", "right", "multiplier", "exchange", "primaryExchange",
    "currency", "localSymbol", "tradingClass",
)  # fmt: skip
# The fields of placeOrder in their order, in parts.
PRICES = (
    "secIdType secId action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin orderRef "
    "transmit parentId blockOrder sweepToFill displaySize triggerMethod outsideRth hidden"
)
ADVISOR = "ignored discretionaryAmt goodAfterTime goodTillDate faGroup faMethod faPercentage"
TERMS = (
    "modelCode shortSaleSlot designatedLocation exemptCode ocaType rule80A settlingFirm allOrNone minQty percentOffset "
    "eTradeOnly firmQuoteOnly nbboPriceCap auctionStrategy startingPrice stockRefPrice delta stockRangeLower "
    "stockRangeUpper overridePercentageConstraints volatility volatilityType deltaNeutralOrderType deltaNeutralAuxPrice"
)
DELTA_NEUTRAL = (
    "deltaNeutralConId deltaNeutralSettlingFirm deltaNeutralClearingAccount deltaNeutralClearingIntent "
    "deltaNeutralOpenClose deltaNeutralShortSale deltaNeutralShortSaleSlot deltaNeutralDesignatedLocation"
)
TRAIL = (
    "continuousUpdate referencePriceType trailStopPrice trailingPercent scaleInitLevelSize scaleSubsLevelSize "
    "scalePriceIncrement"
)
SCALE = (
    "scalePriceAdjustValue scalePriceAdjustInterval scaleProfitOffset scaleAutoReset scaleInitPosition "
    "scaleInitFillQty scaleRandomPercent"
)
CLEARING = "optOutSmartRouting clearingAccount clearingIntent notHeld"
FLAGS = "algoId whatIf orderMiscOptions solicited randomizeSize randomizePrice"
LAST = (
    "adjustedOrderType triggerPrice lmtPriceOffset adjustedStopPrice adjustedStopLimitPrice adjustedTrailingAmount "
    "adjustableTrailingUnit extOperator softDollarName softDollarValue cashQty mifid2DecisionMaker mifid2DecisionAlgo "
    "mifid2ExecutionTrader mifid2ExecutionAlgo dontUseAutoPriceForHedge isOmsContainer discretionaryUpToLimitPrice "
    "usePriceMgmtAlgo"
)
SINCE = ((158, "duration"), (160, "postToAts"), (162, "autoCancelParent"), (166, "advancedErrorOverride"),
         (169, "manualOrderTime"))  # fmt: skip
UNSET = 1.7976931348623157e308


class Unreadable(ValueError):
    """A request's fields do not follow the protocol, or ask for what is not simulated; the code is the gateway's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Contract:
    """What a client asks for; only its symbol, kind, currency and contract id matter here."""

    con_id: int
    symbol: str
    sec_type: str
    exchange: str
    currency: str


@dataclass(frozen=True)
class OrderAsked:
    """One placeOrder: the terms the exchange works with, and every other field that was set, to be echoed."""

    contract: Contract
    action: str
    quantity: float
    type: str
    limit: float | None
    aux: float | None
    tif: str
    oca_group: str
    oca_type: int
    account: str
    ref: str
    transmit: bool
    parent_id: int
    outside_hours: bool
    what_if: bool
    fields: dict[str, str] = field(default_factory=dict)


def number(text: str) -> float | None:
    """Return a number that may be unset."""
    if text == "":
        return None
    value = float(text)
    return None if value == UNSET or not math.isfinite(value) else value


def read_contract(fields: Iterator[str]) -> Contract:
    """Read the twelve fields of a contract."""
    named = dict(zip(CONTRACT, fields, strict=False))
    if len(named) < len(CONTRACT):
        raise Unreadable(320, "Error reading request. The contract ends early.")
    return Contract(
        con_id=int(named["conId"] or 0),
        symbol=named["symbol"],
        sec_type=named["secType"],
        exchange=named["exchange"],
        currency=named["currency"],
    )


def read_order(fields: Sequence[str], version: int) -> OrderAsked:
    """Read a placeOrder from the field after the order id on."""
    rest = iter(fields)
    contract = read_contract(rest)
    if contract.sec_type not in ("STK", ""):
        raise Unreadable(
            200, f"No security definition has been found for the request: {contract.sec_type or 'no type'}"
        )
    named: dict[str, str] = {}

    def take(names: str) -> None:
        for name in names.split():
            named[name] = next(rest)

    try:
        take(PRICES)
        take(ADVISOR)
        if version < 177:
            take("faProfile")
        take(TERMS)
        if named["deltaNeutralOrderType"]:
            take(DELTA_NEUTRAL)
        take(TRAIL)
        if (number(named["scalePriceIncrement"]) or 0.0) > 0.0:
            take(SCALE)
        take("scaleTable activeStartTime activeStopTime hedgeType")
        if named["hedgeType"]:
            take("hedgeParam")
        take(CLEARING)
        if int(next(rest) or 0):
            raise Unreadable(321, "Error validating request: delta-neutral contracts are not simulated.")
        take("algoStrategy")
        if named["algoStrategy"]:
            raise Unreadable(387, "Unsupported order type: algorithms are not simulated.")
        take(FLAGS)
        if int(next(rest) or 0):
            raise Unreadable(321, "Error validating request: conditions are not simulated.")
        take(LAST)
        take(" ".join(name for since, name in SINCE if version >= since))
        return asked_of(contract, named)
    except StopIteration:
        raise Unreadable(320, f"Error reading request. The order ends after {len(named)} fields.") from None
    except ValueError as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(320, f"Error reading request. Unable to parse field: {error}") from None


def asked_of(contract: Contract, named: dict[str, str]) -> OrderAsked:
    """Return the order that the named fields describe."""
    return OrderAsked(
        contract=contract,
        action=named["action"],
        quantity=number(named["totalQuantity"]) or 0.0,
        type=named["orderType"],
        limit=number(named["lmtPrice"]),
        aux=number(named["auxPrice"]),
        tif=named["tif"] or "DAY",
        oca_group=named["ocaGroup"],
        oca_type=int(named["ocaType"] or 0),
        account=named["account"],
        ref=named["orderRef"],
        transmit=flag(named["transmit"]),
        parent_id=int(named["parentId"] or 0),
        outside_hours=flag(named["outsideRth"]),
        what_if=flag(named["whatIf"]),
        fields={name: value for name, value in named.items() if value not in ("", "0")},
    )


def flag(text: str) -> bool:
    """Return a boolean field; clients write 1, true or True."""
    return text.lower() in ("1", "true")
