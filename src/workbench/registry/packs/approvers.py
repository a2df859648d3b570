"""Who may agree: the allow-list in params/approvers.yaml, and what it says to a proposal's signatures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, ValidationError

from workbench.errors import ParamsRefused, did_you_mean
from workbench.params import Paths, Settings, read_yaml
from workbench.registry.checkout import unlike_commit
from workbench.registry.packs.canonical import moment_text, short
from workbench.registry.packs.keys import NAME, fingerprint, public_key
from workbench.registry.packs.proposal import Approval, Proposal

FILE = "approvers.yaml"
COMMITTED = "params/approvers.yaml"
STAGES = ("paper", "staged_live", "production")
CLOCKS_APART = timedelta(minutes=5)  # as much as two machines' clocks may differ


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    key: str
    may: tuple[str, ...] = STAGES
    until: date | None = None


@dataclass(frozen=True)
class Approver:
    """A person on the list; ``until`` is the last day on which a signature counts."""

    name: str
    public: Ed25519PublicKey
    may: tuple[str, ...]
    until: date | None = None

    @cached_property
    def fingerprint(self) -> str:
        """The short name of the person's key."""
        return fingerprint(self.public)


@dataclass(frozen=True)
class Signed:
    """Whose approvals count, and why the others do not."""

    names: tuple[str, ...]
    reasons: Mapping[str, str]  # by approver, what was written
    refusals: tuple[str, ...]


def list_file(settings: Settings, paths: Paths) -> Path:
    """Return the list that the runner believes: its own (``live.approvers``), or the project's."""
    return Path(settings.live.approvers).expanduser() if settings.live.approvers else paths.params / FILE


def uncommitted(paths: Paths) -> str:
    """Say that the project's list is not the one of its commit, which others can read, or nothing."""
    found = unlike_commit(paths.root, "HEAD", {COMMITTED: paths.params / FILE}, [COMMITTED])
    if found is None:
        return f"{COMMITTED}: git does not say which list was committed, and only that one counts where money is"
    return f"{COMMITTED} is not as committed; commit it, so that others read who may sign for money" if found else ""


@dataclass(frozen=True)
class Approvers:
    """The allow-list."""

    known: Mapping[str, Approver]
    shown: str

    @classmethod
    def read(cls, file: Path, paths: Paths) -> Approvers:
        """Return the list; two names with one key are refused, since one person could sign for both."""
        shown = paths.short(file)
        content = read_yaml(file, paths).get("approvers") or {}
        if not isinstance(content, Mapping):
            raise ParamsRefused(f"{shown}: 'approvers' must hold 'name: {{key: …}}' lines")
        found: dict[str, Approver] = {}
        by_key: dict[str, str] = {}
        for name, entry in content.items():
            if not NAME.fullmatch(str(name)):
                raise ParamsRefused(f"{shown}: approvers.{name!r}: a name has small letters, digits, '_', '.' and '-'")
            try:
                read = _Entry.model_validate(entry)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                where = ".".join(str(part) for part in first["loc"])
                raise ParamsRefused(f"{shown}: approvers.{name}.{where}: {first['msg']}") from error
            for stage in read.may:
                if stage not in STAGES:
                    raise ParamsRefused(
                        f"{shown}: approvers.{name}.may: unknown '{stage}'.{did_you_mean(stage, STAGES)}"
                    )
            approver = Approver(str(name), public_key(read.key, f"{name} in {shown}"), read.may, read.until)
            twin = by_key.setdefault(approver.fingerprint, approver.name)
            if twin != approver.name:
                raise ParamsRefused(f"{shown}: {twin} and {name} have the same key; each person needs one of their own")
            found[approver.name] = approver
        return cls(found, shown)

    def check(self, proposal: Proposal, approvals: Iterable[Approval], now: datetime) -> Signed:
        """Return whose approvals of this proposal count now, each person and each key once."""
        names: dict[str, str] = {}
        keys: set[str] = set()
        refusals: list[str] = []
        for approval in sorted(approvals, key=lambda one: (one.signed_at, one.approver)):
            reason = self._refusal(proposal, approval, now)
            if not reason and approval.key in keys:
                reason = f"{approval.approver}: the key {approval.key} has signed already; a second person must"
            if reason:
                refusals.append(reason)
                continue
            names[approval.approver] = approval.reason
            keys.add(approval.key)
        return Signed(tuple(names), names, tuple(refusals))

    def broken(self, approval: Approval) -> bool:
        """Return whether an approval claims a key of the list that did not sign it: someone changed it."""
        known = self.known.get(approval.approver)
        return known is not None and approval.key == known.fingerprint and not approval.signed_by(known.public)

    def _refusal(self, proposal: Proposal, approval: Approval, now: datetime) -> str:
        who = approval.approver
        known = self.known.get(who)
        if known is None:
            return f"{who}: not in {self.shown}, so the signature counts for nothing"
        if approval.proposal != proposal.digest or approval.pack != proposal.pack:
            return (
                f"{who}: signed proposal {short(approval.proposal)} of pack {short(approval.pack)}, not "
                f"{short(proposal.digest)} of {short(proposal.pack)}; approve again"
            )
        same = (approval.kind, approval.name, approval.version, approval.to_stage)
        if same != (proposal.kind, proposal.name, proposal.version, proposal.to_stage):
            return f"{who}: signed another step ({approval.name} version {approval.version} to {approval.to_stage})"
        if approval.key != known.fingerprint:
            return f"{who}: signed with key {approval.key}, {self.shown} names {known.fingerprint}"
        if self.broken(approval):
            return f"{who}: the signature does not match what was signed"
        if proposal.to_stage not in known.may:
            return f"{who}: may approve {', '.join(known.may)} only, not {proposal.to_stage} ({self.shown})"
        if known.until and approval.signed_at.date() > known.until:
            return f"{who}: was allowed until {known.until}, and signed on {approval.signed_at.date()}"
        if approval.signed_at > now + CLOCKS_APART:
            return f"{who}: signed at {moment_text(approval.signed_at)}, which is in the future; check both clocks"
        if not proposal.made_at - CLOCKS_APART <= approval.signed_at <= proposal.expires_at:
            return f"{who}: signed at {moment_text(approval.signed_at)}, outside the time of the proposal"
        return ""
