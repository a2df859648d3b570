"""What the gateway sends: the fields of every message at each server version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.tws.hours import NEW_YORK, stamp
from workbench.tws.market import Instrument
from workbench.tws.order import MARKET, Execution, Holding, Order

Fields = list[object]
KINDS = {
    1: "tickPrice", 2: "tickSize", 3: "orderStatus", 4: "error", 5: "openOrder", 6: "updateAccountValue",
    7: "updatePortfolio", 8: "updateAccountTime", 9: "nextValidId", 10: "contractDetails", 11: "execDetails",
    15: "managedAccounts", 17: "historicalData", 45: "tickGeneric", 46: "tickString", 49: "currentTime",
    52: "contractDetailsEnd", 53: "openOrderEnd", 54: "accountDownloadEnd", 55: "execDetailsEnd",
    57: "tickSnapshotEnd", 58: "marketDataType", 59: "commissionReport", 61: "position", 62: "positionEnd",
    63: "accountSummary", 64: "accountSummaryEnd", 73: "accountUpdateMulti", 74: "accountUpdateMultiEnd",
    81: "tickReqParams", 88: "headTimestamp", 90: "historicalDataUpdate", 93: "marketRule", 94: "pnl",
    95: "pnlSingle", 101: "completedOrder", 102: "completedOrdersEnd",
}  # fmt: skip
UNSET = "1.7976931348623157E308"

# The parts of openOrder and completedOrder; a name with a value is sent so, a bare one is the client's own field or "".
ECHO_TERMS = "percentOffset settlingFirm shortSaleSlot=0 designatedLocation exemptCode=-1"
RANGE = "startingPrice stockRefPrice delta stockRangeLower stockRangeUpper displaySize"
NEUTRAL = "deltaNeutralConId=0 - - - deltaNeutralOpenClose=? shortSale=0 deltaNeutralShortSaleSlot=0 -"
NEUTRAL_DONE = "deltaNeutralConId=0 shortSale=0 deltaNeutralShortSaleSlot=0 -"
SCALE = "scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement"
ADJUSTED = (
    "adjustedOrderType triggerPrice trailStopPrice lmtPriceOffset adjustedStopPrice adjustedStopLimitPrice "
    "adjustedTrailingAmount adjustableTrailingUnit=0 softDollarName softDollarValue softDollarDisplay cashQty=0 "
    "dontUseAutoPriceForHedge=0 isOmsContainer=0 discretionaryUpToLimitPrice=0 usePriceMgmtAlgo=0"
)
PEG = "minTradeQty minCompeteSize competeAgainstBestOffset midOffsetAtWhole midOffsetAtHalf"


@dataclass(frozen=True)
class Bar:
    """One bar of history."""

    at: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    average: float
    count: int


def named(order: Order, names: str) -> Fields:
    """Return the client's own fields by name, with what the gateway sends where one was not set."""
    found: Fields = []
    for word in names.split():
        name, _, default = word.partition("=")
        found.append(order.fields.get(name, default))
    return found


def contract(symbol: str, con_id: int) -> Fields:
    """Return the eleven fields of a stock."""
    return [con_id, symbol, "STK", "", 0, "?", "", "SMART", "USD", symbol, symbol]


def terms(order: Order) -> Fields:
    """Return the fields from action to orderRef."""
    price = order.limit if order.limit is not None else 0.0
    aux = order.aux if order.aux is not None else 0.0
    return [
        order.action, order.quantity, order.type, "" if order.type == MARKET else price,
        "" if order.type == MARKET else aux, order.tif, order.oca_group, order.account,
        *named(order, "openClose origin=0"), order.ref,
    ]  # fmt: skip


def advisor(order: Order, version: int) -> Fields:
    """Return the fields of financial advisors."""
    return named(order, "faGroup faMethod faPercentage" + (" faProfile" if version < 177 else ""))


def open_order(order: Order, version: int, margins: Sequence[object] = (), fee: float | None = None) -> Fields:
    """Return openOrder; with margins it is the answer to a what-if."""
    fields: Fields = [5, order.order_id, *contract(order.symbol, order.con_id), *terms(order)]
    fields += [order.client_id, order.perm_id, *named(order, "outsideRth=0 hidden=0 discretionaryAmt=0 goodAfterTime")]
    fields += ["", *advisor(order, version)]
    fields += named(order, f"modelCode goodTillDate rule80A {ECHO_TERMS} auctionStrategy=0 {RANGE}")
    fields += named(order, "blockOrder=0 sweepToFill=0 allOrNone=0 minQty")
    fields += [order.oca_type, *named(order, "eTradeOnly=0 firmQuoteOnly=0 nbboPriceCap"), order.parent_id]
    fields += named(order, "triggerMethod=0 volatility volatilityType=0")
    fields += ["None", 0, *named(order, NEUTRAL), *named(order, "continuousUpdate=0 referencePriceType=0")]
    fields += named(order, "trailStopPrice trailingPercent basisPoints basisPointsType comboLegsDescrip")
    fields += [
        0,
        0,
        0,
        *named(order, SCALE),
        "",
        *named(order, "optOutSmartRouting=0 clearingAccount clearingIntent=IB"),
    ]
    fields += [*named(order, "notHeld=0"), 0, "", *named(order, "solicited=0"), bool(margins), order.status]
    fields += list(margins) if margins else [UNSET] * 9
    fields += [fee, "", "", "USD" if margins else "", "", *named(order, "randomizeSize=0 randomizePrice=0"), 0]
    fields += named(order, ADJUSTED)
    if version >= 159:
        fields += named(order, "duration")
    if version >= 160:
        fields += named(order, "postToAts")
    if version >= 162:
        fields += named(order, "autoCancelParent=0")
    if version >= 170:
        fields += named(order, PEG)
    return fields


