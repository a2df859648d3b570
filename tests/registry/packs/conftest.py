"""A small candidate made by hand: a pack with a file of every kind, one proposal, two signatures over it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from workbench.params import Paths
from workbench.registry.packs.approvers import Approvers
from workbench.registry.packs.code import Code
from workbench.registry.packs.keys import public_text
from workbench.registry.packs.pack import Pack, make_pack
from workbench.registry.packs.proposal import Approval, Proposal, sign

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
CODE = Code("a" * 40, (), "workbench.strategies.sma_cross:SmaCross", {"strategies/sma_cross.py": "1" * 64}, "0.4.0")
HEADER = b'{"__metadata__":{"layers":"1"}}'
FILES = {
    "params.json": b'{"params":{"fast":20,"slow":150},"strategy":"sma_cross"}',
    "environment.lock": b"numpy==2.3.0\n",
    "result/folds.parquet": b"PAR1 rows PAR1",
    "notebooks/backtest.ipynb": b'{"cells":[]}',
    "pictures/equity.png": b"\x89PNG\r\n\x1a\npicture",
    "model/model.safetensors": len(HEADER).to_bytes(8, "little") + HEADER,
    "tearsheet.html": b"<p>Sharpe 0.9</p>",
}


@dataclass(frozen=True)
class Made:
    """A candidate in a folder, the keys that signed, and the list that names alice and bob, not mallory."""

    folder: Path
    pack: Pack
    proposal: Proposal
    keys: dict[str, Ed25519PrivateKey]
    approvers: Approvers

    def sign(self, who: str, key: str = "", reason: str = "", days: float = 0.0, **changes: object) -> Approval:
        """Return who's approval, made with a key; ``changes`` are written into what is signed."""
        at = NOW + timedelta(days=days)
        return sign(replace(self.proposal, **changes), self.keys[key or who], who, reason, at)  # type: ignore[arg-type]

    def put(self, approval: Approval) -> None:
        """Lay an approval into the folder."""
        file = self.folder / "approvals" / approval.proposal / f"{approval.approver}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(approval.bytes())


def make_proposal(pack: Pack, **changes: object) -> Proposal:
    """Return a proposal for staged live with one passed gate."""
    verdict = {"gate": "sharpe", "asked": "> 1.5", "measured": "1.8", "outcome": "pass", "why": "", "remedy": ""}
    made = Proposal(
        kind=pack.kind,
        name=pack.name,
        version=3,
        market=pack.market,
        pack=pack.digest,
        from_stage="paper",
        to_stage="staged_live",
        policy=pack.policy,
        verdicts=(verdict,),
        record="",
        trials_head="",
        limits={"capital_steps": [1000, 10000]},
        approvals=2,
        made_by="carol",
        made_at=NOW,
        expires_at=NOW + timedelta(days=7),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def pack() -> Pack:
    """A strategy's pack with a file of every kind."""
    return make_pack(
        kind="strategy",
        name="sma_cross",
        market="real",
        made_by="carol",
        made_at=NOW,
        expires_at=NOW + timedelta(days=180),
        policy="b" * 64,
        files=FILES,
        code=CODE,
        run_id="0123456789abcdef",
    )


@pytest.fixture
def made(pack: Pack, tmp_path: Path) -> Made:
    """The candidate on disk, approved by alice and bob."""
    keys = {name: Ed25519PrivateKey.generate() for name in ("alice", "bob", "mallory")}
    file = tmp_path / "params" / "approvers.yaml"
    file.parent.mkdir()
    listed = {name: {"key": public_text(keys[name].public_key())} for name in ("alice", "bob")}
    file.write_text(yaml.safe_dump({"approvers": listed}))
    folder = tmp_path / "promotion"
    pack.write(folder / "pack")
    proposal = make_proposal(pack)
    written = folder / "proposals" / proposal.to_stage / f"{proposal.digest}.json"
    written.parent.mkdir(parents=True)
    written.write_bytes(proposal.bytes())
    made = Made(folder, pack, proposal, keys, Approvers.read(file, Paths(tmp_path)))
    made.put(made.sign("alice"))
    made.put(made.sign("bob", reason="seen the paper record"))
    return made
