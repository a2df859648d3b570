"""What an emergency stop writes down: into the journal where it answers, else into files beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from workbench.errors import CannotWrite, WorkbenchError
from workbench.live.gate import Asked
from workbench.live.halt import HaltFile
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.facts import intent_data
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease, let_pass
from workbench.live.trading_state import TradingState
from workbench.params import Paths, Settings
from workbench.state.store import LOCK_SECONDS

SENDER_SECONDS = 0.3  # that the cancel waits for the order that is just being sent
JOURNAL_SECONDS = 2.0  # that the first closing order waits for the journal


class Record:
    """The journal where it answers; else files beside it, which ``resume`` brings into the journal."""

    def __init__(self, settings: Settings, paths: Paths, account: str) -> None:
        self._settings, self._paths, self._account = settings, paths, account
        self._file = HaltFile(paths, account)
        self._journal: Journal | None = None
        self._ready = threading.Event()
        self._keys = 0
        self._until = 0.0

    def halt(self, reason: str, who: str) -> None:
        """Halt by the file at once; the journal is told beside, for it may not answer for seconds."""
        self._until = time.monotonic() + JOURNAL_SECONDS
        try:
            self._file.write(reason, who, datetime.now(UTC))
            with suppress(OSError):  # an order that passed the file before it was there leaves before the cancel
                let_pass(self._paths, self._account, SENDER_SECONDS)
        finally:
            threading.Thread(target=self._open, args=(reason, who), daemon=True, name="emergency journal").start()

    def key(self) -> str:
        """Return a key that no order has had: by the clock where the journal does not answer."""
        self._ready.wait(max(0.0, self._until - time.monotonic()))
        if self._journal is not None:
            return self._journal.next_key()
        self._keys += 1
        return f"kill-{datetime.now(UTC):%y%m%d%H%M%S%f}-{self._keys}"

    def intend(self, asked: Asked, order_id: int) -> int:
        """Write the order down, in the journal or in the file; it is on disk when this returns."""
        if self._journal is not None:
            try:
                return self._journal.intend([asked], order_id)[0].order_id
            except WorkbenchError:  # the file is the journal from here
                self._journal = None
        self._file.note({"intent": intent_data(asked, order_id), "key": asked.order.key})
        return order_id

    def note(self, facts: Mapping[str, Any]) -> None:
        """Write down what happened."""
        if self._journal is not None:
            try:
                self._journal.append(Draft(Kind.OPERATOR, facts))
                return
            except WorkbenchError:
                self._journal = None
        self._file.note({**facts, "at": datetime.now(UTC).isoformat()})

    def close(self) -> None:
        """Let go of the journal, once it has been told; the lease stays taken, so the old runner stays fenced off."""
        self._ready.wait(LOCK_SECONDS * 2)
        if self._journal is not None:
            self._journal.close()

    def _open(self, reason: str, who: str) -> None:
        try:
            journal = Journal.open(self._settings, self._paths, self._account)
            journal.set_state(TradingState.HALTED, reason, who)
            journal.close()
            lease = Lease.seize(self._settings, self._paths, self._account, "emergency stop")
            journal = Journal.open(self._settings, self._paths, self._account, lease=lease)
            journal.begin(emergency=reason, who=who)
            self._journal = journal
        except WorkbenchError as error:
            with suppress(CannotWrite):
                self._file.note({"emergency": "the journal did not answer", "text": str(error)})
        finally:
            self._ready.set()
