"""A candidate's folder: its pack, the proposals made for it, and their approvals, each checked without any network.

pack/…                                    the evidence
proposals/<stage>/<digest>.json           named by the SHA-256 of its bytes
approvals/<proposal's digest>/<name>.json one signature
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from workbench.errors import PackRefused
from workbench.registry.packs.approvers import Approvers, Signed
from workbench.registry.packs.canonical import sha256, short
from workbench.registry.packs.files import read_files
from workbench.registry.packs.pack import Pack, examine
from workbench.registry.packs.proposal import Approval, Proposal, read_approval, read_proposal

FOLDER = "promotion"
PACK, PROPOSALS, APPROVALS = "pack", "proposals", "approvals"


@dataclass(frozen=True)
class Candidate:
    """What a folder holds, verified; ``read_candidate`` makes it."""

    pack: Pack
    proposals: tuple[Proposal, ...]
    approvals: tuple[Approval, ...]

    def proposal(self, digest: str) -> Proposal:
        """Return one proposal by its digest."""
        for proposal in self.proposals:
            if proposal.digest == digest:
                return proposal
        raise PackRefused(f"{self.pack.shown}: proposal {short(digest)} is not with the pack; it was taken away")

    def newest(self, version: int, to_stage: str) -> Proposal | None:
        """Return the newest proposal for a step of a version."""
        asked = [one for one in self.proposals if (one.version, one.to_stage) == (version, to_stage)]
        return max(asked, key=lambda one: (one.made_at, one.digest), default=None)

    def line(self, version: int, to_stage: str, head: str) -> tuple[Proposal, ...]:
        """Return the proposals for a step that were made after a step of the record, each in the place of the other."""
        asked = [one for one in self.proposals if (one.version, one.to_stage) == (version, to_stage)]
        found: list[Proposal] = []
        place = head
        while place and (later := [one for one in asked if one.after == place]):
            found.append(max(later, key=lambda one: (one.made_at, one.digest)))
            place = found[-1].digest
        return tuple(found)

    def signed(self, proposal: Proposal, approvers: Approvers, now: datetime) -> Signed:
        """Return whose approvals of a proposal count."""
        return approvers.check(proposal, self.approvals_of(proposal), now)

    def approvals_of(self, proposal: Proposal) -> list[Approval]:
        """Return the signatures over a proposal, whoever made them."""
        return [one for one in self.approvals if one.proposal == proposal.digest]


@dataclass(frozen=True)
class Checked:
    """One file of a candidate: ``signed`` names who signed for it, ``wrong`` says what is wrong with it."""

    path: str
    present: bool
    matching: bool
    signed: tuple[str, ...]
    wrong: str = ""


@dataclass(frozen=True)
class Verification:
    """What ``workbench verify`` says: every file, and whether the whole may be believed."""

    pack: Pack
    files: tuple[Checked, ...]
    approvals: tuple[str, ...]  # one line a proposal
    refused: int = 0  # signatures that do not count

    @property
    def sound(self) -> bool:
        """Whether every file is there and unchanged, and nothing was added."""
        return not any(file.wrong for file in self.files)

    @property
    def signed(self) -> bool:
        """Whether anyone on the list signed for this pack."""
        return any(file.signed for file in self.files)


def read_candidate(folder: Path, shown: str = "") -> Candidate:
    """Return the candidate in a folder; anything missing, changed or added is refused."""
    return candidate_from(read_files(folder, shown or folder.name), shown or folder.name)


def candidate_from(found: Mapping[str, bytes], shown: str) -> Candidate:
    """Return the candidate of files by their path below the candidate's folder."""
    candidate, wrong = examine_candidate(found, shown)
    for path, reason in wrong.items():
        raise PackRefused(f"{shown}/{path}: {reason}; the pack is void, make the evidence again")
    return candidate


