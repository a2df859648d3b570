"""Our words for the broker's and back: contracts, orders, states, numbers. Pure: it knows no connection."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from ib_async import Contract, ContractDetails, Execution, OrderState, Stock
from ib_async import Order as WireOrder
from ib_async import Position as WirePosition

from workbench.errors import DataRefused, InputRefused, OrderRejected
from workbench.orders import round_to_tick
from workbench.trading import Account, Fill, Instrument, Margin, Order, OrderStatus, OrderType, Position, Side

MOST_MONEY = 1e15  # the broker sends 1.8e308 for a number that is not set
MOST_PRICE = 1e7
CURRENCY = "USD"
NO_CONTRACT = 200

WIRE_TYPES = {
    OrderType.MARKET: "MKT",
    OrderType.LIMIT: "LMT",
    OrderType.STOP: "STP",
    OrderType.STOP_LIMIT: "STP LMT",
}
# Types that others use on the account; what is not listed may fill at any price and counts as a market order.
_TYPES = {wire: own for own, wire in WIRE_TYPES.items()} | {"LOC": OrderType.LIMIT, "TRAIL": OrderType.STOP}
_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL, "SSHORT": Side.SELL, "SLONG": Side.SELL}
STATUSES = {
    "ApiPending": OrderStatus.ACCEPTED,
    "PendingSubmit": OrderStatus.ACCEPTED,
    "PreSubmitted": OrderStatus.ACCEPTED,
    "Submitted": OrderStatus.WORKING,
    "PendingCancel": OrderStatus.WORKING,  # it may still fill
    "ApiCancelled": OrderStatus.CANCELLED,
    "Cancelled": OrderStatus.CANCELLED,
    "Filled": OrderStatus.FILLED,
    "Inactive": OrderStatus.REJECTED,
}
ACCOUNT_TAGS = ("NetLiquidation", "TotalCashValue", "BuyingPower", "InitMarginReq", "MaintMarginReq")
TIFS = ("DAY", "GTC", "IOC")


def status_of(word: str) -> OrderStatus:
    """Return our status; a word that is not known counts as open, the careful way."""
    return STATUSES.get(word, OrderStatus.ACCEPTED)


def amount(value: object) -> float | None:
    """Return a number, or None where the broker has none.

    >>> amount("12.5"), amount("1.7976931348623157E308"), amount(""), amount("nan")
    (12.5, None, None, None)
    """
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) < MOST_MONEY else None


def price(value: float) -> float | None:
    """Return a price that can be one: the broker sends -1 for none, and 0, NaN and inf were seen as well.

    >>> price(101.25), price(-1.0), price(0.0), price(float("nan")), price(float("inf")), price(1e308)
    (101.25, None, None, None, None, None)
    """
    return value if 0.0 < value < MOST_PRICE else None


def moment(at: datetime) -> datetime:
    """Return a time in UTC; one without a zone is refused, for it could be any hour."""
    if at.tzinfo is None:
        raise DataRefused(f"time {at} of the broker has no time zone; let the gateway send times with their zone")
    return at.astimezone(UTC)


def stock(symbol: str) -> Contract:
    """Return the contract to ask for: a share class is written ``BRK.B`` here and ``BRK B`` there."""
    return Stock(symbol.replace(".", " "), "SMART", CURRENCY)


def symbol_of(contract: Contract) -> str:
    """Return the symbol; what is no US stock gets its kind and currency, so that it is never taken for one.

    >>> symbol_of(Stock("BRK B", "SMART", "USD"))
    'BRK.B'
    >>> symbol_of(Contract(secType="OPT", symbol="SPY", localSymbol="SPY   261218C00600000", currency="USD"))
    'SPY 261218C00600000 OPT USD'
    """
    if contract.secType in ("STK", "") and contract.currency in (CURRENCY, ""):
        return str(contract.symbol.replace(" ", "."))
    return " ".join(f"{contract.localSymbol or contract.symbol} {contract.secType} {contract.currency}".split())


def instrument_of(symbol: str, found: Sequence[ContractDetails]) -> tuple[Instrument, Contract]:
    """Return the one contract that a symbol means; none and several are refused."""
    wanted = stock(symbol)
    fits = {
        details.contract.conId: details
        for details in found
        if details.contract is not None
        and (details.contract.symbol, details.contract.secType, details.contract.currency)
        == (wanted.symbol, "STK", CURRENCY)
        and details.contract.conId > 0
    }
    if not fits:
        text = f"{symbol}: the broker knows no {CURRENCY} stock of this name; take it out of the universe"
        raise OrderRejected(text, NO_CONTRACT)
    if len(fits) > 1:
        text = f"{symbol}: {len(fits)} contracts fit ({', '.join(map(str, fits))}); which is meant is not guessed"
        raise OrderRejected(text, NO_CONTRACT)
    ((contract_id, details),) = fits.items()
    tick = details.minTick
    if not (math.isfinite(tick) and 0 < tick < 1e3):
        raise DataRefused(f"{symbol}: tick size {tick!r} of the broker; it must be above 0, ask again later")
    assert details.contract is not None
    primary = details.contract.primaryExchange
    contract = Contract(conId=contract_id, symbol=wanted.symbol, secType="STK", exchange="SMART", currency=CURRENCY)
    contract.primaryExchange = primary
    return Instrument(symbol, contract_id, "SMART", primary, CURRENCY, tick), contract


def wire_order(order: Order, tick: float, account: str, *, transmit: bool = True, parent_id: int = 0) -> WireOrder:
    """Return the order as it is sent: whole shares, prices on the tick, time in force and account always named."""
    if isinstance(order.quantity, bool) or not isinstance(order.quantity, int) or order.quantity < 1:
        raise InputRefused(f"order {order.key}: quantity {order.quantity!r}; it must be a whole number from 1")
    if order.tif not in TIFS:
        raise InputRefused(f"order {order.key}: time in force '{order.tif}'; known are {', '.join(TIFS)}")
    if len(order.key) > 32 or not order.key.isascii():
        raise InputRefused(f"order key '{order.key}': at most 32 plain characters name an order for ever")
    wire = WireOrder(
        action=order.side.value,
        totalQuantity=order.quantity,
        orderType=WIRE_TYPES[order.type],
        tif=order.tif,
        account=account,
        orderRef=order.key,
        transmit=transmit,
        parentId=parent_id,
    )
    if order.type in (OrderType.LIMIT, OrderType.STOP_LIMIT):
        wire.lmtPrice = on_tick(order, "limit", order.limit, tick)
    if order.type in (OrderType.STOP, OrderType.STOP_LIMIT):
        wire.auxPrice = on_tick(order, "stop", order.stop, tick)
    if order.oca:
        wire.ocaGroup, wire.ocaType = order.oca, 1
    return wire


def on_tick(order: Order, name: str, value: float | None, tick: float) -> float:
    """Return a price on the tick: a limit is never worse for us, a stop never later than asked."""
    if value is None or price(value) is None:
        raise InputRefused(f"order {order.key}: {name} {value!r} for a {order.type} order; give a price above 0")
    return round_to_tick(value, tick, order.side)


def own_order(wire: WireOrder, contract: Contract, parent: str = "") -> Order:
    """Return an order of the broker in our words; whole shares, the next larger where others trade fractions."""
    kind = _TYPES.get(wire.orderType, OrderType.MARKET)
    return Order(
        key=wire.orderRef,
        symbol=symbol_of(contract),
        side=_SIDES[wire.action],
        quantity=math.ceil(float(wire.totalQuantity)),
        type=kind,
        limit=price(float(wire.lmtPrice or 0.0)) if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None,
        stop=price(float(wire.auxPrice or 0.0)) if kind in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
        tif=wire.tif,
        parent=parent,
        oca=wire.ocaGroup,
    )


def fill_of(contract: Contract, execution: Execution, key: str, commission: float | None) -> Fill:
    """Return an execution in our words; ``0000e0d5.1234.01.02`` is the second revision of ``0000e0d5.1234.01``.

    A correction to no shares, at whatever price, is a bust: the exchange took the trade back.
    """
    root, dot, last = execution.execId.rpartition(".")
    if not dot or not last.isdigit():
        raise DataRefused(f"execution '{execution.execId}': its id has no revision; the message is damaged")
    shares, paid = float(execution.shares), price(float(execution.price))
    if busted := shares == 0 and int(last) > 1:
        paid = paid or 0.0
    if not (busted or (shares > 0 and shares % 1 == 0)) or paid is None or execution.side not in ("BOT", "SLD"):
        raise DataRefused(
            f"execution {execution.execId}: {execution.side} {execution.shares:g} at {execution.price!r}; whole shares "
            f"at a price above 0 are expected"
        )
    return Fill(
        id=root,
        revision=int(last),
        key=key,
        symbol=symbol_of(contract),
        side=Side.BUY if execution.side == "BOT" else Side.SELL,
        quantity=int(shares),
        price=paid,
        at=moment(execution.time),
        account=execution.acctNumber,
        order_id=execution.orderId,
        permanent_id=execution.permId,
        commission=commission,
    )


def margin_of(order: Order, state: OrderState) -> Margin:
    """Return what a what-if says; a margin that is not there is no answer."""
    values = [amount(one) for one in (state.initMarginChange, state.maintMarginChange, state.equityWithLoanAfter)]
    if values[0] is None or values[1] is None or values[2] is None:
        raise DataRefused(f"what-if of {order.key}: the broker gave no margins; ask again")
    return Margin(values[0], values[1], values[2], amount(state.commission))


def account_of(name: str, values: Mapping[str, tuple[str, str]], at: datetime) -> Account:
    """Return what an account is worth, from values with their currency by tag; one that is missing is never zero."""
    found: list[float] = []
    for tag in ACCOUNT_TAGS:
        text, currency = values.get(tag, ("", ""))
        number = amount(text)
        if number is None:
            raise DataRefused(f"account {name}: {tag} is '{text}'; ask again, or look at the gateway")
        if currency != CURRENCY:
            raise DataRefused(
                f"account {name}: {tag} is in '{currency}', prices are in {CURRENCY}; trade an account whose base "
                f"currency is {CURRENCY}"
            )
        found.append(number)
    equity, cash, power, initial, maintenance = found
    return Account(name, CURRENCY, equity, cash, power, initial, maintenance, at)


def position_of(wire: WirePosition) -> Position:
    """Return what is held of one contract: whole shares, and what is beyond them or cannot be read.

    It refuses nothing: one odd position of somebody else must not hide all others from the emergency stop.
    """
    size, cost = amount(wire.position), amount(wire.avgCost)
    size = math.nan if size is None else round(size, 6)
    whole = int(size) if math.isfinite(size) else 0
    part = round(size - whole, 6)
    return Position(symbol_of(wire.contract), whole, math.nan if cost is None else cost, wire.contract.conId, part)


def require_paper(mode: str, wanted: str, accounts: Iterable[str]) -> str:
    """Return the account to trade, or refuse: real money needs mode ``live`` and the very account id."""
    accounts = tuple(accounts)
    told = ", ".join(accounts) or "none"
    if mode == "paper":
        real = [one for one in accounts if not one.startswith("DU")]
        if real:
            raise InputRefused(
                f"live.mode paper: the login manages {told}; paper accounts begin with DU. Log in to the paper "
                f"account, or ask for real money: live.mode live and live.account {real[0]}"
            )
    elif mode != "live" or not wanted or wanted.startswith("DU"):
        raise InputRefused(
            f"live.mode {mode} with live.account '{wanted}': real money needs mode live and the very account id"
        )
    if wanted and wanted not in accounts:
        raise InputRefused(f"live.account {wanted}: the login manages {told}; correct the id or log in to the other")
    if not wanted and len(accounts) != 1:
        raise InputRefused(f"live.account is empty and the login manages {told}; name one")
    return wanted or accounts[0]
