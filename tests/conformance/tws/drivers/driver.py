"""Runs one Python client for the suite: commands come in as JSON lines, decoded messages go out the same way.

``ib_async`` and both packages that call themselves ``ibapi`` share the names of their requests and callbacks; this file
only turns what they decoded into plain values. It runs in a process of its own, with the client's folder on its path.
"""

from __future__ import annotations

import json
import logging
import queue
import sys
import threading
import time
from typing import Any

WHICH = sys.argv[1]
EVENTS: queue.Queue[dict[str, Any]] = queue.Queue()
ENDS = (
    "positionEnd openOrderEnd completedOrdersEnd execDetailsEnd historicalDataEnd contractDetailsEnd accountSummaryEnd "
    "accountDownloadEnd tickSnapshotEnd nextValidId"
)


def tell(event: str, **values: Any) -> None:
    EVENTS.put({"event": event, **values})


class Complaints(logging.Handler):
    """What a client could not decode: two of them log it and go on."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}: {record.exc_info[1]!r}"
        if (
            record.exc_info
            or "handling fields" in text
            or "not enough" in text.lower()
            or "decod" in record.name.lower()
        ):
            tell("broken", text=text)


logging.getLogger().addHandler(Complaints(level=logging.ERROR))
threading.excepthook = lambda args: tell("broken", text=repr(args.exc_value))


class Recorder:
    """The callbacks, as all three clients name them."""

    def orderStatus(self, orderId, status, filled, remaining, avgFillPrice, permId, parentId, lastFillPrice, clientId,
                    whyHeld, mktCapPrice=0.0):  # fmt: skip
        tell("status", id=orderId, status=status, filled=float(filled), remaining=float(remaining),
             average=float(avgFillPrice), perm=permId, parent=parentId, client=clientId, why=whyHeld)  # fmt: skip

    def openOrder(self, orderId, contract, order, orderState):
        fee = getattr(orderState, "commission", None)
        fee = getattr(orderState, "commissionAndFees", fee)
        tell("open", id=orderId, symbol=contract.symbol, action=order.action, quantity=float(order.totalQuantity),
             type=order.orderType, limit=order.lmtPrice, stop=order.auxPrice, tif=order.tif, ref=order.orderRef,
             perm=order.permId, client=order.clientId, status=orderState.status, what_if=order.whatIf,
             margin=orderState.initMarginChange, fee=fee, parent=order.parentId, oca=order.ocaGroup)  # fmt: skip

    def completedOrder(self, contract, order, orderState):
        tell("completed", symbol=contract.symbol, action=order.action, quantity=float(order.totalQuantity),
             ref=order.orderRef, perm=order.permId, status=orderState.status, filled=float(order.filledQuantity),
             said=orderState.completedStatus, at=orderState.completedTime)  # fmt: skip

    def execDetails(self, reqId, contract, execution):
        tell("execution", request=reqId, symbol=contract.symbol, id=execution.orderId, exec=execution.execId,
             side=execution.side, shares=float(execution.shares), price=execution.price, perm=execution.permId,
             client=execution.clientId, cumulative=float(execution.cumQty), average=execution.avgPrice,
             ref=execution.orderRef, account=execution.acctNumber)  # fmt: skip

    def commissionReport(self, report):
        amount = getattr(report, "commission", None)
        tell("commission", exec=report.execId, amount=getattr(report, "commissionAndFees", amount))

    commissionAndFeesReport = commissionReport

    def error(self, reqId, *rest):
        code = rest[1] if WHICH == "nautilus" else rest[0]
        tell("error", id=reqId, code=code)

    def position(self, account, contract, position, avgCost):
        tell("position", symbol=contract.symbol, quantity=float(position), average=float(avgCost), account=account)

    def accountSummary(self, reqId, account, tag, value, currency):
        tell("summary", tag=tag, value=value)

    def updateAccountValue(self, tag, value, currency, account):
        tell("account", tag=tag, value=value)

    def updatePortfolio(self, contract, position, marketPrice, marketValue, averageCost, unrealizedPNL, realizedPNL,
                        accountName):  # fmt: skip
        tell("portfolio", symbol=contract.symbol, quantity=float(position), value=float(marketValue))

    def managedAccounts(self, accounts):
        tell("accounts", names=accounts)

    def contractDetails(self, reqId, details):
        tell("contract", id=reqId, con_id=details.contract.conId, symbol=details.contract.symbol, tick=details.minTick,
             primary=details.contract.primaryExchange)  # fmt: skip

    def historicalData(self, reqId, bar):
        tell("bar", id=reqId, date=str(bar.date), open=bar.open, high=bar.high, low=bar.low, close=bar.close,
             volume=float(bar.volume))  # fmt: skip

    def historicalDataUpdate(self, reqId, bar):
        tell("update", id=reqId, date=str(bar.date), open=bar.open, high=bar.high, low=bar.low, close=bar.close)

    def tickPrice(self, reqId, tickType, price, attrib):
        tell("tick", id=reqId, kind=int(tickType), price=price)

    def priceSizeTick(self, reqId, tickType, price, size):
        tell("tick", id=reqId, kind=tickType, price=price)

    def tickSize(self, reqId, tickType, size):
        tell("size", id=reqId, kind=int(tickType), size=float(size))

    def currentTime(self, value):
        tell("time", value=int(value))

    def pnl(self, reqId, dailyPnL, unrealizedPnL, realizedPnL):
        tell("profit", daily=dailyPnL, unrealized=unrealizedPnL, realized=realizedPnL)


def ending(name: str):
    def end(self: Any, *rest: Any) -> None:
        tell("end", name=name, id=rest[0] if rest and isinstance(rest[0], int) else 0)

    return end


for name in ENDS.split():
    setattr(Recorder, name, ending(name))

if WHICH == "ib_async":
    import asyncio

    import ib_async
    from ib_async import Contract, ExecutionFilter, Order

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    ib = ib_async.IB()
    ib.RequestTimeout = 10
    client: Any = ib.client
    recorder = Recorder()
    for name in [name for name in dir(Recorder) if not name.startswith("_")]:
        mine, theirs = getattr(recorder, name), getattr(ib.wrapper, name, None)

        def both(*rest: Any, mine: Any = mine, theirs: Any = theirs) -> None:
            mine(*rest)
            theirs(*rest)

        if theirs is not None:
            setattr(ib.wrapper, name, both)

    def connect(port: int, client_id: int) -> int:
        ib.connect("127.0.0.1", port, client_id, timeout=10, raiseSyncErrors=True)
        return client.serverVersion()

    def wait(seconds: float) -> None:
        ib.sleep(seconds)

else:
    from ibapi.client import EClient
    from ibapi.contract import Contract
    from ibapi.execution import ExecutionFilter
    from ibapi.order import Order
    from ibapi.wrapper import EWrapper

    class App(Recorder, EWrapper, EClient):
        def __init__(self) -> None:
            EWrapper.__init__(self)
            EClient.__init__(self, self)

    client = App()

    def connect(port: int, client_id: int) -> int:
        client.connect("127.0.0.1", port, client_id)
        threading.Thread(target=client.run, daemon=True).start()
        return client.serverVersion()

    def wait(seconds: float) -> None:
        time.sleep(seconds)


def cancelling() -> list[Any]:
    """What the newest client wants beside an order id."""
    if WHICH != "nautilus":
        return []
    from ibapi.order_cancel import OrderCancel

    return [OrderCancel()]


def stock(symbol: str) -> Any:
    contract = Contract()
    contract.symbol, contract.secType, contract.exchange, contract.currency = symbol, "STK", "SMART", "USD"
    return contract


def place(id: int, symbol: str = "AAPL", **terms: Any) -> None:
    order = Order()
    names = {"action": "action", "quantity": "totalQuantity", "type": "orderType", "limit": "lmtPrice", "tif": "tif",
             "stop": "auxPrice", "ref": "orderRef", "transmit": "transmit", "parent": "parentId", "oca": "ocaGroup",
             "oca_type": "ocaType", "what_if": "whatIf"}  # fmt: skip
    for word, value in ({"tif": "DAY"} | terms).items():
        if word == "quantity" and WHICH == "nautilus":
            from decimal import Decimal

            value = Decimal(value)
        setattr(order, names[word], value)
    if hasattr(order, "eTradeOnly"):
        order.eTradeOnly = order.firmQuoteOnly = False
    client.placeOrder(id, stock(symbol), order)


def expect(key: Any) -> None:
    """Make ib_async keep what it decodes for this request; the other two only call back."""
    if WHICH == "ib_async":
        ib.wrapper.startReq(key)


def ask_completed() -> None:
    expect("completedOrders")
    client.reqCompletedOrders(False)


def ask_contract(id: int, symbol: str) -> None:
    expect(id)
    client.reqContractDetails(id, stock(symbol))


COMMANDS = {
    "place": place,
    "cancel": lambda id: client.cancelOrder(id, *(cancelling() or ([""] if WHICH == "ib_async" else []))),
    "global_cancel": lambda: client.reqGlobalCancel(*cancelling()),
    "open_orders": lambda: client.reqOpenOrders(),
    "all_open_orders": lambda: client.reqAllOpenOrders(),
    "completed": ask_completed,
    "executions": lambda id: client.reqExecutions(id, ExecutionFilter()),
    "positions": lambda: client.reqPositions(),
    "summary": lambda id: client.reqAccountSummary(id, "All", "NetLiquidation,BuyingPower,TotalCashValue"),
    "account": lambda name: client.reqAccountUpdates(True, name),
    "contract": ask_contract,
    "history": lambda id, symbol, duration, size, keep=False: client.reqHistoricalData(
        id, stock(symbol), "", duration, size, "TRADES", 1, 1, keep, []
    ),
    "ticks": lambda id, symbol, snapshot=False: client.reqMktData(id, stock(symbol), "", snapshot, False, []),
    "profit": lambda id, name: client.reqPnL(id, name, ""),
    "time": lambda: client.reqCurrentTime(),
}


def collect(until: str, seconds: float) -> list[dict[str, Any]]:
    """Return the events up to one with this name, or all that come within the time."""
    found: list[dict[str, Any]] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        wait(0.01)
        while not EVENTS.empty():
            found.append(EVENTS.get())
            if until and until in (found[-1]["event"], found[-1].get("name")):
                return found
    return found


for line in sys.stdin:
    asked = json.loads(line)
    do = asked.pop("do")
    try:
        if do == "connect":
            answer: Any = connect(**asked)
        elif do == "collect":
            answer = collect(**asked)
        else:
            answer = COMMANDS[do](**asked)
            answer = None
    except Exception as error:  # the suite shows it
        tell("broken", text=f"{do}: {error!r}")
        answer = None
    print(json.dumps(answer, default=str), flush=True)
client.disconnect()