def examine_candidate(found: Mapping[str, bytes], shown: str) -> tuple[Candidate, dict[str, str]]:
    """Return the candidate of a folder's files and, by path, what is wrong with it."""
    inside = {path.removeprefix(f"{PACK}/"): found[path] for path in found if path.startswith(f"{PACK}/")}
    pack, damaged = examine(inside, f"{shown}/{PACK}")
    wrong = {f"{PACK}/{path}": reason for path, reason in damaged.items()}
    proposals: dict[str, Proposal] = {}
    approvals: list[Approval] = []
    for path in sorted(found, key=lambda path: not path.startswith(PROPOSALS)):  # what is signed before who signed
        if path.startswith(f"{PACK}/"):
            continue
        try:
            match path.split("/"):
                case [folder, stage, name] if folder == PROPOSALS:
                    proposal = _proposal(found[path], name, stage, pack)
                    proposals[proposal.digest] = proposal
                case [folder, digest, name] if folder == APPROVALS:
                    approvals.append(_approval(found[path], digest, name, proposals))
                case _:
                    raise PackRefused("was added: a candidate holds its pack, proposals and approvals only")
        except PackRefused as error:
            wrong[path] = str(error)
    return Candidate(pack, tuple(proposals.values()), tuple(approvals)), wrong


def verify_folder(folder: Path, approvers: Approvers, now: datetime) -> Verification:
    """Check every file of a candidate's folder, or of a pack alone, without any network."""
    found = read_files(folder, folder.name)
    if not any(path.startswith(f"{PACK}/") for path in found):  # the pack's own folder was named
        found = {f"{PACK}/{path}": content for path, content in found.items()}
    candidate, wrong = examine_candidate(found, folder.name)
    for approval in candidate.approvals:
        if approvers.broken(approval):
            path = f"{APPROVALS}/{approval.proposal}/{approval.approver}.json"
            wrong[path] = f"the signature of {approval.approver} does not match what was signed"
    who: dict[str, list[str]] = {}
    lines, refused = [], 0
    for proposal in candidate.proposals:
        signed = candidate.signed(proposal, approvers, now)
        who[proposal.digest] = list(signed.names)
        agreed = ", ".join(signed.names) or "nobody"
        lines.append(f"{proposal.step}: approved by {agreed} of {proposal.approvals} asked")
        lines += [f"  refused: {reason}" for reason in signed.refusals]
        refused += len(signed.refusals)
    everyone = tuple(dict.fromkeys(name for names in who.values() for name in names))
    paths = sorted({*found, *wrong})
    return Verification(
        candidate.pack,
        tuple(
            Checked(
                path,
                present=path in found,
                matching=path in found and path not in wrong,
                signed=_signers(path, who, everyone) if path not in wrong else (),
                wrong=wrong.get(path, ""),
            )
            for path in paths
        ),
        tuple(lines),
        refused,
    )


def _proposal(content: bytes, name: str, stage: str, pack: Pack) -> Proposal:
    if name != f"{sha256(content)}.json":
        raise PackRefused(f"was changed: its SHA-256 is {short(sha256(content))}, its name says {short(name)}")
    proposal = read_proposal(content, name[:12])
    if proposal.to_stage != stage:
        raise PackRefused(f"asks for {proposal.to_stage}, and lies under {stage}")
    if (proposal.pack, proposal.kind, proposal.name, proposal.market) != (
        pack.digest,
        pack.kind,
        pack.name,
        pack.market,
    ):
        raise PackRefused(f"was made for pack {short(proposal.pack)} of {proposal.name}, this is {pack.shown}")
    return proposal


def _approval(content: bytes, digest: str, name: str, proposals: Mapping[str, Proposal]) -> Approval:
    approval = read_approval(content, name)
    if (approval.proposal, f"{approval.approver}.json") != (digest, name):
        raise PackRefused(
            f"is {approval.approver}'s for proposal {short(approval.proposal)}, and lies under another name"
        )
    if digest not in proposals:
        raise PackRefused(f"signs proposal {short(digest)}, which is not here")
    return approval


def _signers(path: str, who: Mapping[str, list[str]], everyone: tuple[str, ...]) -> tuple[str, ...]:
    """Return who signed for a file: the pack is covered by every approval, a proposal by its own."""
    if path.startswith(f"{PACK}/"):
        return everyone
    if path.startswith(f"{PROPOSALS}/"):
        return tuple(who.get(Path(path).stem, ()))
    names = who.get(path.split("/")[1], ()) if "/" in path else ()
    return (Path(path).stem,) if Path(path).stem in names else ()
