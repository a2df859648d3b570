"""The order desk: what is accepted, in which order ids, and what becomes of modifications, brackets and cancels."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.tws.account import Margins, commission
from workbench.tws.exchange import Exchange
from workbench.tws.market import Instrument
from workbench.tws.order import FILLED, INACTIVE, LIMIT, PENDING, PRESUBMITTED, STAGED, STOP_LIMIT, TYPES, Order
from workbench.tws.requests import OrderAsked, Unreadable

TIFS = ("DAY", "GTC", "IOC")
UNKNOWN = "No security definition has been found for the request"


@dataclass(frozen=True)
class Preview:
    """What an order would change, without sending it."""

    order: Order
    before: Margins
    after: Margins
    fee: float


class Desk:
    """Takes orders from clients, hands them to the exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.store = exchange.store
        self.next_ids = self.store.next_ids()
        self.by_id: dict[tuple[int, int], Order] = {}
        for order in exchange.orders.values():
            if order.order_id:  # a trade by hand has none
                self.by_id[order.client_id, order.order_id] = order
        self.splitting = False  # a fault: a modification leaves the old order alive beside the new one

    def next_id(self, client_id: int) -> int:
        """Return the order id a client may use next."""
        return self.next_ids.get(client_id, 1)

    def use_id(self, client_id: int, following: int) -> None:
        """Set the next order id of a client."""
        self.next_ids[client_id] = following
        self.store.save_next_id(client_id, following)

    def place(self, client_id: int, order_id: int, asked: OrderAsked) -> Preview | None:
        """Take a placeOrder: new, a modification, or only a what-if."""
        instrument = self.check(asked)
        if asked.what_if:
            return self.preview(self.make(client_id, order_id, asked, instrument, perm_id=0))
        known = self.by_id.get((client_id, order_id))
        if known is not None:
            self.modify(known, asked, instrument)
            return None
        if order_id < self.next_id(client_id):
            raise Unreadable(103, "Duplicate order id")
        parent = self.by_id.get((client_id, asked.parent_id)) if asked.parent_id else None
        if asked.parent_id and (parent is None or (parent.dead and parent.status != FILLED)):
            raise Unreadable(135, f"Can't find order with id = {asked.parent_id}")
        order = self.make(client_id, order_id, asked, instrument, self.exchange.next_perm)
        self.exchange.next_perm += 1
        if parent is not None:
            order.parent_perm = parent.perm_id
            if not order.oca_group:  # the children of a bracket exclude each other
                order.oca_group, order.oca_type = str(parent.perm_id), 3
        self.use_id(client_id, order_id + 1)
        self.exchange.orders[order.perm_id] = order
        self.by_id[client_id, order_id] = order
        self.exchange.rest(order)
        self.exchange.save(order)
        if asked.transmit:
            self.transmit(order)
        return None

    def check(self, asked: OrderAsked) -> Instrument:
        """Return the instrument of an order that breaks no rule of the gateway."""
        instrument = self.exchange.market.find(asked.contract.symbol, asked.contract.con_id)
        if instrument is None:
            raise Unreadable(200, UNKNOWN)
        if asked.action not in ("BUY", "SELL"):
            raise Unreadable(321, f"Error validating request.-'bN' : cause - Invalid side: {asked.action}")
        if asked.quantity != int(asked.quantity):
            raise Unreadable(10243, "Fractional-sized order cannot be placed via API. Please refer to our website.")
        if asked.quantity <= 0:
            raise Unreadable(434, "The order size cannot be zero.")
        if asked.account not in ("", self.exchange.account.name):
            raise Unreadable(321, f"Error validating request.-'bN' : cause - Invalid account code '{asked.account}'")
        if asked.type not in TYPES:
            raise Unreadable(387, "Unsupported order type for this exchange and security type.")
        if asked.tif not in TIFS:
            raise Unreadable(201, f"Order rejected - reason:The time-in-force {asked.tif} is invalid for this order.")
        for price in self.prices_of(asked):
            if price is None or price <= 0:
                raise Unreadable(
                    321, "Error validating request.-'bN' : cause - The price of this order type is missing"
                )
            if not instrument.on_tick(price):
                raise Unreadable(110, "The price does not conform to the minimum price variation for this contract.")
        return instrument

    @staticmethod
    def prices_of(asked: OrderAsked) -> list[float | None]:
        """Return the prices that the order's type needs."""
        limit = [asked.limit] if asked.type in (LIMIT, STOP_LIMIT) else []
        stop = [asked.aux] if asked.type.startswith("STP") else []
        return limit + stop

    def make(self, client_id: int, order_id: int, asked: OrderAsked, instrument: Instrument, perm_id: int) -> Order:
        """Return the broker's order for what was asked."""
        return Order(
            perm_id=perm_id,
            client_id=client_id,
            order_id=order_id,
            account=self.exchange.account.name,
            symbol=instrument.symbol,
            con_id=instrument.con_id,
            action=asked.action,
            quantity=int(asked.quantity),
            type=asked.type,
            limit=asked.limit if asked.type in (LIMIT, STOP_LIMIT) else None,
            aux=asked.aux if asked.type.startswith("STP") else None,
            tif=asked.tif,
            oca_group=asked.oca_group,
            oca_type=asked.oca_type or (3 if asked.oca_group else 0),
            parent_id=asked.parent_id,
            ref=asked.ref,
            placed=float(self.exchange.at),
            fields=dict(asked.fields),
        )

    def transmit(self, order: Order) -> None:
        """Send an order with every order of its family that waited for it: the parent first."""
        top = self.exchange.orders[order.parent_perm] if order.parent_perm else order
        family = [one for one in self.exchange.alive.values() if one.parent_perm == top.perm_id]
        waiting = [one for one in [top, *sorted(family, key=lambda one: one.order_id)] if one.status == STAGED]
        for one in waiting:
            if not one.parent_perm and not self.affordable(one):
                return
            one.status = PRESUBMITTED
        for one in waiting:
            self.exchange.listener.opened(one)
            parent = self.exchange.orders.get(one.parent_perm)
            if parent is not None and parent.status != FILLED:
                why = "child,trigger" if one.is_stop else "child"
                self.exchange.move(one, PRESUBMITTED, why)
            else:
                self.start(one)

    def start(self, order: Order) -> None:
        """Let an order work, with the gateway's warning where the exchange is closed."""
        hours, at = self.exchange.hours, self.exchange.at
        if order.dead:  # its parent was filled and its group done before its turn came
            return
        if not hours.is_open(at):
            from_then = f"{order.action} {order.quantity} {order.symbol}"
            text = (
                f"Order Message:\n{from_then}\nWarning: your order will not be placed at the exchange until it opens."
            )
            self.exchange.listener.refused(order.client_id, order.order_id, 399, text)
        self.exchange.begin(order)

    def affordable(self, order: Order) -> bool:
        """Whether equity covers the margin after this order; where not, it is refused with 201 and goes inactive."""
        preview = self.preview(order)
        margins = preview.after
        if margins.initial <= margins.equity or margins.initial <= preview.before.initial:
            return True
        text = (
            "Order rejected - reason:YOUR ORDER IS NOT ACCEPTED. IN ORDER TO OBTAIN THE DESIRED POSITION YOUR EQUITY "
            f"WITH LOAN VALUE [{margins.equity:.2f} USD] MUST EXCEED THE INITIAL MARGIN [{margins.initial:.2f} USD]"
        )
        order.status = PENDING
        self.exchange.listener.refused(order.client_id, order.order_id, 201, text)
        self.exchange.move(order, INACTIVE)
        self.exchange.follow_parent(order)
        return False

    def preview(self, order: Order) -> Preview:
        """Return what an order would do to the margins, filled at its limit or at the other side's price."""
        account, exchange = self.exchange.account, self.exchange
        book = exchange.market.book(order.symbol, exchange.at)
        price = exchange.market.instruments[order.symbol].price
        at = order.limit or order.aux or price(book.ask if order.sign > 0 else book.bid)
        after = account.margins_with(order.symbol, order.sign * order.remaining, at, exchange.mark)
        return Preview(order, account.margins(exchange.mark), after, commission(order.quantity, order.quantity * at))

    def modify(self, order: Order, asked: OrderAsked, instrument: Instrument) -> None:
        """Change a known order; a filled or dead one cannot be changed."""
        if order.status == FILLED:
            raise Unreadable(104, "Cannot modify a filled order.")
        if order.dead:
            raise Unreadable(103, "Duplicate order id")
        if (order.symbol, order.action) != (instrument.symbol, asked.action):
            raise Unreadable(105, "Order being modified does not match original order.")
        if asked.quantity <= order.filled:
            raise Unreadable(201, f"Order rejected - reason:{order.filled} shares are filled, {asked.quantity:g} asked")
        if self.splitting:
            self.split(order)
            order = self.by_id[order.client_id, order.order_id]
        order.quantity, order.type, order.tif, order.ref = int(asked.quantity), asked.type, asked.tif, asked.ref
        order.limit = asked.limit if asked.type in (LIMIT, STOP_LIMIT) else None
        order.aux = asked.aux if asked.type.startswith("STP") else None
        order.fields = dict(asked.fields)
        if order.status == STAGED:
            self.exchange.save(order)
            if asked.transmit:
                self.transmit(order)
            return
        self.exchange.listener.opened(order)
        if "child" in order.why_held:
            self.exchange.move(order, PRESUBMITTED, "child,trigger" if order.is_stop else "child")
        else:
            self.start(order)

    def split(self, order: Order) -> None:
        """Make a second live order under the same order id, as seen when a change crosses a lost connection."""
        twin = Order(**{**order.row(), "perm_id": self.exchange.next_perm, "filled": 0, "commission": 0.0})
        self.exchange.next_perm += 1
        self.exchange.orders[twin.perm_id] = twin
        self.by_id[twin.client_id, twin.order_id] = twin
        self.exchange.rest(twin)

    def cancel(self, client_id: int, order_id: int) -> None:
        """Cancel an order of this client."""
        order = self.by_id.get((client_id, order_id))
        if order is None:
            raise Unreadable(10147, f"OrderId {order_id} that needs to be cancelled is not found.")
        if order.dead:
            raise Unreadable(
                10148, f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {order.status}."
            )
        self.exchange.cancel(order)

    def cancel_all(self) -> None:
        """Cancel every order of every client."""
        for order in list(self.exchange.alive.values()):
            if not order.dead:
                self.exchange.cancel(order)

    def open_orders(self, client_id: int | None = None) -> list[Order]:
        """Return the orders that live and were transmitted, of one client or of all."""
        alive = self.exchange.alive.values()
        return [one for one in alive if one.status != STAGED and client_id in (None, one.client_id)]

    def completed(self) -> list[Order]:
        """Return what ended today."""
        day = self.exchange.hours.date_of(self.exchange.at)
        return [
            one for one in self.exchange.orders.values() if one.dead and self.exchange.hours.date_of(one.done) == day
        ]

    def manual(self, symbol: str, action: str, shares: int) -> Order:
        """Trade by hand, as a person at the gateway's own window would."""
        instrument = self.exchange.market.find(symbol)
        if instrument is None or action not in ("BUY", "SELL") or shares <= 0:
            raise LookupError(f"{action} {shares} {symbol}: a known symbol, BUY or SELL and shares above 0 are needed")
        order = Order(
            perm_id=self.exchange.next_perm, client_id=0, order_id=0, account=self.exchange.account.name,
            symbol=symbol, con_id=instrument.con_id, action=action, quantity=shares, type="MKT", limit=None, aux=None,
            tif="DAY", status=PRESUBMITTED, placed=float(self.exchange.at),
        )  # fmt: skip
        self.exchange.next_perm += 1
        self.exchange.orders[order.perm_id] = order
        self.exchange.begin(order)
        return order
