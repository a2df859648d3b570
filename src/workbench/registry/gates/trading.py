"""Did it trade as it was simulated? Judged on the record of the stage that is left: paper, then staged live."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from datetime import date, timedelta
from itertools import groupby
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from workbench.registry.gates.case import LEAVES, Case
from workbench.registry.gates.facts import Unknown
from workbench.registry.gates.gate import STRICT, Count, Days, Share, counted, fails, named, number, passes, percent
from workbench.registry.gates.verdict import Outcome, Verdict

SATURDAY = 5
NOT_HELD = "not yet: "


@dataclass(frozen=True, config=STRICT)
class LiveDays:
    """It ran long enough, without gaps, and until now."""

    min_days: Days
    min_share: Share
    max_age_days: Days
    name: ClassVar[str] = "live_days"
    of_record: ClassVar[bool] = True

    @property
    def asked(self) -> str:
        return (
            f"≥ {counted(self.min_days, 'calendar day')}, ≥ {percent(self.min_share)} of weekdays, "
            f"the last ≤ {counted(self.max_age_days, 'day')} ago"
        )

    def judge(self, case: Case) -> Verdict:
        sessions = case.require_record().sessions
        first, last = sessions[0].date, sessions[-1].date
        days, weekdays = (last - first).days, _weekdays(first, last)
        on_weekdays = sum(session.date.weekday() < SATURDAY for session in sessions)
        share, ago = on_weekdays / weekdays if weekdays else 0.0, (case.now.date() - last).days
        measured = (
            f"{counted(days, 'calendar day')} ({first} to {last}), {counted(len(sessions), 'session')} = "
            f"{percent(share, self.min_share)} of weekdays"
        )
        on = f"keep it on {LEAVES[case.to_stage]}"
        if days < self.min_days:
            return fails(self, measured, f"{counted(self.min_days - days, 'day')} too short", f"{on} until then")
        if share < self.min_share:
            return fails(self, measured, "sessions are missing in between", f"{on} without stopping it")
        if case.restores:
            return passes(self, f"{measured}; of a restoration no age is asked")
        if ago > self.max_age_days:
            return fails(self, measured, f"the last session is {counted(ago, 'day')} ago", f"{on} again")
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class LiveTrades:
    """It traded often enough to say anything about its fills."""

    min_trades: Count
    name: ClassVar[str] = "live_trades"
    of_record: ClassVar[bool] = True

    @property
    def asked(self) -> str:
        return f"≥ {counted(self.min_trades, 'trade')}"

    def judge(self, case: Case) -> Verdict:
        record = case.require_record()
        measured = f"{counted(record.trades, 'trade')} in {counted(len(record.sessions), 'session')}"
        if record.trades < self.min_trades:
            remedy = f"keep it on {LEAVES[case.to_stage]} until it has traded enough"
            return fails(self, measured, f"{self.min_trades - record.trades:,} too few", remedy)
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class PositionsEqual:
    """The research code, run again on each session's data, gives the positions that were held.

    Where it gives them but for what the limits denied or nobody filled, a person says why that is right.
    """

    name: ClassVar[str] = "positions_equal"
    of_record: ClassVar[bool] = True

    @property
    def asked(self) -> str:
        return "equal in every session, each compared"

    def judge(self, case: Case) -> Verdict:
        sessions = case.require_record().sessions
        equal = [session.date for session in sessions if session.positions_equal is True]
        apart = [one for one in sessions if one.positions_equal is False]
        odd = [str(one.date) for one in apart if not one.explained]
        unknown = [str(session.date) for session in sessions if session.positions_equal is None]
        measured = f"equal in {len(equal)} of {counted(len(sessions), 'session')}"
        if odd:
            why = f"other positions on {named(odd)}"
            return fails(self, measured, why, f"find out why live and research differ, {anew(case)}")
        if unknown:
            again = f"compute the positions of those again: workbench parity {case.pack.name}"
            return fails(self, measured, f"not compared on {named(unknown)}", again)
        if apart:
            why = (
                f"by what the limits denied or nobody filled on {named([str(one.date) for one in apart])}; the second "
                "approver must write why it is right all the same"
            )
            return fails(self, measured, why, case.approve_with_reason, Outcome.REVIEW)
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class Slippage:
    """What fills cost beside the price that was decided on is what the simulation took for it, up or down."""

    within_share: Share
    name: ClassVar[str] = "slippage"
    of_record: ClassVar[bool] = True

    @property
    def asked(self) -> str:
        return f"within {percent(self.within_share)} of the model"

    def judge(self, case: Case) -> Verdict:
        record = case.require_record()
        paid, model = record.slippage_bps, record.slippage_model_bps
        on = f"keep it on {LEAVES[case.to_stage]} until it has fills"
        if record.fills < 1 or paid is None or model is None:
            raise Unknown(f"no slippage was measured in {counted(record.fills, 'fill')}", on)
        if model <= 0.0:
            raise Unknown(
                f"the model takes slippage for {model:g} bps: nothing can be near it",
                f"set costs.spread_bps in params/base.yaml, then: {case.again}",
            )
        off = paid / model - 1.0
        measured = (
            f"{number(paid)} bps against {number(model)} in {counted(record.fills, 'fill')}: "
            f"{'+' if off > 0 else ''}{percent(off, self.within_share, -self.within_share)}"
        )
        if abs(off) > self.within_share:
            why = "the simulation paid too little" if off > 0 else "the simulation paid too much, or fills are too kind"
            return fails(self, measured, why, f"set costs.spread_bps to what is paid, then: {case.again}")
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class NoSevereBreaks:
    """No reconciliation found that account and journal disagree."""

    name: ClassVar[str] = "no_severe_breaks"
    of_record: ClassVar[bool] = True

    @property
    def asked(self) -> str:
        return "no severe reconciliation break"

    def judge(self, case: Case) -> Verdict:
        sessions = case.require_record().sessions
        breaks = [(session.date, found) for session in sessions for found in session.breaks]
        severe = [f"{day} {found.text}" for day, found in breaks if found.severity == "severe"]
        measured = f"{len(severe)} severe of {counted(len(breaks), 'break')} in {counted(len(sessions), 'session')}"
        if severe:
            return fails(self, measured, named(severe), f"mend the cause, {anew(case)}")
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class CapitalStepped:
    """Staged live began with the smallest capital and rose one step at a time to the last, each held for a while."""

    steps: Annotated[list[float], Field(min_length=1)]
    min_sessions: Count
    name: ClassVar[str] = "capital_stepped"
    of_record: ClassVar[bool] = True

    @property
    def asked(self) -> str:
        steps = ", ".join(f"${step:,.0f}" for step in self.steps)
        return f"{steps}: one step at a time to the last, ≥ {counted(self.min_sessions, 'session')} each"

    def judge(self, case: Case) -> Verdict:
        held = [
            (capital, len(list(some)))
            for capital, some in groupby(session.capital for session in case.require_record().sessions)
        ]
        amounts = [capital for capital, _ in held]
        measured = ", ".join(f"${capital:,.0f} for {counted(count, 'session')}" for capital, count in held[:6])
        remedy = f"trade it again from ${self.steps[0]:,.0f} on, one step at a time"
        strange = [f"${amount:,.2f}" for amount in amounts if not self.steps[0] <= amount <= self.steps[-1]]
        # A way up counts that begins on the first step; who made a mistake on one begins the next there.
        begun = [place for place, amount in enumerate(amounts) if amount == self.steps[0]]
        found = [self._missing(held[place:]) for place in begun]
        if "" in found:
            return passes(self, measured)
        if strange:
            return fails(self, measured, f"{named(strange)} is none of the steps", remedy)
        if not found:
            return fails(self, measured, f"it began with ${amounts[0]:,.0f}", remedy)
        if found[-1].startswith(NOT_HELD):
            remedy = f"raise it step by step to ${self.steps[-1]:,.0f}, and keep it there"
        return fails(self, measured, found[-1].removeprefix(NOT_HELD), remedy)

    def _step(self, amount: float) -> int:
        """Return the place of the highest step that an amount reaches, -1 below the first."""
        return bisect_right(self.steps, amount) - 1

    def _missing(self, held: list[tuple[float, int]]) -> str:
        """Say what is wrong with a way up that begins on the first step, or nothing.

        What lies between two steps has proved the lower one, and risked the higher. To go down is no mistake, nor to
        go back up to where it was.
        """
        before, highest, proved = 0, 0, Counter[int]()
        for amount, sessions in held:
            if not self.steps[0] <= amount <= self.steps[-1]:
                return f"${amount:,.2f} is none of the steps"
            risked = bisect_left(self.steps, amount)
            if risked > highest and risked > before + 1:
                return f"from ${self.steps[before]:,.0f} it leapt to ${self.steps[risked]:,.0f}"
            if risked > highest and proved[highest] < self.min_sessions:
                return f"raised from ${self.steps[highest]:,.0f} after {counted(proved[highest], 'session')}"
            before, highest = risked, max(highest, risked)
            proved[self._step(amount)] += sessions
        (last, sessions), top = held[-1], self.steps[-1]
        if proved[len(self.steps) - 1] < self.min_sessions:
            so_far = f"at ${last:,.0f} for {counted(sessions, 'session')} by now"
            return f"{NOT_HELD}${top:,.0f} was not held for {counted(self.min_sessions, 'session')}: it is {so_far}"
        if last != top:
            return f"{NOT_HELD}it is at ${last:,.0f} by now, and must be at ${top:,.0f} when it is promoted"
        return ""


def anew(case: Case) -> str:
    """Return how a stage is begun anew: a record is of one version, and another version begins one of its own."""
    name, version = case.pack.name, case.version or "N"
    return (
        f'then begin anew with evidence of its own: workbench retire {name} --version {version} --reason "…", then: '
        f"workbench evidence {name} --fresh"
    )


def _weekdays(first: date, last: date) -> int:
    """Return how many days from Monday to Friday there are, both ends included."""
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return sum(day.weekday() < SATURDAY for day in days)
