"""What a person does when it matters: stop, close, resume, confirm a large order, see the limits in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.edge import Set, read_settings, show_table
from workbench.errors import BrokerError, InputRefused, WorkbenchError

if TYPE_CHECKING:
    from datetime import datetime

    from workbench.live.journal.journal import Journal
    from workbench.live.limits import Limits, Watch
    from workbench.params import Paths, Settings

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays in the journal.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who you are; without it, your login.")]
Wait = Annotated[float, typer.Option("--timeout", help="Seconds until it says that the account is not flat.")]


def kill(
    reason: Reason,
    by: By = "",
    keep: Annotated[bool, typer.Option("--keep-positions", help="Halt and cancel, but close nothing.")] = False,
    timeout: Wait = 60.0,
    set_: Set = None,
) -> None:
    """Stop now: halt, cancel every order, close every position, and confirm it at the broker."""
    _stop(set_, reason, by, close=not keep, timeout=timeout)


def flatten(reason: Reason = "", by: By = "", timeout: Wait = 60.0, set_: Set = None) -> None:
    """Close every position, once more where a stop did not reach it; trading is halted, or it would be opened again."""
    _stop(set_, reason or "everything is closed by hand", by, close=True, timeout=timeout)


def resume(reason: Reason, by: By = "", set_: Set = None) -> None:
    """Bring trading back after a stop, or from reducing only."""
    from workbench.live import operator
    from workbench.live.halt import HaltFile

    paths, settings = read_settings(set_)
    account = account_here(settings, paths)
    journal = open_journal(settings, paths)
    try:
        before = operator.resume(journal, HaltFile(paths, account), who=by or login(), reason=reason)
    finally:
        journal.close()
    print(f"account {account}: was {before}; trading is active. The runner was stopped with it: start it again.")


def confirm(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The order that waits, as the denial names it.")],
    by: By = "",
    set_: Set = None,
) -> None:
    """Let a large order pass that waits for a person; the gate is asked once more before it is sent."""
    from workbench.live import operator

    paths, settings = read_settings(set_)
    journal = open_journal(settings, paths)
    try:
        now = account_time(journal, settings, paths)
        order = operator.confirm(journal, key, who=by or login(), now=now).order
    finally:
        journal.close()
    print(
        f"confirmed: {order.side} {order.quantity:,} {order.symbol} ({key}); the runner sends it if nothing else denies"
    )


def limits(set_: Set = None) -> None:
    """Show the limits in force, and what the file says that is not."""
    from workbench.clock import read_clock
    from workbench.live import operator
    from workbench.live.gate.rule import shown

    paths, settings = read_settings(set_)
    profile = operator.profile_of(settings)
    journal = open_journal(settings, paths)
    try:
        watch = operator.watch_limits(journal, settings, paths, read_clock(settings.market, paths).now)
        reading = watch.poll()
    finally:
        journal.close()
    rows = [[name, shown(value), _stricter(name)] for name, value in reading.limits.model_dump().items()]
    title = f"Limits in force · profile {profile} · {settings.live.mode} account · {reading.limits.digest[:12]}"
    show_table(title, ["limit", "value", "stricter is"], rows)
    if reading.refused:
        print(reading.refused)
    _say_promoted(watch, reading.limits, broker=settings.live.mode != "embedded")


def _say_promoted(watch: Watch, now: Limits, *, broker: bool) -> None:
    """Say where the promoted limits that stand are tighter than those in force, or that none stand for looser ones."""
    from workbench.live.limits import Limits, loosened

    try:
        version, tighter = watch.bound()
    except WorkbenchError as error:
        print(f"what was promoted cannot be asked: {error}")
        return
    if tighter:
        print(f"from the next session on, by {version} of the promoted limits: {', '.join(map(str, tighter))}")
    loose = () if version or not broker else loosened(Limits(), now)
    if loose:
        print(
            f"no promoted limits stand for this any more, and it stays in force until params/risk/{watch.profile}.yaml "
            f"is tighter: {', '.join(map(str, loose))}"
        )


def _stop(set_: list[str] | None, reason: str, by: str, *, close: bool, timeout: float) -> None:
    import logging

    from workbench.live.connect import for_the_stop
    from workbench.live.kill import emergency_stop

    logging.getLogger("ib_async").setLevel(logging.CRITICAL)  # what fails is told once, by us
    paths, settings = read_settings(set_)
    broker = for_the_stop(settings, paths)
    try:
        stopped = emergency_stop(
            settings, paths, broker, reason=reason, who=by or login(), close=close, timeout=timeout
        )
    finally:
        broker.close()
    for trouble in stopped.troubles:
        print(f"  {trouble}")
    if not stopped.flat:
        raise BrokerError(str(stopped))
    print(f"halted; {stopped}. To trade again: make resume")


def account_time(journal: Journal, settings: Settings, paths: Paths) -> datetime:
    """Return what time it is on the account: the embedded one's is that of its last session."""
    from workbench.clock import read_clock

    last = journal.book.last
    return last.at if last and settings.live.mode == "embedded" else read_clock(settings.market, paths).now()


def open_journal(settings: Settings, paths: Paths) -> Journal:
    """Open the journal of the account that these settings name."""
    from workbench.live.journal.journal import Journal

    return Journal.open(settings, paths, account_here(settings, paths))


def account_here(settings: Settings, paths: Paths) -> str:
    """Return the account of the settings; a login's only account is named by what was traded here."""
    from workbench.live.connect import account_of

    if account := account_of(settings):
        return account
    found = sorted(file.name.split(".")[1] for file in paths.state.glob(".*.sending.lock"))
    broker = [name for name in found if name.startswith("DU")]
    if len(broker) == 1:
        return broker[0]
    raise InputRefused(
        f"live.account is empty and {len(broker)} accounts were traded here; name it: --set live.account=DU1234567"
    )


def _stricter(name: str) -> str:
    return "more" if name.startswith("min_") else "less"


def login() -> str:
    """Return who is typing, as this machine knows it."""
    from getpass import getuser

    try:
        return getuser()
    except (KeyError, OSError) as error:
        raise InputRefused("this login has no name; say who you are: --by NAME") from error
