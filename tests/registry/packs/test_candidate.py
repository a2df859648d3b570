"""A candidate's folder with its proposals and signatures: what counts, what does not, and what voids everything."""

import base64
import json
import re
from dataclasses import fields, replace
from datetime import date, timedelta

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.registry.packs.conftest import FILES, NOW, Made, make_proposal
from workbench.errors import InputRefused, PackRefused
from workbench.params import Paths
from workbench.registry.packs.approvers import Approvers
from workbench.registry.packs.candidate import read_candidate, verify_folder
from workbench.registry.packs.canonical import canonical, sha256
from workbench.registry.packs.keys import fingerprint, public_text
from workbench.registry.packs.proposal import Approval, Proposal, read_approval, read_proposal


def signed(made: Made, *approvals: Approval, days: float = 1.0) -> tuple[tuple[str, ...], str]:
    """Return whose approvals count, and the reasons why the others do not in one text."""
    found = made.approvers.check(made.proposal, approvals, NOW + timedelta(days=days))
    return found.names, "\n".join(found.refusals)


def test_two_people_with_two_keys_count_and_their_reasons_are_kept(made):
    candidate = read_candidate(made.folder)
    found = candidate.signed(candidate.proposal(made.proposal.digest), made.approvers, NOW + timedelta(days=1))
    assert (found.names, found.refusals) == (("alice", "bob"), ())
    assert found.reasons == {"alice": "", "bob": "seen the paper record"}


def test_a_signature_by_a_key_that_is_not_listed_counts_for_nothing(made):
    names, why = signed(made, made.sign("mallory"))
    assert (names, "not in params/approvers.yaml" in why) == ((), True)


def test_a_listed_name_over_an_unlisted_key_counts_for_nothing(made):
    listed = made.approvers.known["alice"].fingerprint
    names, why = signed(made, made.sign("alice", key="mallory"))
    assert (names, f"names {listed}" in why) == ((), True)


def test_a_signature_that_claims_the_listed_key_but_was_made_by_another_counts_for_nothing(made):
    forged = made.sign("alice", key="mallory")
    claim = replace(forged, key=made.approvers.known["alice"].fingerprint)
    resigned = made.keys["mallory"].sign(claim.statement())
    names, why = signed(made, replace(claim, signature=base64.b64encode(resigned).decode()))
    assert (names, why) == ((), "alice: the signature does not match what was signed")


def test_one_person_twice_is_one_person(made):
    assert signed(made, made.sign("alice"), made.sign("alice", reason="again"))[0] == ("alice",)


def test_one_key_under_two_names_is_one_person_even_where_the_list_was_built_by_hand(made):
    alice = made.approvers.known["alice"]
    both = Approvers({"alice": alice, "bob": replace(alice, name="bob")}, "params/approvers.yaml")
    found = both.check(made.proposal, [made.sign("alice"), made.sign("bob", key="alice")], NOW + timedelta(days=1))
    assert found.names == ("alice",)
    assert "has signed already; a second person must" in found.refusals[0]


@pytest.mark.parametrize(
    "change",
    [{"version": 4}, {"name": "other"}, {"kind": "risk"}, {"to_stage": "production"}, {"pack": "c" * 64},
     {"limits": {"capital_steps": [10000]}}, {"verdicts": ()}, {"approvals": 1}, {"policy": "d" * 64},
     {"market": "sample"}, {"expires_at": NOW + timedelta(days=90)}],
)  # fmt: skip
def test_a_signature_over_any_other_proposal_counts_for_nothing(made, change):
    names, why = signed(made, made.sign("alice", **change))
    assert names == ()
    assert why.startswith("alice: signed proposal")


@pytest.mark.parametrize("field", [field.name for field in fields(Approval)])
def test_an_approval_with_any_field_changed_afterwards_counts_for_nothing(made, field):
    approval = made.sign("alice", reason="good")
    value = getattr(approval, field)
    other = {int: lambda: value + 1, str: lambda: f"x{value}"}.get(type(value), lambda: value + timedelta(seconds=1))()
    assert signed(made, replace(approval, **{field: other}))[0] == ()


@pytest.mark.parametrize(
    ("days", "now", "why"),
    [(-1.0, 1.0, "outside the time of the proposal"), (8.0, 9.0, "outside the time of the proposal"),
     (3.0, 2.0, "which is in the future; check both clocks")],
)  # fmt: skip
def test_a_signature_of_another_time_counts_for_nothing(made, days, now, why):
    names, refusals = signed(made, made.sign("alice", days=days), days=now)
    assert (names, why in refusals) == ((), True)


