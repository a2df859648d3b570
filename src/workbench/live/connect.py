"""The broker of the settings, reached as one client: Interactive Brokers' gateway, or the embedded account's file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from workbench.errors import NoData, WorkbenchError
from workbench.live.broker import Broker
from workbench.live.paper import PaperBroker, Print
from workbench.live.paper.ledger import Ledger
from workbench.params import Paths, Settings

EMBEDDED_ACCOUNT = "PAPER"
# Somebody waits for the emergency stop: a gateway that is there answers within this.
STOP_CONNECT_SECONDS = 10.0


def for_the_stop(settings: Settings, paths: Paths) -> Broker:
    """Return the account as the emergency stop's own client, not connected yet."""
    live = settings.live
    if live.mode == "embedded":
        file = embedded_file(settings, paths)
        if not file.exists():
            raise NoData(
                f"{paths.short(file)}: no embedded account yet; there is nothing to stop: make paper opens one"
            )
        return PaperBroker(
            file, StandingMarket(settings, paths), account=account_of(settings), client_id=live.kill_client_id
        )
    # Imported where it is needed: the embedded account asks for no client of IB's.
    from workbench.live.ib import IBBroker

    soon = live.model_copy(update={"connect_seconds": min(live.connect_seconds, STOP_CONNECT_SECONDS)})
    return IBBroker(soon, live.kill_client_id)


def account_of(settings: Settings) -> str:
    """Return the account that the settings name; empty where only the broker knows it."""
    return settings.live.account or (EMBEDDED_ACCOUNT if settings.live.mode == "embedded" else "")


def embedded_file(settings: Settings, paths: Paths) -> Path:
    """Return the file in which the embedded broker keeps its account: data/state/paper.db of the account PAPER."""
    return paths.state / f"{account_of(settings).lower()}.db"


class StandingMarket:
    """The embedded account's market while no session of its own runs: every price holds, a second a look goes by."""

    def __init__(self, settings: Settings, paths: Paths) -> None:
        self._settings, self._paths = settings, paths
        ledger = Ledger(embedded_file(settings, paths))
        try:
            self._now = datetime.fromtimestamp(ledger.fact("seen"), UTC)
            costs = {one.symbol: one.average_cost for one in ledger.positions()}
        finally:
            ledger.close()
        self._prices = costs
        with suppress(WorkbenchError):  # without data, what it cost: a stop does not wait for an ingest
            self._prices = costs | self._closes(sorted(costs))

    def now(self) -> datetime:
        """Return where the account's time stands, one second later at every look."""
        self._now += timedelta(seconds=1)
        return self._now

    def symbols(self) -> tuple[str, ...]:
        """Return what is held."""
        return tuple(self._prices)

    def prints(self, after: datetime, symbols: Iterable[str]) -> Iterator[Print]:
        """Return the price that holds, once more."""
        del after
        for symbol in sorted(set(symbols) & self._prices.keys()):
            yield Print.of(symbol, self._now, self._prices[symbol])

    def last(self, symbol: str) -> tuple[float, datetime] | None:
        """Return the price that holds."""
        price = self._prices.get(symbol)
        return None if price is None else (price, self._now)

    def _closes(self, symbols: list[str]) -> dict[str, float]:
        """Return the last close of each symbol that was known when the account was used last."""
        from workbench.data.lake import open_lake

        if not symbols:
            return {}
        lake = open_lake(self._settings, self._paths)
        start = self._now.date() - timedelta(days=30)
        closes = lake.bars(symbols, start=start, end=self._now.date()).close.ffill().iloc[-1]
        return {str(symbol): float(price) for symbol, price in closes.dropna().items()}
