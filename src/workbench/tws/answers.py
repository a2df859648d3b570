"""Every request with its answer; what is wrong with one is an ``Unreadable`` with the gateway's code."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from workbench.tws import replies
from workbench.tws.desk import UNKNOWN, Preview
from workbench.tws.history import History, read_end
from workbench.tws.hours import DAY, NEW_YORK, stamp
from workbench.tws.market import Instrument
from workbench.tws.order import Execution, latest
from workbench.tws.requests import CONTRACT, Contract, Unreadable, flag, read_contract, read_order

if TYPE_CHECKING:
    from workbench.tws.gateway import Gateway
    from workbench.tws.session import Session

PLAIN = frozenset({"AccountType", "Cushion", "DayTradesRemaining"})
KEEP_BARS = 252 * 30
LARGEST_ID = 2**31 - 1


class Answers:
    """Answers the requests of one session."""

    def __init__(self, gateway: Gateway, session: Session) -> None:
        self.gateway = gateway
        self.session = session
        self.asking = -1  # the request that an error is about
        self.table: dict[str, Callable[[list[str]], None]] = {
            "startApi": self.start,
            "placeOrder": self.place,
            "cancelOrder": self.cancel,
            "reqGlobalCancel": lambda fields: self.gateway.desk.cancel_all(),
            "reqOpenOrders": lambda fields: self.open_orders(self.session.client_id),
            "reqAllOpenOrders": lambda fields: self.open_orders(None),
            "reqAutoOpenOrders": lambda fields: None,
            "reqCompletedOrders": self.completed,
            "reqExecutions": self.executions,
            "reqIds": lambda fields: self.send([9, 1, self.gateway.desk.next_id(self.session.client_id)]),
            "reqManagedAccts": lambda fields: self.send([15, 1, self.gateway.account.name]),
            "reqCurrentTime": lambda fields: self.send([49, 1, self.now()]),
            "reqAccountUpdates": self.account_updates,
            "reqAccountUpdatesMulti": self.account_multi,
            "cancelAccountUpdatesMulti": lambda fields: None,
            "reqAccountSummary": self.summary,
            "cancelAccountSummary": lambda fields: drop(self.session.feed.summaries, fields),
            "reqPositions": self.positions,
            "cancelPositions": lambda fields: setattr(self.session.feed, "positions", False),
            "reqPnL": self.profit,
            "cancelPnL": lambda fields: drop(self.session.feed.profit, ["", *fields]),
            "reqPnLSingle": self.profit_of,
            "cancelPnLSingle": lambda fields: drop(self.session.feed.profit_of, ["", *fields]),
            "reqContractDetails": self.contract_details,
            "reqMarketRule": lambda fields: self.send([93, int(fields[1]), 1, 0, 0.01]),
            "reqMarketDataType": self.data_type,
            "reqMktData": self.market_data,
            "cancelMktData": lambda fields: drop(self.session.feed.lines, fields),
            "reqHistoricalData": self.history,
            "cancelHistoricalData": lambda fields: drop(self.session.feed.bars, fields),
            "reqHeadTimeStamp": self.head,
            "cancelHeadTimeStamp": lambda fields: None,
        }

    def send(self, fields: replies.Fields) -> None:
        """Send one message to the client."""
        self.session.send(fields)

    def answer(self, kind: str, fields: list[str]) -> None:
        """Answer one request."""
        self.asking = -1
        if not self.session.started and kind != "startApi":
            raise Unreadable(504, "Not connected")
        self.table[kind](fields)

    def start(self, fields: list[str]) -> None:
        if self.session.started:
            raise Unreadable(501, "Already connected.")
        self.session.start(int(fields[2]))

    def now(self) -> int:
        """Return the time as the gateway tells it."""
        return int(self.gateway.clock.now() + self.gateway.skew_seconds)

    # Orders.

    def place(self, fields: list[str]) -> None:
        self.asking = int(fields[1])
        if not 0 <= self.asking <= LARGEST_ID:
            raise Unreadable(320, f"Error reading request. Order id {self.asking} is no 32-bit number.")
        asked = read_order(fields[2:], self.session.version)
        found = self.gateway.desk.place(self.session.client_id, self.asking, asked)
        if found is not None:
            self.preview(found)

    def preview(self, found: Preview) -> None:
        """Answer a what-if: margins before, changed and after."""
        before, after = found.before, found.after
        pairs = [
            (before.initial, after.initial),
            (before.maintenance, after.maintenance),
            (before.equity, after.equity),
        ]
        margins = [f"{old:.2f}" for old, _ in pairs]
        margins += [f"{new - old:.2f}" for old, new in pairs]
        margins += [f"{new:.2f}" for _, new in pairs]
        found.order.status = "PreSubmitted"
        self.send(replies.open_order(found.order, self.session.version, margins, found.fee))

    def cancel(self, fields: list[str]) -> None:
        self.asking = int(fields[2])
        self.gateway.desk.cancel(self.session.client_id, self.asking)

    def open_orders(self, client_id: int | None) -> None:
        for order in self.gateway.desk.open_orders(client_id):
            self.send(replies.open_order(order, self.session.version))
            self.send(replies.order_status(order))
        self.send([53, 1])

    def completed(self, fields: list[str]) -> None:
        by_client = flag(fields[1]) if len(fields) > 1 else False
        for order in self.gateway.desk.completed():
            if order.order_id or not by_client:
                self.send(replies.completed_order(order, self.session.version))
        self.send([102])

    def executions(self, fields: list[str]) -> None:
        request, client, account, since, symbol, sec_type, exchange, side = fields[2:10]
        self.asking = int(request)
        hours, at = self.gateway.exchange.hours, self.gateway.exchange.at
        after = read_end(since, at) if since.strip() else 0.0

        def fits(one: Execution) -> bool:
            return (
                hours.date_of(one.at) == hours.date_of(at)
                and one.at >= after
                and int(client or 0) in (0, one.client_id)
                and account in ("", one.account)
                and symbol in ("", one.symbol)
                and sec_type in ("", "STK")
                and exchange in ("", "SMART", "NASDAQ")
                and side.upper() in ("", {"BOT": "BUY", "SLD": "SELL"}[one.side], one.side)
            )

        found = [one for one in latest(self.gateway.exchange.executions) if fits(one)]
        for one in found:
            self.send(replies.execution(one, self.session.version, int(request)))
            self.send(replies.commission_report(one))
        self.send([55, 1, int(request)])

    # Account.

    def account_updates(self, fields: list[str]) -> None:
        feed, account = self.session.feed, self.gateway.account
        feed.account = flag(fields[2])
        if not feed.account:
            return
        feed.send_values()
        for held in account.held():
            con_id = self.gateway.market.instruments[held.symbol].con_id
            self.send(replies.portfolio(account.name, held, con_id, self.gateway.exchange.mark(held.symbol)))
        self.send([8, 1, stamp(self.gateway.exchange.at)[9:14]])
        self.send([54, 1, account.name])

    def account_multi(self, fields: list[str]) -> None:
        self.asking = int(fields[2])
        account, mark = self.gateway.account, self.gateway.exchange.mark
        if fields[3] not in ("", "All", account.name):
            raise Unreadable(321, f"Error validating request.-'bV' : cause - Invalid account code '{fields[3]}'")
        for tag, text in account.plain(mark).items():
            self.send([73, 1, self.asking, account.name, fields[4], tag, text, ""])
        for tag, text in account.values(mark).items():
            self.send([73, 1, self.asking, account.name, fields[4], tag, text, "USD"])
        self.send([74, 1, self.asking])

    def summary(self, fields: list[str]) -> None:
        self.asking = int(fields[2])
        account, mark = self.gateway.account, self.gateway.exchange.mark
        tags = [tag.strip() for tag in fields[4].split(",")]
        values = {tag: value for tag, value in account.values(mark).items() if tag in tags}
        for tag, text in account.plain(mark).items():
            if tag in tags:
                self.send([63, 1, self.asking, account.name, tag, text, ""])
        for tag, text in values.items():
            self.send([63, 1, self.asking, account.name, tag, text, "USD"])
        self.send([64, 1, self.asking])
        self.session.feed.summaries[self.asking] = (tags, values)

    def positions(self, fields: list[str]) -> None:
        account = self.gateway.account
        for held in account.held():
            con_id = self.gateway.market.instruments[held.symbol].con_id
            self.send(replies.position(account.name, held, con_id))
        self.send([62, 1])
        self.session.feed.positions = True

    def profit(self, fields: list[str]) -> None:
        self.asking = int(fields[1])
        self.session.feed.profit[self.asking] = ()
        self.session.feed.send_profit()

    def profit_of(self, fields: list[str]) -> None:
        self.asking, con_id = int(fields[1]), int(fields[4])
        if con_id not in self.gateway.market.by_id:
            raise Unreadable(200, UNKNOWN)
        self.session.feed.profit_of[self.asking] = (con_id, ())
        self.session.feed.send_profit()

    # Instruments and prices.

    def find(self, wanted: Contract) -> Instrument:
        """Return the instrument a client means, or error 200."""
        found = self.gateway.market.find(wanted.symbol, wanted.con_id)
        if found is None or wanted.sec_type not in ("STK", "") or wanted.currency not in ("USD", ""):
            raise Unreadable(200, UNKNOWN)
        return found

    def contract_details(self, fields: list[str]) -> None:
        self.asking = int(fields[2])
        found = self.find(read_contract(iter(fields[3:])))
        hours, at = self.gateway.exchange.hours, self.gateway.exchange.at
        parts = []
        for ahead in range(6):
            day = hours.date_of(at + ahead * DAY)
            if hours.trades_on(day):
                opened = hours.open_of(day)
                parts.append(f"{span(opened)}-{span(opened + hours.seconds)}")
            else:
                parts.append(f"{day:%Y%m%d}:CLOSED")
        self.send(replies.contract_details(self.asking, found, self.session.version, ";".join(parts)))
        self.send([52, 1, self.asking])

    def data_type(self, fields: list[str]) -> None:
        self.session.feed.delayed = int(fields[2]) in (3, 4)

    def market_data(self, fields: list[str]) -> None:
        self.asking = int(fields[2])
        found = self.find(read_contract(iter(fields[3:])))
        rest = fields[3 + len(CONTRACT) :]
        dnc = flag(rest[0])
        snapshot = rest[5 if dnc else 2]
        self.session.feed.watch(self.asking, found.symbol, flag(snapshot))

    def history(self, fields: list[str]) -> None:
        self.asking = int(fields[1])
        found = self.find(read_contract(iter(fields[2:])))
        _, end, size, duration, _, show, style, keep = fields[2 + len(CONTRACT) :][:8]
        history, now = History(self.gateway.market), float(self.gateway.exchange.at)
        wanted = history.wanted(found.symbol, size, show, style)
        if flag(keep) and end.strip():
            raise Unreadable(321, "Error validating request.-'bT' : cause - End date not supported with keepUpToDate")
        until = read_end(end, now)
        bars = history.bars(wanted, duration, until, now)
        if not bars:
            text = "Historical Market Data Service error message:HMDS query returned no data"
            raise Unreadable(162, f"{text}: {found.symbol}@SMART {show}")
        self.send(replies.history(self.asking, bars[0].at, until, bars, wanted.daily, wanted.style))
        if flag(keep):
            self.session.feed.bars[self.asking] = (wanted, bars[-1])

    def head(self, fields: list[str]) -> None:
        self.asking = int(fields[1])
        self.find(read_contract(iter(fields[2:])))
        hours = self.gateway.exchange.hours
        first = hours.before(hours.last_day(self.gateway.exchange.at), KEEP_BARS)[0]
        self.send([88, self.asking, stamp(hours.open_of(first))[:17].replace(" ", "-")])


def drop(known: MutableMapping[int, Any], fields: list[str]) -> None:
    """End a subscription; one that is not known is no error at the gateway either."""
    known.pop(int(fields[2]), None)


def span(at: float) -> str:
    """Return a time as trading hours have it: ``20260105:0930``."""
    day, clock, _ = stamp(at, NEW_YORK).split(" ")
    return f"{day}:{clock[:2]}{clock[3:5]}"
