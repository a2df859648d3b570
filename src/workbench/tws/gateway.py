"""The gateway in the middle: it owns the broker's parts and passes what happens there on to the clients."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.tws import replies
from workbench.tws.account import Account
from workbench.tws.clock import Clock
from workbench.tws.desk import Desk
from workbench.tws.exchange import Exchange
from workbench.tws.faults import Faults, checked
from workbench.tws.order import STAGED, Execution, Order
from workbench.tws.refused import SimulatorRefused, nearest
from workbench.tws.settings import Settings
from workbench.tws.store import Store

if TYPE_CHECKING:
    from workbench.tws.session import Session

Message = Callable[[int], replies.Fields]  # what to send, given a server version
STATUS_FIRST = 0.25  # how often the status Filled overtakes its execution, as seen live
OPEN_AGAIN = 0.5  # how often an openOrder stands between execution and status


class Gateway:
    """Everything between the clients and the exchange; all of it runs in one thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.market = settings.open_market()
        self.store = Store(Path(settings.state) if settings.state else None)
        self.account = Account(self.store, settings.account, settings.cash, dict(settings.holdings))
        self.exchange = Exchange(self.market, self.account, self.store, settings.seed, settings.start_at)
        self.exchange.listener = self
        try:
            self.check_state()
        except SimulatorRefused:
            self.store.close()
            raise
        self.desk = Desk(self.exchange)
        self.clock = Clock(max(settings.start_at, float(self.exchange.at)), settings.factor)
        self.began = self.clock.now()
        self.faults = Faults(settings.seed)
        self.sessions: list[Session] = []
        self.session_count = 0
        self.lingering: dict[int, float] = {}  # client id -> real time until which it counts as in use
        self.linger_seconds = 0.0
        self.skew_seconds = 0.0
        self.rate = 0  # messages a second from one client; 0 is any number
        self.link_up = True
        self.backlog: list[tuple[int, Message]] = []
        self.unread: list[tuple[Session, bytes]] = []  # requests that wait for the link
        self.outbox: list[tuple[Session, bytes]] = []
        self.silent: Session | None = None  # its request is processed, but not answered
        self.touched: set[str] = set()  # holdings that changed since the subscribers were told
        self.restart: Callable[[float], None] = lambda seconds: None
        if not self.account.day:
            self.account.begin_day(self.exchange.hours.last_day(self.exchange.at), self.exchange.mark)
        for fault in settings.faults:
            self.fault(dict(fault))
        self.store.commit()

    def check_state(self) -> None:
        """Refuse a state that belongs to another account or market."""
        settings, known = self.settings, self.market.instruments
        if self.account.name != settings.account:
            said = f"belongs to account {self.account.name}, asked for was {settings.account}"
            raise SimulatorRefused(f"{settings.state}: {said}; name that account or another file")
        for symbol in (*self.account.holdings, *(order.symbol for order in self.exchange.orders.values())):
            if symbol not in known:
                where = f"{settings.state}: has" if settings.state else "holdings: there is"
                raise SimulatorRefused(f"{where} '{symbol}', which the market does not know. {nearest(symbol, known)}")

    def catch_up(self) -> None:
        """Let everything happen that is due by the clock."""
        now = self.clock.now()
        for at, event in sorted(self.faults.waiting, key=lambda pair: pair[0]):
            if self.began + at <= now:
                self.exchange.advance(self.began + at)
                self.faults.waiting.remove((at, event))
                self.fault(event)
        if int(now) > self.exchange.at:
            self.exchange.advance(now)

    def settle(self) -> None:
        """Make the state durable, then let the clients know: what a client was told is never lost."""
        self.store.commit()
        outbox, self.outbox = self.outbox, []
        gathered: dict[Session, list[bytes]] = {}
        for session, data in outbox:
            gathered.setdefault(session, []).append(data)
        for session, parts in gathered.items():
            session.write(b"".join(parts))

    def client(self, client_id: int) -> Session | None:
        """Return the session of a client."""
        return next((one for one in self.sessions if one.client_id == client_id and one.started), None)

    def in_use(self, client_id: int, real_now: float) -> bool:
        """Whether a client id belongs to a session that lives, or died a moment ago."""
        return self.client(client_id) is not None or self.lingering.get(client_id, 0.0) > real_now

    def tell(self, client_id: int, message: Message) -> None:
        """Send something a client did not ask for; it waits while the link to the broker is down."""
        if not self.link_up:
            self.backlog.append((client_id, message))
            return
        session = self.client(client_id)
        if session is not None:
            session.send(message(session.version))

    def notice(self, code: int, text: str, request: int = -1, client: int | None = None) -> None:
        """Send an error or notice to one client or to all."""
        for session in self.sessions:
            if session.started and client in (None, session.client_id):
                session.send(replies.error(request, code, text, session.version))

    # What the exchange reports.

    def opened(self, order: Order) -> None:
        """Send openOrder."""
        now = copy(order)  # as it is now, not when the link is back
        self.tell(order.client_id, lambda version: replies.open_order(now, version))

    def moved(self, order: Order) -> None:
        """Send orderStatus."""
        fields = replies.order_status(order)
        self.tell(order.client_id, lambda version: fields)

    def refused(self, client_id: int, order_id: int, code: int, text: str) -> None:
        """Send an error about an order."""
        self.tell(client_id, lambda version: replies.error(order_id, code, text, version))

    def executed(self, order: Order, execution: Execution) -> None:
        """Send execution, status and commission in one of the orders seen from live gateways."""
        self.touched.add(order.symbol)
        status, now = replies.order_status(order), copy(order)
        client, draw = order.client_id, self.exchange.draw
        messages: list[Message] = [lambda version: replies.execution(execution, version)]
        if draw("status first", execution.exec_id) < STATUS_FIRST:
            messages.insert(0, lambda version: status)
        else:
            if draw("open again", execution.exec_id) < OPEN_AGAIN:
                messages.append(lambda version: replies.open_order(now, version))
            messages.append(lambda version: status)
        messages.append(lambda version: replies.commission_report(execution))
        for message in messages:
            self.tell(client, message)

    def corrected(self, order: Order, execution: Execution) -> None:
        """Send an execution again, with its correction."""
        self.touched.add(order.symbol)
        self.tell(order.client_id, lambda version: replies.execution(execution, version))
        self.tell(order.client_id, lambda version: replies.commission_report(execution))

    # Faults.

    def fault(self, given: dict[str, Any]) -> Any:
        """Add a rule, or let an event happen: now, or ``at`` so many simulated seconds after the start."""
        words = checked(given)
        if "at" in given and self.began + float(given["at"]) > self.clock.now():
            self.faults.waiting.append((float(given["at"]), words))
            return None
        do = words.pop("do")
        event = getattr(self, f"do_{do}", None)
        return event(**words) if event else self.faults.add({"do": do, **words})

    def do_notice(self, code: int, text: str = "", request: int = -1, client: int | None = None) -> None:
        """Send any error code."""
        self.notice(int(code), text, request, client)

    def do_link(self, state: str) -> None:
        """Lose the way to the broker, or find it again."""
        if state not in ("down", "lost", "kept"):
            raise SimulatorRefused(f"fault 'link': state '{state}'. {nearest(state, ('down', 'lost', 'kept'))}")
        if state == "down":
            self.link_up = False
            self.notice(1100, "Connectivity between IBKR and Trader Workstation has been lost.")
            return
        self.link_up = True
        if state == "lost":
            self.notice(1101, "Connectivity between IBKR and Trader Workstation has been restored - data lost.")
            for session in self.sessions:
                session.feed.drop_market_data()
        else:
            self.notice(1102, "Connectivity between IBKR and Trader Workstation has been restored - data maintained.")
        backlog, self.backlog = self.backlog, []
        for client, message in backlog:
            self.tell(client, message)
        unread, self.unread = self.unread, []
        for session, body in unread:
            session.handle(body)

    def do_restart(self, seconds: float = 0.0, rollback: int = 0) -> None:
        """Close every socket and stay away for some real seconds."""
        if rollback:
            self.do_rollback(rollback)
        self.settle()
        for session in list(self.sessions):
            session.close()
        self.lingering.clear()
        self.restart(seconds)

    def do_rollback(self, count: int = 1, client: int | None = None) -> None:
        """Forget the last order ids: the next valid id is lower than what was used."""
        for known, following in list(self.desk.next_ids.items()):
            if client in (None, known):
                self.desk.use_id(known, max(1, following - count))

    def do_linger(self, seconds: float) -> None:
        """Keep a client id in use for some real seconds after its session is gone."""
        self.linger_seconds = float(seconds)

    def do_skew(self, seconds: float) -> None:
        """Let the gateway tell a wrong time, so many seconds off."""
        self.skew_seconds = float(seconds)

    def do_hold(self, state: bool = True) -> None:
        """Match nothing until it is taken back."""
        self.exchange.holding = bool(state)

    def do_partial(self, count: int = 0) -> None:
        """Let one execution have at most so many shares; 0 is any number."""
        self.exchange.largest = int(count)

    def do_correct(self, exec_id: str = "", shares: int | None = None, price: float | None = None) -> str:
        """Correct an execution, the last one where none is named."""
        return self.exchange.correct(self.named_execution(exec_id).exec_id, shares, price).exec_id

    def do_repeat(self, exec_id: str = "") -> str:
        """Send an execution and its commission again."""
        execution = self.named_execution(exec_id)
        self.tell(execution.client_id, lambda version: replies.execution(execution, version))
        self.tell(execution.client_id, lambda version: replies.commission_report(execution))
        return execution.exec_id

    def named_execution(self, exec_id: str) -> Execution:
        """Return an execution by id, or the last."""
        known = [one for one in self.exchange.executions if exec_id in ("", one.exec_id)]
        if not known:
            raise LookupError(f"execution '{exec_id}' is not known; there are {len(self.exchange.executions)}")
        return known[-1]

    def do_fill(self, order_id: int, client: int = 0, shares: int = 0, price: float = 0.0) -> str:
        """Fill an order now, whatever the market says."""
        order = self.open_order(client, order_id)
        count = min(shares or order.remaining, order.remaining)
        return self.exchange.fill(order, count, price or self.exchange.mark(order.symbol)).exec_id

    def do_forget(self, order_id: int, client: int = 0) -> None:
        """Lose an open order without a word, as a broker does whose servers were set up anew."""
        self.exchange.forget(self.open_order(client, order_id))
        del self.desk.by_id[client, order_id]

    def open_order(self, client: int, order_id: int) -> Order:
        """Return an order that may still fill."""
        order = self.desk.by_id.get((client, order_id))
        if order is None or order.dead or order.status == STAGED:
            raise LookupError(f"order {order_id} of client {client} is not open")
        return order

    def do_split(self, state: bool = True) -> None:
        """Let a modification leave the old order alive beside the new one."""
        self.desk.splitting = bool(state)

    def do_rate(self, count: int) -> None:
        """Refuse more messages a second with error 100; 0 is any number."""
        self.rate = int(count)

    def do_abort(self, client: int | None = None) -> None:
        """Reset the socket of one client or of all."""
        for session in list(self.sessions):
            if client in (None, session.client_id):
                session.reset()

    def do_manual(self, symbol: str, action: str, shares: int) -> int:
        """Trade by hand on the account, past every client: client and order id are 0."""
        return self.desk.manual(symbol, action, int(shares)).perm_id