def completed_order(order: Order, version: int) -> Fields:
    """Return completedOrder: it has neither an order id nor a client id."""
    fields: Fields = [101, *contract(order.symbol, order.con_id), *terms(order), order.perm_id]
    fields += named(order, "outsideRth=0 hidden=0 discretionaryAmt=0 goodAfterTime")
    fields += advisor(order, version)
    fields += named(order, f"modelCode goodTillDate rule80A {ECHO_TERMS} {RANGE} sweepToFill=0 allOrNone=0 minQty")
    fields += [order.oca_type, *named(order, "triggerMethod=0 volatility volatilityType=0"), "None", 0]
    fields += named(order, f"{NEUTRAL_DONE} continuousUpdate=0 referencePriceType=0 trailStopPrice trailingPercent -")
    fields += [0, 0, 0, *named(order, SCALE), "", *named(order, "clearingAccount clearingIntent=IB notHeld=0"), 0, ""]
    fields += [*named(order, "solicited=0"), order.status, *named(order, "randomizeSize=0 randomizePrice=0"), 0]
    fields += named(order, "trailStopPrice lmtPriceOffset cashQty=0 dontUseAutoPriceForHedge=0 isOmsContainer=0")
    said = f"Filled Size: {order.filled}" if order.status == "Filled" else f"{order.status} by Trader"
    fields += ["", order.filled, 0, False, "", False, False, order.parent_perm, stamp(order.done), said]
    return fields + (named(order, PEG) if version >= 170 else [])


def order_status(order: Order) -> Fields:
    """Return where an order stands."""
    return [
        3, order.order_id, order.status, order.filled, order.remaining, order.average, order.perm_id,
        order.parent_id, order.last_price, order.client_id, order.why_held, 0,
    ]  # fmt: skip


def execution(found: Execution, version: int, request: int = -1) -> Fields:
    """Return an execution: live, or in answer to a request."""
    fields: Fields = [11, request, found.order_id, *contract(found.symbol, found.con_id), found.exec_id]
    fields += [stamp(found.at), found.account, "NASDAQ", found.side, found.shares, found.price, found.perm_id]
    fields += [found.client_id, 0, found.cumulative, found.average, found.ref, "", "", "", found.liquidity]
    return [*fields, False] if version >= 178 else fields


def commission_report(found: Execution) -> Fields:
    """Return the commission of an execution."""
    realized = UNSET if found.realized is None else found.realized
    return [59, 1, found.exec_id, found.commission, "USD", realized, UNSET, ""]


def error(request: int, code: int, text: str, version: int, advanced: str = "") -> Fields:
    """Return an error or notice; other lengths are dropped by some clients."""
    return [4, 2, request, code, text, *([advanced] if version >= 166 else [])]


def contract_details(request: int, found: Instrument, version: int, sessions: str, name: str = "") -> Fields:
    """Return what is known of a stock."""
    fields: Fields = [10, *([8] if version < 164 else []), request, found.symbol, "STK", "", 0, "", found.exchange]
    fields += [found.currency, found.symbol, "NMS", "NMS", found.con_id, found.tick]
    fields += [100] if version < 164 else []
    fields += ["", "ACTIVETIM,DAY,GTC,IOC,LMT,MKT,STP,STPLMT,WHATIF", "SMART,NASDAQ,NYSE", 1, 0, name or found.symbol]
    fields += [found.primary, "", "", "", "", NEW_YORK, sessions, sessions, "", "", 0, 1, "", "", "26", "", "COMMON"]
    return fields + ([1, 1, 100] if version >= 164 else [1] if version == 163 else [])


def position(account: str, held: Holding, con_id: int) -> Fields:
    """Return one position of an account."""
    where = contract(held.symbol, con_id)
    where[7] = "NASDAQ"
    return [61, 3, account, *where, held.quantity, held.average]


def portfolio(account: str, held: Holding, con_id: int, mark: float) -> Fields:
    """Return one position with its value."""
    where = [con_id, held.symbol, "STK", "", 0, "0", "", "NASDAQ", "USD", held.symbol, "NMS"]
    value = held.quantity * mark
    gain = held.quantity * (mark - held.average)
    return [7, 8, *where, held.quantity, mark, value, held.average, gain, held.realized, account]


def date_of(bar: Bar, daily: bool, style: int) -> object:
    """Return a bar's date as the request wants it: text, or seconds since 1970."""
    if daily:
        return stamp(bar.at)[:8]
    return bar.at if style == 2 else stamp(bar.at)


def history(request: int, start: float, end: float, bars: Iterable[Bar], daily: bool, style: int) -> Fields:
    """Return bars in one message."""
    rows = [[date_of(b, daily, style), b.open, b.high, b.low, b.close, b.volume, b.average, b.count] for b in bars]
    return [17, request, stamp(start), stamp(end), len(rows), *(value for row in rows for value in row)]


def history_update(request: int, bar: Bar, daily: bool, style: int) -> Fields:
    """Return the newest bar as it grows; the close stands before the high here."""
    prices = [bar.open, bar.close, bar.high, bar.low]
    return [90, request, bar.count, date_of(bar, daily, style), *prices, bar.average, bar.volume]
