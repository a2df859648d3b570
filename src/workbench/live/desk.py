"""What the monitor's findings do to one account: an alert, REDUCING, or the emergency stop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from workbench.alerts.outbox import Outbox, Severity
from workbench.errors import TradingHalted
from workbench.live.journal.journal import Journal
from workbench.live.trading_state import TradingState


@dataclass(frozen=True)
class AccountDesk:
    """``stopping`` runs the emergency stop over a connection of its own: ``lambda reason: emergency_stop(…)``."""

    journal: Journal
    outbox: Outbox
    stopping: Callable[[str], object]

    def tell(self, severity: Severity, kind: str, text: str, cooldown: str) -> None:
        """Put an alert into the outbox."""
        self.outbox.post(severity, kind, " ".join(text.split()), cooldown=cooldown)

    def reduce(self, reason: str) -> None:
        """Allow only what shrinks a position; what is halted stays halted."""
        with suppress(TradingHalted):
            self.journal.set_state(TradingState.REDUCING, reason)

    def stop(self, reason: str) -> None:
        """Halt, cancel, flatten and confirm it at the broker."""
        self.stopping(reason)
