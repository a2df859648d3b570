"""Is what the evidence rests on sound: the data, and a past that could not read its future?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic.dataclasses import dataclass

from workbench.registry.gates.case import Case
from workbench.registry.gates.facts import Facts, Unknown
from workbench.registry.gates.gate import STRICT, Count, counted, fails, named, passes
from workbench.registry.gates.verdict import Outcome, Verdict

# The guard's checks that hold a past against another future; the rest ask for other faults.
OTHER_FUTURES = ("comb", "truncation", "as of")


@dataclass(frozen=True, config=STRICT)
class Validation:
    """Every rule of the validation suites holds for the very versions of the tables that were read."""

    name: ClassVar[str] = "validation"

    @property
    def asked(self) -> str:
        return "every suite passed on the versions read"

    def judge(self, case: Case) -> Verdict:
        read = dict(case.facts("data.json").items())
        checked = case.facts("validation.json")
        if not read:
            raise Unknown("data.json names no table that was read", case.again)
        broken, rules, rows = [], 0, 0
        for name, table in read.items():
            suite, version = checked.at(name), table.at("version").count()
            if suite.at("version").count() != version:
                broken.append(f"{name}: version {suite.at('version').count()} was checked, version {version} was read")
            asked, bad = suite.at("rules").rows(), suite.at("broken").at("rows").count()
            rules, rows = rules + len(asked), rows + suite.at("rows").count()
            if not asked:
                broken.append(f"{name}: no rule was asked")
            elif bad or not suite.at("passed").flag():
                broken.append(f"{name}: {counted(bad, 'row')} broke {named(_texts(suite.at('broken').at('rules')))}")
        measured = f"{counted(len(read), 'table')}, {counted(rules, 'rule')}, {counted(rows, 'row')}"
        if broken:
            why = "; ".join(broken)
            return fails(self, f"{measured}, {len(broken)} not as asked", why, f"make data, then: {case.again}")
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class Lookahead:
    """The look-ahead guard found nothing in the strategy as it trades, in its grid's corners, and in its features."""

    min_dates: Count
    name: ClassVar[str] = "lookahead"

    @property
    def asked(self) -> str:
        return f"nothing found, the strategy tried on ≥ {counted(self.min_dates, 'date')}"

    def judge(self, case: Case) -> Verdict:
        reports = case.facts("lookahead.json").at("reports").rows()
        own = [report for report in reports if _is_own(report, case)]
        if not own:
            raise Unknown(
                f"lookahead.json has no report of the strategy {case.pack.name} as it would trade", case.again
            )
        dates = max(_dates(report) for report in own)
        found, doubts = [], []
        for report in reports:
            doubts += [f"{report.at('name').text()}: {doubt}" for doubt in _texts(report.at("doubts"))]
            kinds = [finding.at("kind").text() for finding in report.at("findings").rows()]
            if kinds or not report.at("clean").flag():
                found.append(f"{report.at('name').text()}: {named(list(dict.fromkeys(kinds))) or 'not clean'}")
        measured = f"{counted(len(reports), 'report')}, {counted(dates, 'date')}"
        if found:
            remedy = f"make lookahead STRATEGY={case.pack.name}, mend it, then: {case.again}"
            return fails(self, f"{measured}, {len(found)} with findings", named(found), remedy)
        if dates < self.min_dates:
            return fails(self, measured, "too few dates to be clean by more than chance", case.again)
        if doubts:
            why = named(list(dict.fromkeys(doubts)))
            return fails(self, f"{measured}, {len(doubts)} in doubt", why, case.approve_with_reason, Outcome.REVIEW)
        return passes(self, measured)


def _is_own(report: Facts, case: Case) -> bool:
    """Return whether a report is of the strategy with the parameters that would be traded."""
    if (report.at("kind").text(), report.at("name").text()) != ("strategy", case.pack.name):
        return False
    chosen, tried = case.facts("params.json").at("params"), dict(report.at("params").items())
    plain = {name: value.value for name, value in chosen.items() if not isinstance(value.value, (list, Mapping))}
    return all(name in tried and tried[name].value == value for name, value in plain.items())  # a report has no others


def _dates(report: Facts) -> int:
    checks = report.at("checks").rows()
    return sum(check.at("dates").count() for check in checks if check.at("name").text() in OTHER_FUTURES)


def _texts(facts: Facts) -> list[str]:
    return [item.text() for item in facts.rows()]
