"""ib_async's client with our ears: raw messages go to a listener before the library draws its own conclusions.

ib_async still speaks the protocol and matches answers to requests. What it would do with an order's state is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ib_async import IB, CommissionReport, Contract, Execution, OrderState
from ib_async import Order as WireOrder
from ib_async.client import Client
from ib_async.decoder import Decoder
from ib_async.objects import Fill as WireFill
from ib_async.wrapper import RequestError, Wrapper

from workbench.errors import DataRefused
from workbench.live.codes import CodeClass, code_of
from workbench.live.ib.translation import amount

# Requests and orders share one number range at the broker: an error names only the number. Ours never meet. Orders have
# nearly all of it: another program may have numbered its orders by seconds since 1970, and a client goes on from there.
FIRST_REQUEST = 0x7F000000
# Beyond it no order is begun; what is left is for the brackets and closing orders that are begun there.
LAST_ORDER = FIRST_REQUEST - 1000
# Messages that are parts of answers, by the question's name or by the number that stands in them.
ALONE = {"5": "openOrders", "61": "positions", "101": "completedOrders"}
NUMBERED = ("10", "11")
logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is told what the broker says."""

    def opened(self, contract: Contract, order: WireOrder, status: str) -> None:
        """An openOrder came."""

    def moved(
        self, order_id: int, status: str, filled: float, average: float, permanent_id: int, client_id: int
    ) -> None:
        """An orderStatus came."""

    def completed(self, contract: Contract, order: WireOrder, status: str) -> None:
        """A completedOrder came."""

    def executed(self, contract: Contract, execution: Execution, live: bool) -> None:
        """An execution came: by itself, or in answer to a request."""

    def paid(self, execution_id: str, commission: float) -> None:
        """A commission report came."""

    def ticked(self, request: int, kind: int, value: float) -> None:
        """A price came."""

    def sized(self, request: int, kind: int, size: float) -> None:
        """The shares at a price came."""

    def stamped(self, request: int, seconds: int) -> None:
        """The time of the last trade came."""

    def summed(self, request: int, account: str, tag: str, value: str, currency: str) -> None:
        """One value of an account came."""

    def numbered(self, order_id: int) -> None:
        """The next order id came."""

    def doubted(self, text: str) -> None:
        """Something about an order came that cannot be read."""

    def told(self, request: int, number: int, text: str) -> None:
        """An error or notice came that no request waits for."""


class StrictDecoder(Decoder):
    """A decoder that tells of what it cannot read, where ib_async's logs it and leaves it out of the answer."""

    def interpret(self, fields: list[str]) -> None:
        try:
            self.handlers[int(fields[0])](fields)
        except Exception as error:  # noqa: BLE001 (whatever a damaged message leads to)
            wire: Any = self.wrapper
            wire.damaged(fields, error)

    def wrap(self, methodName: str, types: Sequence[type], skip: int = 2) -> Callable[[list[str]], None]:
        """Return what ib_async's own does, which hides what goes wrong."""

        def handler(fields: list[str]) -> None:
            method = getattr(self.wrapper, methodName, None)
            told = zip(types, fields[skip:], strict=False)
            if method is not None:
                method(*[field if kind is str else _NUMBERS[kind](field or 0) for kind, field in told])

        return handler


_NUMBERS: Mapping[type, Callable[[str | int], object]] = {int: int, float: float, bool: lambda field: bool(int(field))}


