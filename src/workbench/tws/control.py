"""The control socket: one JSON object a line asks, one answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workbench.tws.refused import SimulatorRefused, nearest

if TYPE_CHECKING:
    from workbench.tws.server import Server


class Control:
    """Answers commands; each is ``{"do": name, ...}`` and gets ``{"ok": result}`` or ``{"error": text}``."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.listening: asyncio.Server | None = None
        self.commands: dict[str, Callable[..., Any]] = {
            "fault": self.fault,
            "clear": self.clear,
            "rules": self.rules,
            "advance": self.advance,
            "speed": self.speed,
            "now": lambda: self.server.gateway.clock.now(),
            "orders": self.orders,
            "executions": self.executions,
            "positions": self.positions,
            "account": self.account,
            "quote": self.quote,
            "log": self.log,
            "sessions": self.sessions,
            "stop": lambda: self.server.stop(),
        }

    async def listen(self, host: str, port: int) -> int:
        """Open the socket and return its port."""
        self.listening = await asyncio.start_server(self.serve, host, port)
        return int(self.listening.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Take no more commands."""
        if self.listening is not None:
            self.listening.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the lines of one connection."""
        try:
            while line := await reader.readline():
                writer.write(json.dumps(self.answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.CancelledError):  # the last where the simulator ends
            return
        finally:
            writer.close()

    def answer(self, line: bytes) -> dict[str, Any]:
        """Carry out one command."""
        try:
            asked = json.loads(line)
            if not isinstance(asked, dict):
                raise SimulatorRefused('a command is an object like {"do": "now"}')
            do = str(asked.pop("do", ""))
            if do not in self.commands:
                raise SimulatorRefused(f"command '{do}' is not known. {nearest(do, self.commands)}")
            self.server.gateway.catch_up()
            result = self.commands[do](**asked)
            self.server.pulse()
        except (SimulatorRefused, LookupError, TypeError, ValueError) as error:
            return {"error": str(error)}
        return {"ok": result}

    def fault(self, **given: Any) -> Any:
        """Add a fault; its own ``do`` is called ``fault`` here, for ``do`` names the command."""
        return self.server.gateway.fault({"do": given.pop("fault", ""), **given})

    def clear(self, number: int | None = None) -> None:
        """Take away one rule or all."""
        self.server.gateway.faults.clear(number)

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules with how often each fired."""
        return [dict(rule.__dict__) for rule in self.server.gateway.faults.rules]

    def advance(self, seconds: float) -> float:
        """Let simulated time jump forward, with all that happens in it."""
        at = self.server.gateway.clock.advance(seconds)
        self.server.gateway.catch_up()
        return at

    def speed(self, factor: float) -> None:
        """Let simulated time run at another speed; 0 stands still."""
        if not factor >= 0:
            raise SimulatorRefused(f"speed {factor}: at least 0")
        self.server.gateway.clock.run(factor)

    def orders(self) -> list[dict[str, Any]]:
        """Return every order the broker ever took."""
        return [order.row() for order in self.server.gateway.exchange.orders.values()]

    def executions(self, since: float = 0.0) -> list[dict[str, Any]]:
        """Return every execution since a moment, with the corrected ones."""
        return [one.row() for one in self.server.gateway.exchange.executions if one.at >= since]

    def positions(self) -> dict[str, int]:
        """Return the shares held."""
        return {held.symbol: held.quantity for held in self.server.gateway.account.held()}

    def account(self) -> dict[str, Any]:
        """Return cash and values."""
        gateway = self.server.gateway
        values = {tag: float(text) for tag, text in gateway.account.values(gateway.exchange.mark).items()}
        return {"name": gateway.account.name, "cash": gateway.account.cash, **values}

    def quote(self, symbol: str) -> dict[str, float]:
        """Return the book of a symbol now."""
        market = self.server.gateway.market
        if symbol not in market.instruments:
            raise SimulatorRefused(f"symbol '{symbol}' is not known. {nearest(symbol, market.instruments)}")
        book, price = market.book(symbol, self.server.gateway.exchange.at), market.instruments[symbol].price
        return {
            "bid": price(book.bid), "ask": price(book.ask), "last": price(book.last),
            "bid_size": book.bid_size, "ask_size": book.ask_size,
        }  # fmt: skip

    def log(self, after: int = 0) -> list[dict[str, Any]]:
        """Return every order message that arrived, with the moment it did."""
        return self.server.gateway.store.log_rows(after)

    def sessions(self) -> list[dict[str, Any]]:
        """Return who is connected."""
        return [
            {"number": one.number, "client_id": one.client_id, "version": one.version, "frozen": one.frozen}
            for one in self.server.gateway.sessions
            if one.started
        ]
