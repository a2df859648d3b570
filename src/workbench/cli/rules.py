"""The rules of demotion after each session: who breaks one may only reduce from the next session on, and it is told."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from workbench.alerts.outbox import COOLDOWN, Outbox, Severity
from workbench.cli.track import write_records
from workbench.errors import WorkbenchError
from workbench.live.journal.journal import Journal
from workbench.live.operator import profile_of
from workbench.live.report import SessionReport
from workbench.live.seats import WEIGHTS
from workbench.live.session import Seat
from workbench.params import Paths, Settings
from workbench.registry.storing import STRATEGY

WEEK = timedelta(days=7)  # between two reminders
logger = logging.getLogger(__name__)


def keep_session(
    paths: Paths, seats: Sequence[Seat], report: SessionReport, journal: Journal, settings: Settings, outbox: Outbox
) -> None:
    """Write the records of a session that was closed, then hold who traded it against the rules."""
    try:
        write_records(paths, seats, report, journal, settings)
    finally:  # a record that cannot be written is judged, too
        judge_seats(paths, seats, settings, outbox)


def judge_seats(paths: Paths, seats: Sequence[Seat], settings: Settings, outbox: Outbox) -> None:
    """Demote what breaks a rule, as ``workbench demote --check`` does; nothing that goes wrong here stops a runner.

    The weights that stand, and the risk limits of the account, are judged with those who trade by them.
    """
    try:
        from workbench.registry.lifecycle.demote import check
        from workbench.registry.lifecycle.desk import Desk

        desk = Desk.open(settings, paths)
        weights = [name for kind, name in desk.record.states() if kind == WEIGHTS]
        judged = [*((STRATEGY, seat.name) for seat in seats), *((WEIGHTS, name) for name in weights)]
        for kind, name in sorted({*judged, ("risk", profile_of(settings))}):
            for one in check(desk, desk.record.state(kind, name)):
                where = f"{name} version {one.version} at {one.stage}"
                if one.demoted is not None:
                    _tell(outbox, f"{where}: may only reduce from now on: {'; '.join(one.wrong)}", f"{where} demoted")
                if one.soon:
                    _tell(outbox, f"{where}: {one.soon}", f"{where} expires", Severity.WARNING, "expires", WEEK)
                if one.failed:
                    _tell(outbox, f"{where}: the rules of demotion: {one.failed}", f"{where} judged")
    except Exception as error:
        said = str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__} {error}"
        _tell(outbox, f"the rules of demotion judged nobody: {said}", "rules")


def _tell(
    outbox: Outbox,
    text: str,
    cooldown: str,
    severity: Severity = Severity.CRITICAL,
    kind: str = "demotion",
    quiet: timedelta = COOLDOWN,
) -> None:
    line = " ".join(text.split())
    logger.log(logging.ERROR if severity is Severity.CRITICAL else logging.WARNING, "%s", line)
    try:
        outbox.post(severity, kind, line, cooldown=cooldown, quiet=quiet)
    except WorkbenchError as error:
        logger.critical("%s; and it could not be written down: %s", line, error)
