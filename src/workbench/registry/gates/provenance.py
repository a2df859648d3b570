"""Can it be made again, is it what is installed, was nothing tried since, and is it not too old?"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import ClassVar

from pydantic.dataclasses import dataclass

from workbench.registry.gates.case import Case, LedgerFacts
from workbench.registry.gates.facts import Unknown
from workbench.registry.gates.gate import STRICT, Days, counted, fails, named, passes
from workbench.registry.gates.skill import STATISTICS
from workbench.registry.gates.verdict import Outcome, Verdict
from workbench.registry.packs.canonical import short
from workbench.registry.packs.code import Code


@dataclass(frozen=True, config=STRICT)
class CleanCommit:
    """The evidence was made by committed code and settings: its bytes are the commit's, and nothing was set beside."""

    name: ClassVar[str] = "clean_commit"

    @property
    def asked(self) -> str:
        return "a git commit without changes, and the settings of its files"

    def judge(self, case: Case) -> Verdict:
        code = _pack_code(case)
        again = f'git add -A && git commit -m "…", then: {case.again}'
        if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", code.commit):
            raise Unknown(
                f"the pack's commit is '{code.commit}', which is none: outside git, or where git does not "
                "answer, nobody can make it again",
                again,
            )
        if code.changed:
            measured = f"{short(code.commit)} with {counted(len(code.changed), 'changed file')}"
            return fails(self, measured, f"not committed: {named(code.changed)}", again)
        beside = [f"{name} {how.text()}" for name, how in case.facts("params.json").at("set").items()]
        if beside:
            measured = f"commit {short(code.commit)} with {counted(len(beside), 'setting')} of its own"
            why = f"no file says {named(beside, most=len(beside))}; the second approver must write why"
            return fails(self, measured, why, case.approve_with_reason, Outcome.REVIEW)
        return passes(self, f"commit {short(code.commit)}")


@dataclass(frozen=True, config=STRICT)
class SameCode:
    """The files that decide are installed now as they were when the evidence was made."""

    name: ClassVar[str] = "same_code"

    @property
    def asked(self) -> str:
        return "the deciding files as in the pack"

    def judge(self, case: Case) -> Verdict:
        then, now = _pack_code(case), case.code
        if now is None:
            raise Unknown("the code installed now is not known: the strategy cannot be imported", case.again)
        if not then.files or not now.files:
            raise Unknown("no deciding file is named: nothing can be compared", case.again)
        if then.digest != now.digest or then.entry_point != now.entry_point:
            why = now.differs_from(then) or f"{now.entry_point} is the entry point now, {then.entry_point} was"
            return fails(self, f"{short(now.digest)}, the pack has {short(then.digest)}", why, case.again)
        return passes(self, f"{counted(len(now.files), 'file')}, digest {short(now.digest)}")


@dataclass(frozen=True, config=STRICT)
class Ledger:
    """The trial ledger holds what it held when the pack was made, and nothing was given up: all tries count."""

    name: ClassVar[str] = "ledger"

    @property
    def asked(self) -> str:
        return "the pack's head in a whole chain, nothing lost"

    def judge(self, case: Case) -> Verdict:
        ledger = _ledger(case)
        head = short(case.facts("trials.json").at("head").text())
        measured = f"head {head}, {counted(ledger.trials_at_pack, 'trial')} then, {ledger.trials_now:,} now"
        restore = "restore data/state/trials.db from a backup, then: workbench trials"
        if not ledger.head_found:
            return fails(self, f"head {head} not found", ledger.why or "the ledger does not hold it", restore)
        if ledger.trials_now < ledger.trials_at_pack:
            return fails(self, measured, "trials were taken out of the ledger", restore)
        missing = dict(case.facts(STATISTICS).at("overfitting").at("missing").items())
        lost = ledger.lost or ((missing["trials"].text(),) if "trials" in missing else ())
        if lost:
            why = "nobody knows how much was tried; the second approver must write why it is skill all the same"
            remedy = case.approve_with_reason
            return fails(self, f"{measured}; {named(lost, most=len(lost))}", why, remedy, Outcome.REVIEW)
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class NoLaterTrials:
    """Nothing was tried for the question after the pack: its count of trials is the whole count."""

    name: ClassVar[str] = "no_later_trials"

    @property
    def asked(self) -> str:
        return "no trial of the question after the pack"

    def judge(self, case: Case) -> Verdict:
        ledger = _ledger(case)
        if not ledger.head_found:
            raise Unknown(
                f"the ledger does not hold the pack's head ({ledger.why or 'no reason given'})", "workbench trials"
            )
        later = ledger.trials_now - ledger.trials_at_pack
        measured = f"{counted(later, 'trial')} after {ledger.trials_at_pack:,}"
        if later < 0:
            raise Unknown(f"the ledger lost {counted(-later, 'trial')}", "workbench trials")
        if later:
            return fails(self, measured, "the evidence does not count them", case.again)
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class PackAge:
    """The evidence is of now: not expired, not from the future, and valid for no longer than the policy gives."""

    max_days: Days
    name: ClassVar[str] = "pack_age"

    @property
    def asked(self) -> str:
        return f"≤ {counted(self.max_days, 'day')} old"

    def judge(self, case: Case) -> Verdict:
        made, expires, now = case.pack.made_at, case.pack.expires_at, case.now
        measured = f"{counted(max((now - made).days, 0), 'day')}, valid until {expires:%Y-%m-%d}"
        if now < made:
            why = f"the pack was made at {made:%Y-%m-%d %H:%M} UTC, in the future: check this machine's clock"
            return fails(self, measured, why, "timedatectl")
        if not made < expires <= made + timedelta(days=self.max_days):
            why = f"it claims to be valid for {counted((expires - made).days, 'day')}"
            return fails(self, measured, why, case.again)
        if now >= expires:
            return fails(self, measured, "the evidence has expired", case.again)
        return passes(self, measured)


def _pack_code(case: Case) -> Code:
    if case.pack.code is None:
        raise Unknown("the pack names no code", case.again)
    return case.pack.code


def _ledger(case: Case) -> LedgerFacts:
    if case.ledger is None:
        raise Unknown("the trial ledger was not read", "workbench trials")
    counts = (case.ledger.trials_at_pack, case.ledger.trials_now)
    if any(type(count) is not int or count < 0 for count in counts) or counts[0] < 1:
        raise Unknown(
            f"the ledger counts {counts[0]} trials at the pack and {counts[1]} now, which cannot be", "workbench trials"
        )
    kept = case.facts("trials.json").at("trials").count()
    if kept != counts[0]:
        raise Unknown(f"the pack counts {counted(kept, 'trial')}, the ledger {counts[0]:,} at its head", case.again)
    return case.ledger
