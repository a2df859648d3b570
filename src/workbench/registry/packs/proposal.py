"""What is asked for a candidate, and who agreed: a proposal for one step, and signatures over it.

A proposal holds the pack's digest, the step, and the gates' verdicts with their numbers; an approval signs exactly
these bytes. Change anything, and every signature is void.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from workbench.errors import PackRefused
from workbench.registry.packs.canonical import canonical, jsonable, read_canonical, read_moment, sha256
from workbench.registry.packs.keys import fingerprint

# Signed in front of the statement, so that no signature made for anything else can be used here.
PURPOSE = b"workbench approval v1\n"
LATER = ("after", "broke")  # what a proposal did not always have


@dataclass(frozen=True)
class Proposal:
    """One step of one version; ``record`` and ``trials_head`` name what the verdicts were read from.

    ``after`` is what it was made after, whatever a clock said: the head of the version's last step, or the digest of
    the proposal whose place it takes. ``broke`` is what a version that may only reduce broke since its last lifting:
    who signs has read that. Both are empty in a proposal from before they were kept.
    """

    kind: str
    name: str
    version: int
    market: str
    pack: str
    from_stage: str
    to_stage: str
    policy: str
    verdicts: tuple[Mapping[str, Any], ...]
    record: str
    trials_head: str
    limits: Mapping[str, Any]
    approvals: int
    made_by: str
    made_at: datetime
    expires_at: datetime
    after: str = ""
    broke: str = ""

    def bytes(self) -> bytes:
        """Return the proposal as it is stored and signed."""
        facts = jsonable(self)
        later = {name: value for name in LATER if (value := facts.pop(name))}
        return canonical({**facts, **later})  # without them it is what it was before they were kept

    @property
    def digest(self) -> str:
        """The proposal's name."""
        return sha256(self.bytes())

    @property
    def step(self) -> str:
        """The step in a sentence: ``xs_momentum version 3 to paper``."""
        return f"{self.name} version {self.version} to {self.to_stage}"


@dataclass(frozen=True)
class Approval:
    """One person's signature over one proposal; ``key`` is the fingerprint of the key that made it."""

    proposal: str
    pack: str
    kind: str
    name: str
    version: int
    to_stage: str
    approver: str
    key: str
    reason: str
    signed_at: datetime
    signature: str = ""

    def statement(self) -> bytes:
        """Return what is signed: everything but the signature."""
        facts = jsonable(self)
        del facts["signature"]
        return PURPOSE + canonical(facts)

    def bytes(self) -> bytes:
        """Return the approval as it is stored."""
        return canonical(jsonable(self))

    def signed_by(self, public: Ed25519PublicKey) -> bool:
        """Return whether this key signed exactly this statement."""
        try:
            public.verify(base64.b64decode(self.signature, validate=True), self.statement())
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def sign(proposal: Proposal, private: Ed25519PrivateKey, approver: str, reason: str, now: datetime) -> Approval:
    """Return the approval of a proposal."""
    unsigned = Approval(
        proposal=proposal.digest,
        pack=proposal.pack,
        kind=proposal.kind,
        name=proposal.name,
        version=proposal.version,
        to_stage=proposal.to_stage,
        approver=approver,
        key=fingerprint(private.public_key()),
        reason=" ".join(reason.split()),
        signed_at=now.replace(microsecond=0),
    )
    signature = base64.b64encode(private.sign(unsigned.statement())).decode()
    return Approval(**{**vars(unsigned), "signature": signature})


def read_proposal(content: bytes, name: str) -> Proposal:
    """Return a stored proposal."""
    facts = _facts(content, name, Proposal, LATER)
    rows, limits = facts["verdicts"], facts["limits"]
    if not isinstance(limits, dict) or not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        raise PackRefused(
            f"{name}: 'verdicts' must be a list of mappings and 'limits' a mapping; it was written by hand"
        )
    return Proposal(
        **{
            **facts,
            "verdicts": tuple(facts["verdicts"]),
            "made_at": read_moment(facts["made_at"], f"{name}: made_at"),
            "expires_at": read_moment(facts["expires_at"], f"{name}: expires_at"),
        }
    )


def read_approval(content: bytes, name: str) -> Approval:
    """Return a stored approval."""
    facts = _facts(content, name, Approval)
    return Approval(**{**facts, "signed_at": read_moment(facts["signed_at"], f"{name}: signed_at")})


def _facts(content: bytes, name: str, noun: type[Any], later: tuple[str, ...] = ()) -> dict[str, Any]:
    facts = read_canonical(content, name)
    wanted = {field.name: field.type for field in fields(noun)}
    if isinstance(facts, dict) and "" not in (facts.get(key) for key in later):  # nothing has a second spelling
        facts = {**dict.fromkeys(later, ""), **facts}
    if not isinstance(facts, dict) or facts.keys() != wanted.keys():
        raise PackRefused(f"{name}: is no {noun.__name__.lower()}; the file was written by something else")
    for key, kind in (("str", str), ("int", int)):
        for field_name, annotation in wanted.items():
            if annotation == key and type(facts[field_name]) is not kind:
                raise PackRefused(f"{name}: '{field_name}' is {facts[field_name]!r}, it must be a {key}")
    return facts