@pytest.mark.parametrize(
    ("entry", "why"),
    [({"may": ["paper"]}, "may approve paper only, not staged_live"),
     ({"until": date(2026, 3, 1)}, "was allowed until 2026-03-01, and signed on 2026-03-02")],
)  # fmt: skip
def test_what_the_list_does_not_allow_counts_for_nothing(made, tmp_path, entry, why):
    file = tmp_path / "params" / "approvers.yaml"
    content = yaml.safe_load(file.read_text())
    content["approvers"]["alice"] |= entry
    file.write_text(yaml.safe_dump(content))
    limited = replace(made, approvers=Approvers.read(file, Paths(tmp_path)))
    names, refusals = signed(limited, made.sign("alice"), made.sign("bob"))
    assert (names, why in refusals) == (("bob",), True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("approvers: [alice]", "must hold 'name: {key: …}' lines"),
        ("approvers: {alice: {}}", "approvers.alice.key: Field required"),
        ("approvers: {alice: {key: KEY, role: boss}}", "approvers.alice.role"),
        ("approvers: {alice: {key: KEY, may: [live]}}", "unknown 'live'"),
        ("approvers: {alice: {key: abc}}", "is no Ed25519 public key"),
        ("approvers: {alice: {key: KEY}, bob: {key: KEY}}", "alice and bob have the same key"),
        ("approvers: {../alice: {key: KEY}}", "a name has small letters"),
        ("approvers: {alice: {key: KEY}, alice: {key: KEY}}", "is written twice"),
        ("approvers: {alice: {key: AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=}}", "anyone can sign"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused_by_its_line(tmp_path, text, why):
    file = tmp_path / "approvers.yaml"
    file.write_text(text.replace("KEY", public_text(Ed25519PrivateKey.generate().public_key())))
    with pytest.raises(InputRefused, match=re.escape(why)):
        Approvers.read(file, Paths(tmp_path))


def test_the_first_sixteen_digits_of_the_keys_digest_are_its_fingerprint():
    public = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
    assert fingerprint(public) == sha256(public.public_bytes_raw())[:16]


def every(made: Made) -> list[str]:
    return sorted(path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*") if path.is_file())


COUNT = len(FILES) + 1 + 1 + 2  # parts, manifest, proposal, two approvals


@pytest.mark.parametrize("number", range(COUNT))
@pytest.mark.parametrize("attack", ["flipped", "cut", "missing"])
def test_any_file_of_a_candidate_flipped_cut_or_missing_is_refused_or_loses_its_signature(made, number, attack):
    assert len(every(made)) == COUNT
    path = every(made)[number]
    file = made.folder / path
    content = file.read_bytes()
    if attack == "flipped":
        file.write_bytes(bytes([*content[:-1], content[-1] ^ 1]))
    elif attack == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        file.unlink()
    if attack == "missing" and path.startswith("approvals"):  # the one thing that can only be counted
        candidate = read_candidate(made.folder)
        assert len(candidate.signed(candidate.proposals[0], made.approvers, NOW).names) == 1
        return
    with pytest.raises(PackRefused) as refused:
        read_candidate(made.folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "path",
    ["notes.txt", "MLmodel", "pack/MLmodel", "proposals/paper/x.json", "proposals/x.json", "approvals/x/alice.json",
     "approvals/alice.json", "artifacts/model.pkl", "proposalsx/a/b"],
)  # fmt: skip
def test_any_file_added_to_a_candidate_is_refused(made, path):
    file = made.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"{}")
    with pytest.raises(PackRefused, match=path):
        read_candidate(made.folder)


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"pack": "c" * 64}, "was made for pack cccccccccccc"), ({"market": "sample"}, "was made for pack"),
     ({"name": "other"}, "of other, this is sma_cross"), ({"kind": "risk"}, "was made for pack")],
)  # fmt: skip
def test_a_proposal_that_was_made_for_another_pack_is_refused(made, changes, why):
    other = replace(made.proposal, **changes)
    (made.folder / "proposals" / "staged_live" / f"{other.digest}.json").write_bytes(other.bytes())
    with pytest.raises(PackRefused, match=why):
        read_candidate(made.folder)


def test_a_proposal_under_another_stage_is_refused(made):
    (made.folder / "proposals" / "staged_live").rename(made.folder / "proposals" / "production")
    with pytest.raises(PackRefused, match="asks for staged_live, and lies under production"):
        read_candidate(made.folder)


