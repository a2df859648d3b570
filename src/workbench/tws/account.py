"""The account: cash, holdings, margin, profit. Margin is half of each position's value, a quarter to keep it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from workbench.tws.order import Execution, Holding, latest
from workbench.tws.store import Store

INITIAL = 0.5
MAINTENANCE = 0.25
PER_SHARE = 0.005
LEAST = 1.0
MOST = 0.01  # of the value

Mark = Callable[[str], float]


def commission(shares: int, value: float) -> float:
    """Return the commission of an order: half a cent a share, a dollar at least, one per cent of the value at most."""
    return min(max(LEAST, PER_SHARE * shares), MOST * abs(value))


@dataclass(frozen=True)
class Margins:
    """Initial and maintenance margin and equity, for one moment."""

    initial: float
    maintenance: float
    equity: float


class Account:
    """One account; every change is written to the store at once."""

    def __init__(self, store: Store, name: str, cash: float, holdings: dict[str, tuple[int, float]]) -> None:
        self.store = store
        self.name = store.meta("account", name)
        self.cash = float(store.meta("cash", str(cash)))
        self.holdings = store.holdings()
        if not store.meta("account"):
            for symbol, (quantity, average) in holdings.items():
                self.holdings[symbol] = Holding(symbol, quantity, average)
                store.save_holding(self.holdings[symbol])
            store.set_meta("account", name)
            store.set_meta("cash", self.cash)
            store.set_meta("opening", json.dumps(holdings))
        # What the executions are counted from when one of them is corrected.
        self.opening: dict[str, tuple[int, float]] = json.loads(store.meta("opening", "{}"))
        self.day = store.meta("day")
        self.day_equity = float(store.meta("day_equity", "0"))
        self.day_realized = float(store.meta("day_realized", "0"))

    def take(self, symbol: str, signed: int, price: float, fee: float) -> float:
        """Book one fill and return what it realised."""
        holding = self.holdings.setdefault(symbol, Holding(symbol))
        realized = holding.take(signed, price, fee)
        self.pay(-signed * price - fee)
        self.store.save_holding(holding)
        return realized

    def pay(self, amount: float) -> None:
        """Change the cash."""
        self.cash += amount
        self.store.set_meta("cash", repr(self.cash))

    def refold(self, symbol: str, executions: list[Execution]) -> None:
        """Work out a holding anew from the executions that hold, after one of them was corrected."""
        quantity, average = self.opening.get(symbol, (0, 0.0))
        holding = Holding(symbol, int(quantity), float(average))
        for execution in latest([one for one in executions if one.symbol == symbol]):
            holding.take(execution.signed, execution.price, execution.commission)
        self.holdings[symbol] = holding
        self.store.save_holding(holding)

    def held(self) -> list[Holding]:
        """Return the positions that are not flat."""
        return [holding for holding in self.holdings.values() if holding.quantity]

    def gross(self, mark: Mark) -> float:
        """Return the value of all positions, shorts counted positive."""
        return sum(abs(holding.quantity) * mark(holding.symbol) for holding in self.held())

    def equity(self, mark: Mark) -> float:
        """Return cash and the value of the positions."""
        return self.cash + sum(holding.quantity * mark(holding.symbol) for holding in self.held())

    def unrealized(self, mark: Mark) -> float:
        """Return the profit of the positions at the marks."""
        return sum(holding.quantity * (mark(holding.symbol) - holding.average) for holding in self.held())

    def realized(self) -> float:
        """Return the profit realised since the day began."""
        return sum(holding.realized for holding in self.holdings.values()) - self.day_realized

    def margins(self, mark: Mark) -> Margins:
        """Return the margins as they are."""
        gross = self.gross(mark)
        return Margins(INITIAL * gross, MAINTENANCE * gross, self.equity(mark))

    def margins_with(self, symbol: str, signed: int, price: float, mark: Mark) -> Margins:
        """Return the margins after a further trade."""
        now = self.holdings.get(symbol, Holding(symbol)).quantity
        gross = self.gross(mark) - abs(now) * mark(symbol) + abs(now + signed) * price
        fee = commission(abs(signed), signed * price)
        equity = self.equity(mark) + signed * (mark(symbol) - price) - fee
        return Margins(INITIAL * gross, MAINTENANCE * gross, equity)

    def begin_day(self, day: date, mark: Mark) -> None:
        """Remember where a day starts, for the daily profit."""
        if self.day != day.isoformat():
            self.day = day.isoformat()
            self.day_equity = self.equity(mark)
            self.day_realized = sum(holding.realized for holding in self.holdings.values())
            for name in ("day", "day_equity", "day_realized"):
                self.store.set_meta(name, getattr(self, name))

    def values(self, mark: Mark) -> dict[str, str]:
        """Return what the gateway says of the account, by tag."""
        margins, gross = self.margins(mark), self.gross(mark)
        available = margins.equity - margins.initial
        excess = margins.equity - margins.maintenance
        money = {
            "AccruedCash": 0.0,
            "AvailableFunds": available,
            "BuyingPower": max(available, 0.0) / INITIAL,
            "CashBalance": self.cash,
            "EquityWithLoanValue": margins.equity,
            "ExcessLiquidity": excess,
            "FullAvailableFunds": available,
            "FullExcessLiquidity": excess,
            "FullInitMarginReq": margins.initial,
            "FullMaintMarginReq": margins.maintenance,
            "GrossPositionValue": gross,
            "InitMarginReq": margins.initial,
            "MaintMarginReq": margins.maintenance,
            "NetLiquidation": margins.equity,
            "PreviousDayEquityWithLoanValue": self.day_equity,
            "RealizedPnL": self.realized(),
            "SettledCash": self.cash,
            "StockMarketValue": margins.equity - self.cash,
            "TotalCashValue": self.cash,
            "UnrealizedPnL": self.unrealized(mark),
        }
        return {tag: f"{value:.2f}" for tag, value in money.items()}

    def plain(self, mark: Mark) -> dict[str, str]:
        """Return the tags that are not money."""
        equity = self.equity(mark)
        cushion = (equity - MAINTENANCE * self.gross(mark)) / equity if equity else 0.0
        return {"AccountType": "INDIVIDUAL", "Cushion": f"{cushion:.6f}", "DayTradesRemaining": "-1"}
