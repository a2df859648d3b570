"""The executions: numbered, booked to the account, corrected after the fact."""

from __future__ import annotations

import zlib
from dataclasses import replace

from workbench.tws.account import Account, commission
from workbench.tws.order import Execution, Order
from workbench.tws.store import Store


class Blotter:
    """Every execution there was; their ids follow from seed and number."""

    def __init__(self, account: Account, store: Store, seed: int) -> None:
        self.account = account
        self.store = store
        self.seed = seed
        self.executions = store.executions()
        self.seen = {execution.exec_id for execution in self.executions}

    def book(self, order: Order, shares: int, price: float, at: int, liquidity: int) -> Execution:
        """Execute shares of an order and pay for them; the commission is that of the whole order so far."""
        order.average = (order.average * order.filled + price * shares) / (order.filled + shares)
        order.filled += shares
        order.last_price = price
        fee = max(0.0, commission(order.filled, order.average * order.filled) - order.commission)
        order.commission += fee
        before = self.account.holdings.get(order.symbol)
        closing = before is not None and before.quantity * order.sign < 0
        realized = self.account.take(order.symbol, order.sign * shares, price, fee)
        execution = Execution(
            exec_id=self.next_id(),
            perm_id=order.perm_id,
            client_id=order.client_id,
            order_id=order.order_id,
            account=order.account,
            symbol=order.symbol,
            con_id=order.con_id,
            side="BOT" if order.sign > 0 else "SLD",
            shares=shares,
            price=price,
            at=float(at),
            cumulative=order.filled,
            average=order.average,
            commission=fee,
            realized=realized if closing else None,
            ref=order.ref,
            liquidity=liquidity,
        )
        self.add(execution)
        return execution

    def next_id(self) -> str:
        """Return the id of the next execution, as the gateway forms it."""
        name = zlib.crc32(f"{self.seed} {len(self.executions) + 1}".encode())
        while f"0000e0d5.{name:08x}.01.01" in self.seen:
            name = (name + 1) % 2**32
        return f"0000e0d5.{name:08x}.01.01"

    def add(self, execution: Execution) -> None:
        """Keep an execution."""
        self.executions.append(execution)
        self.seen.add(execution.exec_id)
        self.store.add_execution(execution)

    def correct(self, exec_id: str, shares: int | None, price: float | None) -> Execution:
        """Replace an execution by one with other shares or another price; cash and holding follow."""
        root = exec_id.rpartition(".")[0]
        old = [one for one in self.executions if one.root == root][-1]
        new = replace(
            old,
            exec_id=f"{root}.{old.revision + 1:02d}",
            shares=old.shares if shares is None else shares,
            price=old.price if price is None else price,
        )
        self.add(new)
        self.account.pay(old.signed * old.price - new.signed * new.price)
        self.account.refold(old.symbol, self.executions)
        return new