def test_an_approval_under_another_name_is_refused(made):
    folder = made.folder / "approvals" / made.proposal.digest
    (folder / "alice.json").rename(folder / "bob.json")
    with pytest.raises(PackRefused, match="is alice's for proposal"):
        read_candidate(made.folder)


@pytest.mark.parametrize(
    "change",
    [{"version": True}, {"version": "3"}, {"limits": []}, {"limits": None}, {"verdicts": 5}, {"verdicts": ["pass"]},
     {"made_at": 5}, {"more": 1}, {"approvals": 1.0}, {"name": None}],
)  # fmt: skip
def test_a_proposal_of_another_form_is_one_refusal(made, change):
    facts = json.loads(made.proposal.bytes()) | change
    with pytest.raises(PackRefused):
        read_proposal(canonical(facts), "x")


def test_a_proposal_and_an_approval_are_read_back_as_they_were_written(made):
    assert read_proposal(made.proposal.bytes(), "x") == made.proposal
    approval = made.sign("alice", reason="two\n lines")
    assert read_approval(approval.bytes(), "x") == approval
    assert approval.reason == "two lines"


def test_a_proposal_from_before_it_named_what_it_followed_is_read_as_it_was_signed(made):
    facts = json.loads(made.proposal.bytes())
    assert not {"after", "broke"} & facts.keys()
    assert read_proposal(made.proposal.bytes(), "p") == made.proposal
    later = replace(made.proposal, after="f" * 64)
    assert read_proposal(later.bytes(), "p") == later
    with pytest.raises(PackRefused, match="p: is no proposal"):
        read_proposal(canonical({**facts, "after": ""}), "p")  # the same, spelled otherwise


def test_a_signature_made_for_another_purpose_is_no_approval(made):
    approval = made.sign("alice")
    bare = approval.statement().removeprefix(b"workbench approval v1\n")
    other = base64.b64encode(made.keys["alice"].sign(bare)).decode()
    assert not replace(approval, signature=other).signed_by(made.keys["alice"].public_key())


def test_verify_names_each_file_who_signed_for_it_and_what_is_wrong(made):
    sound = verify_folder(made.folder, made.approvers, NOW)
    assert sound.sound
    assert sound.signed
    assert [file.path for file in sound.files] == every(made)
    assert {file.signed for file in sound.files if file.path.startswith("pack/")} == {("alice", "bob")}
    assert sound.approvals == ("sma_cross version 3 to staged_live: approved by alice, bob of 2 asked",)
    (made.folder / "pack" / "parts" / "environment.lock").write_bytes(b"numpy==0.0.1\n")
    (made.folder / "pack" / "parts" / "params.json").unlink()
    spoilt = verify_folder(made.folder, made.approvers, NOW)
    wrong = {file.path: (file.present, file.matching, file.signed) for file in spoilt.files if file.wrong}
    assert not spoilt.sound
    assert wrong == {
        "pack/parts/environment.lock": (True, False, ()),
        "pack/parts/params.json": (False, False, ()),
    }


def test_verify_says_that_a_changed_signature_is_wrong_and_that_one_of_a_stranger_does_not_count(made):
    made.put(made.sign("mallory"))
    strange = verify_folder(made.folder, made.approvers, NOW)
    assert (strange.sound, strange.refused) == (True, 1)
    file = made.folder / "approvals" / made.proposal.digest / "bob.json"
    facts = json.loads(file.read_bytes())
    facts["signature"] = ("B" if facts["signature"][0] == "A" else "A") + facts["signature"][1:]
    file.write_bytes(canonical(facts))
    spoilt = verify_folder(made.folder, made.approvers, NOW)
    assert not spoilt.sound
    (wrong,) = [(one.path, one.matching, one.signed, one.wrong) for one in spoilt.files if one.wrong]
    path = f"approvals/{made.proposal.digest}/bob.json"
    assert wrong == (path, False, (), "the signature of bob does not match what was signed")


def test_verify_takes_the_packs_own_folder_too(made):
    found = verify_folder(made.folder / "pack", made.approvers, NOW)
    assert found.sound
    assert not found.signed


def test_the_newest_proposal_of_a_step_is_the_one_asked(made):
    later: Proposal = make_proposal(made.pack, made_at=NOW + timedelta(days=1))
    (made.folder / "proposals" / "staged_live" / f"{later.digest}.json").write_bytes(later.bytes())
    candidate = read_candidate(made.folder)
    assert candidate.newest(3, "staged_live") == later
    assert candidate.newest(3, "production") is None
    with pytest.raises(PackRefused, match="is not with the pack; it was taken away"):
        candidate.proposal("0" * 64)
