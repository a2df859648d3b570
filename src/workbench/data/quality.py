"""Validate and publish: what waits in staging is checked, the sound rows enter the lake, the others go to quarantine.

>>> reports = validate_staged(lake)
>>> require_published(reports)         # raises BatchRefused when a batch was refused whole
>>> overview(reports)                  # one row a batch, for the notebook
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import polars as pl

from workbench.data import evidence, second_source
from workbench.data.datasets import DATASETS, Dataset, dataset
from workbench.data.lake import WAIT_SECONDS, Lake
from workbench.data.rules import DUPLICATE, Bounds, rules
from workbench.data.staging import Staged, waiting
from workbench.data.suite import Outcome, examine
from workbench.data.table import locked
from workbench.data.validated import Validated
from workbench.errors import BatchRefused, InputRefused
from workbench.sessions import Calendar

# Splits and dividends explain jumps in prices, so they are published first.
ORDER = ("symbols", "actions", *(name for name in DATASETS if name not in ("symbols", "actions")))
# A bar's predecessor is looked for this far back: long enough for a halt, short enough to read fast.
DAYS_BEFORE = 30


@dataclass(frozen=True)
class Check:
    """One line of a report: a rule, what Great Expectations was asked, and how many rows broke it."""

    rule: str
    expectation: str
    column: str
    broken: int
    passed: bool
    reason: str


@dataclass(frozen=True)
class Report:
    """What became of one batch. ``refused`` says why nothing of it was published, and is None where something was."""

    dataset: str
    market: str
    source: str
    batch: str
    rows: int
    published: int
    unchanged: int
    quarantined: Mapping[str, int]
    refused: str | None
    version_before: int | None
    version_after: int | None
    checks: tuple[Check, ...]
    compared: second_source.Comparison | None = None  # with what other sources said of the same facts

    @property
    def passed(self) -> bool:
        """Whether every row of the batch is in the lake."""
        return self.refused is None and not self.quarantined

    def to_frame(self) -> pd.DataFrame:
        """Return the checks as a table, the broken ones first."""
        frame = pd.DataFrame([asdict(check) for check in self.checks])
        return frame.sort_values("broken", ascending=False, kind="stable", ignore_index=True)

    def to_json(self) -> str:
        """Return the whole report as JSON."""
        return json.dumps(asdict(self), indent=1)


def validate_staged(
    lake: Lake,
    staged_root: Path | None = None,
    *,
    now: datetime | None = None,
    calendar: Calendar | None = None,
    bounds: Bounds | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> list[Report]:
    """Check every batch that waits, publish what is sound, and return one report a batch; nothing waits: no reports.

    A batch leaves staging only when its rows are in the lake and in quarantine, so that a validation that was stopped
    can simply run again. A refused batch is moved to staged/<market>/refused/ with its report.
    """
    root, now = staged_root or lake.staged_root, now or datetime.now(UTC)
    if now.tzinfo is None:
        raise InputRefused(f"validation: now {now} has no time zone; pass datetime.now(UTC)")
    audit = _Audit(lake, now.astimezone(UTC), calendar or Calendar(), bounds or Bounds())
    reports = []
    busy = "validation: process {holder} is validating the same batches"
    with locked(root / lake.market / "_validate.lock", busy, wait_seconds):
        batches = sorted(waiting(lake.market, root), key=lambda staged: ORDER.index(staged.dataset))
        audit.staged_prices = [staged for staged in batches if staged.dataset == "prices_daily"]
        for staged in batches:
            report = audit.settle(staged)
            if report.refused is None:
                staged.done()
            else:
                staged.set_aside(report.to_json())
            reports.append(report)
    return reports


def require_published(reports: Sequence[Report]) -> None:
    """Raise BatchRefused, with every reason, when a batch was refused whole."""
    refused = [report for report in reports if report.refused is not None]
    if refused:
        where = f"kept in staged/{refused[0].market}/refused/ with the report"
        raise BatchRefused("; ".join(str(report.refused) for report in refused) + f"; {where}")


def overview(reports: Sequence[Report]) -> pd.DataFrame:
    """Return one row a batch: what was published, what was kept out and why."""
    columns = ("dataset", "source", "rows", "published", "unchanged", "refused", "version_before", "version_after")
    return pd.DataFrame(
        [
            {column: getattr(report, column) for column in columns}
            | {"quarantined": ", ".join(f"{rule} {count}" for rule, count in report.quarantined.items())}
            | {"second_source": "" if report.compared is None else str(report.compared)}
            for report in reports
        ],
        columns=[*columns[:5], "quarantined", "second_source", *columns[5:]],
    )


def require_fresh(
    lake: Lake, name: str, now: datetime, max_age_sessions: int | None, calendar: Calendar | None = None
) -> None:
    """Raise StaleData when too many sessions have closed since the newest row; None allows any age."""
    if max_age_sessions is not None:
        (calendar or Calendar()).require_fresh(lake.newest(name), now, max_age_sessions, f"{lake.market} {name}")


@dataclass(frozen=True)
class Audited:
    """What a second look at a published table found: sound files, and rows that break a rule of today.

    Broken rows that a person released are counted apart: somebody answered for them.
    """

    dataset: str
    version: int
    files: int
    rows: int
    broken: int
    rules: tuple[str, ...]
    released: int = 0


def audit(lake: Lake, *, now: datetime | None = None, bounds: Bounds | None = None) -> list[Audited]:
    """Compare every file of every table with its digest, and ask every rule of the published rows again."""
    again = _Audit(lake, (now or datetime.now(UTC)).astimezone(UTC), Calendar(), bounds or Bounds())
    found = []
    for name, version in lake.versions().items():
        contract, rows = dataset(name), lake.read(name)
        outcomes = examine(contract, rules(contract, again.bounds), again._with_evidence(contract, rows))
        bad = rows.with_columns(_broken_rows(outcomes, len(rows))["rule"]).filter(pl.col("rule") != "")
        answered_for = bad.join(lake.released(name), on=list(contract.schema), how="semi", nulls_equal=True)
        bad = bad.join(answered_for, on=list(contract.schema), how="anti", nulls_equal=True)
        found.append(
            Audited(name, version, lake.verify(name), len(rows), len(bad), tuple(_counts(bad)), len(answered_for))
        )
    return found


class _Audit:
    """One run of validation: the lake it publishes to, and what its rules need to know."""

    def __init__(self, lake: Lake, now: datetime, calendar: Calendar, bounds: Bounds) -> None:
        self.lake, self.now, self.calendar, self.bounds = lake, now, calendar, bounds
        self.staged_prices: list[Staged] = []

    def settle(self, staged: Staged) -> Report:
        """Examine one batch, then publish its sound rows or refuse it whole.

        1. Rules on rows and on duplicate keys: Great Expectations.
        2. What another source said of the same facts: a row that differs counts as broken, one that agrees is not news.
        3. Rules on the batch: too much is broken, off the calendar, or missing.
        4. Publish the sound rows; a contradiction with what is stored refuses the batch.
        5. Put the broken rows into quarantine.
        """
        contract, rows = dataset(staged.dataset), staged.rows()
        before = self.lake.versions().get(contract.name)
        outcomes = examine(contract, rules(contract, self.bounds), self._with_evidence(contract, rows))
        stored = self.lake.around(contract.name, rows)
        shared, differs, compared = second_source.compare(contract, rows, stored, self.bounds)
        broken = _broken_rows(outcomes, len(rows), {second_source.RULE: differs})
        bad = broken.filter(pl.col("rule") != "")
        refused = self._reason_to_refuse(contract, staged, rows, outcomes, len(bad), compared)
        published = unchanged = 0
        after = before
        if refused is None:
            sound = rows.filter((broken["rule"] == "") & ~shared)
            unchanged = int(((broken["rule"] == "") & shared).sum())
            passed = f"batch {staged.digest[:12]} of source '{staged.source}' passed {len(outcomes)} checks"
            try:
                done = self.lake.publish(Validated(contract.name, sound, passed)) if len(sound) else None
            except BatchRefused as contradiction:
                refused = str(contradiction)
            else:
                if done is not None:
                    published, after = done.added + done.corrected, done.version
                    unchanged += done.unchanged
        if refused is None and len(bad):
            kept = rows.with_columns(broken["rule"]).filter(pl.col("rule") != "")
            self.lake.add_to_quarantine(
                contract.name, kept.with_columns(batch=pl.lit(staged.digest), quarantined_at=pl.lit(self.now))
            )
        return Report(
            dataset=contract.name,
            market=self.lake.market,
            source=staged.source,
            batch=staged.digest,
            rows=len(rows),
            published=published,
            unchanged=unchanged,
            quarantined=_counts(bad) if refused is None else {},
            refused=refused,
            version_before=before,
            version_after=after,
            checks=tuple(_check(outcome) for outcome in outcomes),
            compared=compared,
        )

    def _with_evidence(self, contract: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
        rows = evidence.with_named(contract, evidence.with_known_ahead(rows, self.now))
        if contract.name in ("macro", "events"):
            return evidence.with_period_lag(contract, rows)
        if contract.name == "actions":
            rows = evidence.with_session(contract, rows, self.calendar)
            stored = self.lake.around("prices_daily", rows, DAYS_BEFORE)
            prices = [batch.rows().select(stored.columns) for batch in self.staged_prices]
            return evidence.with_dividend_share(rows, pl.concat([stored, *prices]))
        if "close" in contract.columns:
            rows = evidence.with_session(contract, rows, self.calendar)
            return evidence.with_jump(
                contract, rows, self._bars_before(contract, rows), self._actions(), self.bounds.jump
            )
        return rows

    def _bars_before(self, contract: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
        """Return stored bars and, where none is stored, those in quarantine for a jump: else one would lead to more."""
        stored = self.lake.around(contract.name, rows, DAYS_BEFORE)
        jumped = self.lake.quarantine(contract.name).filter(pl.col("rule") == "jump").select(stored.columns)
        key = list(contract.key)
        return pl.concat([stored, jumped.unique(key, keep="last").join(stored, on=key, how="anti")])

    def _actions(self) -> pl.DataFrame:
        if "actions" not in self.lake.versions():
            return pl.DataFrame(schema=dataset("actions").schema)
        return self.lake.read("actions")

    def _reason_to_refuse(
        self,
        contract: Dataset,
        staged: Staged,
        rows: pl.DataFrame,
        outcomes: Sequence[Outcome],
        broken: int,
        compared: second_source.Comparison | None,
    ) -> str | None:
        head = f"{contract.name}: batch {staged.digest[:12]} of source '{staged.source}'"
        by_rule = {
            name: {row for o in outcomes if o.rule.name == name for row in o.broken} for name in _names(outcomes)
        }
        if by_rule[DUPLICATE]:
            row = min(by_rule[DUPLICATE])
            who = " ".join(str(rows[column][row]) for column in contract.key)
            return (
                f"{head} holds {who} twice with the same known_at ({len(by_rule[DUPLICATE])} such rows); "
                "keep one row per key and known_at"
            )
        off = len(by_rule.get("no_session", ()))
        if off > max(self.bounds.off_calendar_share * len(rows), self.bounds.broken_rows):
            return (
                f"{head}: {off} of {len(rows)} rows are on no session of {self.calendar.exchange}, more than "
                f"{self.bounds.off_calendar_share:.0%}; is it of another exchange or time zone?"
            )
        too_many = max(self.bounds.broken_share * len(rows), self.bounds.broken_rows)
        if compared is not None and (compared.differing > too_many or compared.differing == len(rows)):
            return (
                f"{head}: {compared.differing} of {len(rows)} rows differ from what is stored from "
                f"{', '.join(compared.beside)}, more than {self.bounds.broken_share:.0%} (widest: {compared.largest}); "
                "is one of them adjusted, or in another unit?"
            )
        if broken > too_many or broken == len(rows):
            most = max(by_rule, key=lambda name: len(by_rule[name]))
            return (
                f"{head}: {broken} of {len(rows)} rows break a rule, more than {self.bounds.broken_share:.0%}, "
                f"most of them '{most}'; ask the source again"
            )
        return self._thin(contract, staged, rows, head)

    def _thin(self, contract: Dataset, staged: Staged, rows: pl.DataFrame, head: str) -> str | None:
        """Return why a newer session that lacks most of its source's symbols is refused."""
        if "close" not in contract.columns or contract.name not in self.lake.versions():
            return None
        newest, day = self.lake.newest(contract.name), pl.col(contract.time).cast(pl.Date)
        stored = self.lake.read(contract.name, start=newest).filter(pl.col("source") == staged.source)
        last = rows[contract.time].cast(pl.Date).max()
        had, has = (frame[contract.symbol].n_unique() for frame in (stored, rows.filter(day == last)))
        if not isinstance(last, date) or last <= newest or has >= self.bounds.coverage * had:
            return None
        return (
            f"{head} has {has} symbols on {last}, the source's session of {newest} has {had}; less than "
            f"{self.bounds.coverage:.0%} looks cut short: ask for all symbols again"
        )


