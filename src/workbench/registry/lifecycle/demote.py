"""Demotion: a version stays at its stage and may only reduce; by hand with a reason, or by rules over its record.

Rules: a drawdown that 99 % of the past's own paths stay above, drift of a model's features, positions that research
does not compute, a severe break, evidence or a model that expired, a record that cannot be judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from workbench.errors import DataRefused, PromotionRefused, WorkbenchError
from workbench.registry.gates.models import CARD
from workbench.registry.gates.track_record import TrackRecord
from workbench.registry.lifecycle.breaches import breaches, last_seen, since
from workbench.registry.lifecycle.desk import Desk
from workbench.registry.lifecycle.evaluation import anew
from workbench.registry.lifecycle.rollback import reason_of
from workbench.registry.lifecycle.stages import DEMOTE, REDUCE_ONLY, TRADED
from workbench.registry.lifecycle.state import Standing, State
from workbench.registry.lifecycle.transition import Transition
from workbench.registry.loader.cache import Cache
from workbench.registry.loader.fetch import Away, fetch
from workbench.registry.loader.load import FOLDER
from workbench.registry.packs.candidate import Candidate, candidate_from
from workbench.registry.packs.canonical import read_moment, short
from workbench.registry.packs.files import Unanswered
from workbench.registry.packs.lines import promote_line
from workbench.registry.packs.pack import Pack

CHECKER = "workbench demote --check"
SPARE = timedelta(days=14)  # beside the days that new evidence is watched for


@dataclass(frozen=True)
class Checked:
    """What the rules say of one version where it stands; nothing wrong: it goes on."""

    name: str
    stage: str
    version: int
    wrong: tuple[str, ...]
    seen: str  # what there was to judge
    demoted: Transition | None = None
    failed: str = ""  # why there is no verdict, or why what was recorded is not shown
    soon: str = ""  # what of it ends before new evidence could stand there, and what to do


def demote(desk: Desk, state: State, version: int, reason: str, who: str = "") -> Transition:
    """Set a version to reduce-only where it stands."""
    known = state.version(version)
    if known.stage not in TRADED:
        raise PromotionRefused(
            f"{state.name} version {version}: stands at {known.stage}, where nothing is traded; nothing to demote"
        )
    step = Transition(
        kind=state.kind,
        name=state.name,
        version=version,
        action=DEMOTE,
        from_stage=known.stage,
        to_stage=known.stage,
        pack=known.pack,
        who=who or desk.who,
        at=desk.now,
        reason=reason_of(reason),
        mode=REDUCE_ONLY,
    )
    placed = desk.record.append(step, after=state)
    desk.show(placed)
    return placed


def check(desk: Desk, state: State) -> list[Checked]:
    """Hold every version that stands somewhere against the rules, and demote at once what breaks one.

    What cannot be looked at, because MLflow is away and no copy of it is kept here, gets no verdict and is told.
    """
    found = []
    for stage in TRADED:
        standing = state.standing.get(stage)
        if standing is None:
            continue
        try:
            wrong, seen, soon = examine(desk, state, stage, standing)
        except WorkbenchError as error:
            found.append(Checked(state.name, stage, standing.version, (), "nothing", failed=str(error)))
            continue
        done, failed = None, ""
        if wrong and standing.mode != REDUCE_ONLY:
            try:
                done = demote(desk, state, standing.version, "; ".join(wrong), who=CHECKER)
            except WorkbenchError as error:
                failed = str(error)
            state = desk.record.state(state.kind, state.name)
            last = state.last
            if failed and last and (last.action, last.version, last.who) == (DEMOTE, standing.version, CHECKER):
                done = last  # recorded, and not shown
        found.append(Checked(state.name, stage, standing.version, tuple(wrong), seen, done, failed, soon))
    return found


def examine(desk: Desk, state: State, stage: str, standing: Standing) -> tuple[list[str], str, str]:
    """Return what is wrong with a version where it stands, what it was judged by, and what of it ends soon."""
    try:
        candidate = evidence(desk, state, stage, standing)
    except Away:
        raise
    except DataRefused as error:
        return [f"its evidence cannot be verified: {error}"], "nothing", ""
    wrong, seen = _judged(desk, state, stage, standing, candidate.pack, last_seen(candidate, standing, desk.now))
    return wrong, seen, "" if wrong else expiring(desk, candidate.pack, stage)


def _judged(
    desk: Desk, state: State, stage: str, standing: Standing, pack: Pack, seen_at: datetime | None
) -> tuple[list[str], str]:
    wrong = expired(desk, pack)
    try:
        records = [one for one in desk.track_records(state, standing.version, stage) if one.sessions]
    except Unanswered:
        raise
    except WorkbenchError as error:
        return [*wrong, f"its record cannot be read: {error}"], "its evidence"
    if not records:
        return wrong, f"its evidence; no {stage} record yet"
    seen = []
    for record in records:  # of each account that traded it: what one lost is not made good by another
        of = f" (account {record.account})" if len(records) > 1 and record.account else ""
        broken, by = _by_record(desk, stage, standing, pack, record, seen_at)
        wrong += [f"{one}{of}" for one in broken]
        seen.append(f"{by}{of}")
    return wrong, "; ".join(seen)


def _by_record(
    desk: Desk, stage: str, standing: Standing, pack: Pack, record: TrackRecord, seen_at: datetime | None
) -> tuple[list[str], str]:
    if (record.pack, record.version, record.stage) != (pack.digest, standing.version, stage):
        return [f"its record is of version {record.version}, pack {short(record.pack)}"], "its evidence"
    judged = since(record, seen_at)
    wrong = breaches(desk.policy, pack, judged)
    if not judged.sessions:
        return wrong, f"its evidence; no session since it was restored on {standing.restored:%Y-%m-%d}"
    return wrong, f"{len(judged.sessions)} sessions to {judged.sessions[-1].date}"


def evidence(desk: Desk, state: State, stage: str, standing: Standing) -> Candidate:
    """Return what stands, verified: from MLflow or, where that is away, the copy that the loader kept."""
    where = f"{state.name} version {standing.version}"
    connection = desk.models.connection
    try:
        files = fetch(connection, state.kind, state.name, standing.version, stage).files
    except Away as away:
        kept = Cache(desk.paths.state / FOLDER).read(standing.pack, f"{where} (cache)")
        if kept is None:
            raise Away(f"{where} at {stage}: not judged: {away}; and no verified copy is kept here") from away
        files = kept
    found = candidate_from(files, where)
    if found.pack.digest != standing.pack:
        raise DataRefused(f"{where}: holds pack {short(found.pack.digest)}, registered was {short(standing.pack)}")
    return found


def expired(desk: Desk, pack: Pack) -> list[str]:
    """Say whether the evidence or the model in it is too old."""
    return [f"{what} expired on {at:%Y-%m-%d}" for what, at in _ends(pack) if desk.now >= at]


def expiring(desk: Desk, pack: Pack, stage: str) -> str:
    """Say what ends before new evidence could well stand at this stage, and what to do; empty: nothing does.

    It takes no verdict away where the gates cannot be read: then that is what it says.
    """
    try:
        what, at = min(_ends(pack), key=lambda end: end[1])
        soon = desk.now < at <= desk.now + _climb(desk, pack.kind, stage)
    except WorkbenchError as error:
        return f"whether its evidence ends before new evidence could take its place, is not known: {error}"
    if not soon:
        return ""
    # Made of the same, what has not ended yet would stay, and with it this end.
    again = f"{anew(pack.kind, pack.name)}, then for that version: {promote_line(pack.kind, pack.name)}"
    return f"{what} expires on {at:%Y-%m-%d}, and from then on it may only reduce; new evidence takes its time: {again}"


def _climb(desk: Desk, kind: str, stage: str) -> timedelta:
    """Return how long a new version takes to this stage at least, and a fortnight."""
    steps = (desk.policy.step(kind, one) for one in TRADED[: TRADED.index(stage) + 1])
    return SPARE + timedelta(days=sum(getattr(gate, "min_days", 0) for step in steps for gate in step.gates))


def _ends(pack: Pack) -> list[tuple[str, datetime]]:
    card = read_moment(pack.json(CARD).get("expires_at"), CARD) if pack.has(CARD) else None
    return [("the evidence", pack.expires_at), *([("the model", card)] if card else [])]
