"""What a client is subscribed to: ticks, growing bars, account, positions, profit; sent as it changes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench.tws import replies
from workbench.tws.history import History, Wanted
from workbench.tws.market import Book

if TYPE_CHECKING:
    from workbench.tws.gateway import Gateway
    from workbench.tws.session import Session

BID_SIZE, BID, ASK, ASK_SIZE, LAST, LAST_SIZE, HIGH, LOW, VOLUME, CLOSE, OPEN = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14
DELAYED = {BID: 66, ASK: 67, LAST: 68, BID_SIZE: 69, ASK_SIZE: 70, LAST_SIZE: 71, HIGH: 72, LOW: 73, VOLUME: 74,
           CLOSE: 75, OPEN: 76}  # fmt: skip
LAST_TIME = 45


@dataclass
class Line:
    """One market data subscription, with the values it last sent."""

    symbol: str
    at: int = -1
    sent: dict[int, float] = field(default_factory=dict)


class Feed:
    """The subscriptions of one session."""

    def __init__(self, gateway: Gateway, session: Session) -> None:
        self.gateway = gateway
        self.session = session
        self.lines: dict[int, Line] = {}
        self.bars: dict[int, tuple[Wanted, replies.Bar | None]] = {}
        self.account = False
        self.positions = False
        self.profit: dict[int, tuple[object, ...]] = {}
        self.profit_of: dict[int, tuple[int, tuple[object, ...]]] = {}
        self.summaries: dict[int, tuple[list[str], dict[str, str]]] = {}
        self.delayed = False

    def drop_market_data(self) -> None:
        """Forget ticks and bars, as after 1101."""
        self.lines.clear()
        self.bars.clear()

    def watch(self, request: int, symbol: str, snapshot: bool) -> None:
        """Start ticks, or send one snapshot of them."""
        gateway, send = self.gateway, self.session.send
        tick = gateway.market.instruments[symbol].tick
        send([81, request, tick, "9c0001", 3])
        send([58, 1, request, 3 if self.delayed else 1])
        line = Line(symbol)
        self.send_ticks(request, line, first=True)
        if snapshot:
            send([57, 1, request])
        else:
            self.lines[request] = line

    def pulse(self) -> None:
        """Send what changed."""
        if not self.session.started or not self.gateway.link_up:
            return
        for request, line in list(self.lines.items()):
            self.send_ticks(request, line)
        for request, (wanted, known) in list(self.bars.items()):
            newest = History(self.gateway.market).newest(wanted, self.gateway.exchange.at)
            if newest is not None and newest != known:
                self.session.send(replies.history_update(request, newest, wanted.daily, wanted.style))
                self.bars[request] = (wanted, newest)
        self.send_profit()

    def send_ticks(self, request: int, line: Line, first: bool = False) -> None:
        """Send the ticks of one line that differ from those sent before."""
        at = self.gateway.exchange.at
        if at == line.at:
            return
        line.at = at
        market = self.gateway.market
        book = market.book(line.symbol, at)
        values = self.ticks_of(line.symbol, book)
        if first:
            values |= self.day_of(line.symbol, at)
        for rule in self.gateway.faults.firing(frozenset({"bad_tick"}), "", self.session.client_id, line.symbol):
            values |= bad_ticks(rule.value, values)
        sizes = {BID: BID_SIZE, ASK: ASK_SIZE, LAST: LAST_SIZE}
        for kind in (BID, ASK, LAST, HIGH, LOW, CLOSE, OPEN):
            if kind in values and values[kind] != line.sent.get(kind):
                size = values.get(sizes.get(kind, -1), 0)
                self.session.send([1, 6, request, self.shown(kind), values[kind], size, 0])
        for kind in (BID_SIZE, ASK_SIZE, LAST_SIZE, VOLUME):
            if kind in values and values[kind] != line.sent.get(kind):
                self.session.send([2, 6, request, self.shown(kind), values[kind]])
        if values != line.sent:
            self.session.send([46, 6, request, 88 if self.delayed else LAST_TIME, at])
        line.sent = values

    def shown(self, kind: int) -> int:
        """Return a tick's number, another one for delayed data."""
        return DELAYED[kind] if self.delayed else kind

    def ticks_of(self, symbol: str, book: Book) -> dict[int, float]:
        """Return the changing values of a book."""
        price = self.gateway.market.instruments[symbol].price
        values: dict[int, float] = {BID: price(book.bid), ASK: price(book.ask), LAST: price(book.last)}
        sizes: dict[int, float] = {BID_SIZE: book.bid_size, ASK_SIZE: book.ask_size, LAST_SIZE: book.volume}
        return values | sizes

    def day_of(self, symbol: str, at: int) -> dict[int, float]:
        """Return the values of the session so far."""
        market = self.gateway.market
        day, second = market.second(at)
        path, price = market.path(symbol, day), market.instruments[symbol].price
        last = path.last(0, second + 1)
        return {
            HIGH: price(int(last.max())),
            LOW: price(int(last.min())),
            OPEN: price(int(last[0])),
            CLOSE: market.previous_close(symbol, at),
            VOLUME: float(path.volume(0, second + 1).sum()),
        }

    def send_account(self, symbols: set[str]) -> None:
        """Send account and positions after fills in these symbols."""
        gateway, send, name = self.gateway, self.session.send, self.gateway.account.name
        for symbol in sorted(symbols):
            held = gateway.account.holdings[symbol]
            con_id = gateway.market.instruments[symbol].con_id
            if self.positions:
                send(replies.position(name, held, con_id))
            if self.account:
                send(replies.portfolio(name, held, con_id, gateway.exchange.mark(symbol)))
        if self.account:
            self.send_values()
        for request, (tags, known) in self.summaries.items():
            values = {tag: value for tag, value in gateway.account.values(gateway.exchange.mark).items() if tag in tags}
            for tag, value in values.items():
                if known.get(tag) != value:
                    send([63, 1, request, name, tag, value, "USD"])
            self.summaries[request] = (tags, values)

    def send_values(self) -> None:
        """Send all account values."""
        account, mark, send = self.gateway.account, self.gateway.exchange.mark, self.session.send
        for tag, text in account.plain(mark).items():
            send([6, 2, tag, text, "", account.name])
        for tag, text in account.values(mark).items():
            send([6, 2, tag, text, "USD", account.name])

    def send_profit(self) -> None:
        """Send the profit where it changed."""
        account, mark = self.gateway.account, self.gateway.exchange.mark
        if self.profit:
            equity = account.equity(mark)
            now: tuple[object, ...] = tuple(
                round(value, 2) for value in (equity - account.day_equity, account.unrealized(mark), account.realized())
            )
            for request, known in list(self.profit.items()):
                if known != now:
                    self.session.send([94, request, *now])
                    self.profit[request] = now
        for request, (con_id, known) in list(self.profit_of.items()):
            symbol = self.gateway.market.by_id[con_id].symbol
            held = account.holdings.get(symbol)
            if held is None:
                continue
            price = mark(symbol)
            gain = round(held.quantity * (price - held.average), 2)
            of_one = (held.quantity, gain, gain, round(held.realized, 2), round(held.quantity * price, 2))
            if known != of_one:
                self.session.send([95, request, *of_one])
                self.profit_of[request] = (con_id, of_one)


def bad_ticks(kind: str, values: dict[int, float]) -> dict[int, float]:
    """Return prices that are wrong in the way asked."""
    prices = {name: values[name] for name in (BID, ASK, LAST)}
    if kind == "crossed":
        return {BID: prices[ASK] * 1.01, ASK: prices[BID] * 0.99}
    if kind == "x10":
        return {name: price * 10 for name, price in prices.items()}
    if kind == "negative":
        return {name: -price for name, price in prices.items()}
    value = {"nan": math.nan, "inf": math.inf, "0": 0.0, "-1": -1.0, "1e308": 1e308}[kind]
    return dict.fromkeys(prices, value)