def _names(outcomes: Sequence[Outcome]) -> list[str]:
    return list(dict.fromkeys(outcome.rule.name for outcome in outcomes))


def _broken_rows(outcomes: Sequence[Outcome], count: int, more: Mapping[str, pl.Series] | None = None) -> pl.DataFrame:
    """Return one row a row of the batch, with the names of the rules that it breaks, or an empty text."""
    pairs = [
        (row, outcome.rule.name) for outcome in outcomes if outcome.rule.name != DUPLICATE for row in outcome.broken
    ]
    pairs += [(row, rule) for rule, mask in (more or {}).items() for row in mask.arg_true().to_list()]
    found = pl.DataFrame(pairs, schema={"row": pl.Int64, "rule": pl.String}, orient="row").unique(maintain_order=True)
    named = found.group_by("row", maintain_order=True).agg(pl.col("rule").str.join(","))
    every = pl.DataFrame({"row": pl.int_range(count, eager=True)})
    return every.join(named, on="row", how="left", maintain_order="left").with_columns(pl.col("rule").fill_null(""))


def _counts(bad: pl.DataFrame) -> dict[str, int]:
    each = bad.select(pl.col("rule").str.split(",").explode().value_counts(sort=True)).unnest("rule")
    return dict(each.iter_rows())


def _check(outcome: Outcome) -> Check:
    rule, broken = outcome.rule, len(outcome.broken)
    return Check(rule.name, rule.expectation, ", ".join(rule.columns), broken, broken == 0, rule.reason)
