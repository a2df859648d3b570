"""What time it is: this machine's, or simulated time, which a project of the sample market may be put on for good.

>>> clock = read_clock(settings.market, paths)
>>> clock.now()          # for evidence, proposals, signatures, the record, gates, the loader and the track record alike

Simulated time stands still until sessions are traded in it. It only goes forward, nothing made in it is ever believed
outside of it, and no account of a broker is traded by it (docs/promotion.md).
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from workbench.disk import short, write_whole, writing
from workbench.errors import DataRefused, InputRefused
from workbench.paths import Paths

FILE = "clock.json"
FORMAT = 1
FORM = "%Y-%m-%dT%H:%M:%SZ"
MARKET = "sample"  # the only one in which time may be simulated
# A real gateway tells the machine's time: what is nearer to it than this cannot be told from a real one.
APART = timedelta(days=1)
BACK = timedelta(minutes=5)  # as much as two clocks may differ


class Clock(Protocol):
    """What time it is, and whether it is simulated."""

    @property
    def simulated(self) -> bool:
        """Whether everything that follows from this time is a simulation, too."""
        ...

    def now(self) -> datetime:
        """Return the time."""
        ...

    def advance(self, moment: datetime) -> None:
        """Let simulated time go on to a moment; the machine's goes by itself."""
        ...

    def follow(self, told: datetime) -> None:
        """Go by the clock of the gateway that is traded at, where time is simulated; a real gateway is refused."""
        ...


class MachineClock:
    """The time of this machine."""

    simulated = False

    def now(self) -> datetime:
        """Return the time of this machine."""
        return datetime.now(UTC)

    def advance(self, moment: datetime) -> None:
        """Do nothing: real time goes by itself."""

    def follow(self, told: datetime) -> None:
        """Do nothing: a gateway's clock moves no real time."""


class SimulatedClock:
    """Simulated time, kept in data/state/clock.json: it stands still until it is moved, and is moved forward only."""

    simulated = True

    def __init__(self, file: Path) -> None:
        self.file = file
        self._told: tuple[datetime, float] | None = None  # by a gateway, and when that was
        self._read()  # a damaged file is refused at once

    def now(self) -> datetime:
        """Return the simulated time; at a gateway it goes on as the gateway's does."""
        if self._told is None:
            return self._read()
        told, heard = self._told
        return max(self._read(), told + timedelta(seconds=time.monotonic() - heard))

    def advance(self, moment: datetime) -> None:
        """Let time go on to a moment; it never goes back."""
        now = self._read()
        if moment < now:
            raise InputRefused(
                f"{short(self.file)}: simulated time is {now:{FORM}}, and {moment:{FORM}} is before it; "
                "time only goes forward"
            )
        _write(self.file, moment)

    def follow(self, told: datetime) -> None:
        """Go by a gateway's clock; one that tells this machine's time may be a real one, and is refused."""
        now, machine = self._read(), datetime.now(UTC)
        if abs(told - machine) < APART:
            raise InputRefused(
                f"the gateway says it is {told:{FORM}}, as this machine does, so it may be a real one; under simulated "
                f"time only a simulated gateway is traded at: workbench tws-sim --start {now:{FORM}}"
            )
        if told < now - BACK:
            raise InputRefused(
                f"the gateway says it is {told:{FORM}}, simulated time is {now:{FORM}}; time only goes forward: "
                f"workbench tws-sim --start {now:{FORM}}"
            )
        self._told = told, time.monotonic()
        self.advance(max(told, now))

    def _read(self) -> datetime:
        try:
            facts = json.loads(self.file.read_text())
            if facts["format"] != FORMAT or facts.keys() != {"format", "now"}:
                raise ValueError("format")
            return datetime.strptime(facts["now"], FORM).replace(tzinfo=UTC)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DataRefused(
                f"{short(self.file)}: damaged ({' '.join(str(error).split())}), so nobody knows what time it is in "
                "this project; restore it from a backup"
            ) from error


def read_clock(market: str, paths: Paths) -> Clock:
    """Return the clock of a project; simulated time with any other market than the sample one is refused."""
    file = paths.state / FILE
    if not file.exists():
        return MachineClock()
    if market != MARKET:
        raise InputRefused(
            f"market '{market}': this project is on simulated time ({paths.short(file)}), which is for the {MARKET} "
            "market alone; use another clone"
        )
    return SimulatedClock(file)


def simulate(market: str, paths: Paths, start: datetime) -> Clock:
    """Put a project on simulated time, for good."""
    file = paths.state / FILE
    machine = datetime.now(UTC)
    if market != MARKET:
        raise InputRefused(f"clock: time is simulated for the {MARKET} market alone, this project is on '{market}'")
    if file.exists():
        raise InputRefused(
            f"clock: this project is on simulated time already, it is {SimulatedClock(file).now():{FORM}}; it goes on "
            "with the sessions that are traded"
        )
    if start.tzinfo is None or start > machine - APART:
        raise InputRefused(f"clock: {start.isoformat()}: name a moment of the past with its zone, 2024-08-30T20:00:00Z")
    _write(file, start)
    return SimulatedClock(file)


def kind_of_time(simulated: bool) -> str:
    """Return what a person calls it: simulated or real."""
    return "simulated" if simulated else "real"


def _write(file: Path, moment: datetime) -> None:
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        # To the second that has begun: what was known by then was known.
        content = {"format": FORMAT, "now": f"{moment.astimezone(UTC):{FORM}}"}
        write_whole(file, json.dumps(content) + "\n", flushed=True)