class Wire(Wrapper):
    """Hears every message. Orders, executions, ticks and errors go to the listener alone."""

    def __init__(self, ib: IB, listener: Listener) -> None:
        super().__init__(ib)
        self.listener = listener
        self._end: Any = self._endReq
        self._spoiled: dict[object, DataRefused] = {}  # requests of which a part of the answer could not be read

    def startReq(self, key: Any, contract: Any = None, container: Any = None) -> Any:
        self._spoiled.pop(key, None)
        start: Any = super().startReq
        return start(key, contract, container)

    def _endReq(self, key: Any, result: Any = None, success: bool = True) -> None:
        spoiled = self._spoiled.pop(key, None)
        end: Any = super()._endReq
        if spoiled is not None and success:
            end(key, spoiled, False)
        else:
            end(key, result, success)

    def damaged(self, fields: list[str], error: Exception) -> None:
        """Take a message that cannot be read: its answer is none, and what came unasked is a reason to ask."""
        kind = fields[0] if fields else ""
        text = f"message {kind or 'without a kind'} of the broker cannot be read ({error}); ask again"
        logger.warning("%s: %s", text, ",".join(fields)[:400])
        numbers = [int(one) for one in fields[1:3] if one.isdigit()] if kind in NUMBERED else []
        key = next((one for one in [ALONE.get(kind), *numbers] if one in self._futures), None)
        if key is not None:
            self._spoiled[key] = DataRefused(text)
        elif kind in ("3", "5", "11"):
            self.listener.doubted(text)

    def nextValidId(self, reqId: int) -> None:
        self.listener.numbered(reqId)

    def openOrder(self, orderId: int, contract: Contract, order: WireOrder, orderState: OrderState) -> None:
        if order.whatIf:
            if amount(orderState.initMarginChange) is not None:
                self._end(orderId, orderState)
            return
        self.listener.opened(contract, order, orderState.status)
        results = self._results.get("openOrders")
        if results is not None:
            results.append((order.permId, orderState.status))

    def orderStatus(
        self,
        orderId: int,
        status: str,
        filled: float,
        remaining: float,
        avgFillPrice: float,
        permId: int,
        parentId: int,
        lastFillPrice: float,
        clientId: int,
        whyHeld: str,
        mktCapPrice: float = 0.0,
    ) -> None:
        self.listener.moved(orderId, status, filled, avgFillPrice, permId, clientId)

    def completedOrder(self, contract: Contract, order: WireOrder, orderState: OrderState) -> None:
        self.listener.completed(contract, order, orderState.status)
        results = self._results.get("completedOrders")
        if results is not None:
            results.append(order.permId)

    def execDetails(self, reqId: int, contract: Contract, execution: Execution) -> None:
        asked = reqId in self._futures
        if asked:  # even where it is refused below: what was said is then an error, not an empty list
            self._results[reqId].append(WireFill(contract, execution, CommissionReport(), execution.time))
        else:
            self.listener.executed(contract, execution, live=True)

    def commissionReport(self, commissionReport: CommissionReport) -> None:
        self.listener.paid(commissionReport.execId, commissionReport.commission)

    def accountSummary(self, _reqId: int, account: str, tag: str, value: str, currency: str) -> None:
        self.listener.summed(_reqId, account, tag, value, currency)

    def priceSizeTick(self, reqId: int, tickType: int, price: float, size: float) -> None:
        self.listener.ticked(reqId, tickType, price)

    def tickSize(self, reqId: int, tickType: int, size: float) -> None:
        self.listener.sized(reqId, tickType, size)

    def tickString(self, reqId: int, tickType: int, value: str) -> None:
        if tickType in (45, 88) and value.isdigit():
            self.listener.stamped(reqId, int(value))

    def tickGeneric(self, reqId: int, tickType: int, value: float) -> None:
        """Generic ticks are not used."""

    def error(self, reqId: int, errorCode: int, errorString: str, advancedOrderRejectJson: str) -> None:
        code = code_of(errorCode)
        usual = code.kind in (CodeClass.INFO, CodeClass.DATA_BACK, CodeClass.CANCELLED)
        level = logging.INFO if usual else logging.WARNING
        logger.log(level, "gateway: %s %s (%s) for %s: %s", code.kind, errorCode, code.meaning, reqId, errorString)
        quiet = (CodeClass.WARNING, CodeClass.INFO, CodeClass.DATA_LOST, CodeClass.DATA_BACK)
        if reqId != -1 and reqId in self._futures and code.kind not in quiet:
            self._end(reqId, RequestError(reqId, errorCode, errorString), success=False)
            return
        self.listener.told(reqId, errorCode, errorString)


class Gateway(IB):
    """``IB`` whose defaults hide nothing: errors are raised, and no wait is for ever."""

    RaiseRequestErrors = True

    def __init__(self, listener: Listener, seconds: float) -> None:
        super().__init__()
        self.RequestTimeout = seconds
        self.wrapper: Any = Wire(self, listener)
        client: Any = Client  # not typed there
        self.client = client(self.wrapper)
        self.client.decoder = StrictDecoder(self.wrapper, 0)
        self.client.apiEnd += self.disconnectedEvent

    def __del__(self) -> None:
        """Nothing: the connection closes its socket itself, and not from whichever thread collects garbage."""
