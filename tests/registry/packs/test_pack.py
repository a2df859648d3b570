"""A pack: every byte is named, and anything else is refused in one line that names the part."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.registry.packs.conftest import FILES, NOW
from workbench.errors import InputRefused, PackRefused
from workbench.registry.packs import files
from workbench.registry.packs.canonical import canonical, sha256
from workbench.registry.packs.pack import Pack, make_pack, pack_from, read_pack

PARTS = sorted(f"parts/{path}" for path in FILES)
EVERY = [*PARTS, "manifest.json"]
PICKLE = b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."


def found_of(pack: Pack) -> dict[str, bytes]:
    """Return a pack's files as its folder holds them."""
    return {"manifest.json": pack.manifest(), **{f"parts/{path}": content for path, content in pack.files.items()}}


def manifest_with(pack: Pack, **changes: object) -> dict[str, bytes]:
    """Return a pack's files with a manifest that was written anew by someone who knows the form."""
    facts = json.loads(pack.manifest()) | changes
    return found_of(pack) | {"manifest.json": canonical(facts)}


def one_line(refused: pytest.ExceptionInfo[Exception]) -> str:
    text = str(refused.value)
    assert "\n" not in text
    return text


def test_a_pack_is_read_back_as_it_was_written(pack, tmp_path):
    pack.write(tmp_path / "pack")
    read = read_pack(tmp_path / "pack")
    assert read == pack
    assert read.files == FILES
    assert read.digest == pack.digest == sha256((tmp_path / "pack" / "manifest.json").read_bytes())


@pytest.mark.parametrize("path", EVERY)
@pytest.mark.parametrize("where", [0, -1])
def test_one_bit_flipped_in_any_file_is_refused_by_name(pack, tmp_path, path, where):
    pack.write(tmp_path)
    content = bytearray((tmp_path / path).read_bytes())
    content[where] ^= 1
    (tmp_path / path).write_bytes(content)
    with pytest.raises(PackRefused) as refused:
        read_pack(tmp_path)
    assert path in one_line(refused)


@pytest.mark.parametrize("path", EVERY)
@pytest.mark.parametrize("kept", [0.0, 0.5, 1.0])
def test_any_file_cut_short_is_refused_by_name(pack, tmp_path, path, kept):
    pack.write(tmp_path)
    content = (tmp_path / path).read_bytes()
    (tmp_path / path).write_bytes(content[: int(kept * (len(content) - 1))])
    with pytest.raises(PackRefused) as refused:
        read_pack(tmp_path)
    assert path in one_line(refused)


@pytest.mark.parametrize("path", EVERY)
def test_any_file_missing_is_refused_by_name(pack, tmp_path, path):
    pack.write(tmp_path)
    (tmp_path / path).unlink()
    with pytest.raises(PackRefused, match=path if path in PARTS else "no manifest.json"):
        read_pack(tmp_path)


@pytest.mark.parametrize("path", EVERY)
def test_any_file_replaced_by_a_link_to_the_same_bytes_is_refused(pack, tmp_path, path):
    pack.write(tmp_path / "pack")
    file = tmp_path / "pack" / path
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PackRefused, match=f"{path} is a link to somewhere else"):
        read_pack(tmp_path / "pack")


@pytest.mark.parametrize("folder", ["parts", "parts/result", "parts/model"])
def test_a_folder_replaced_by_a_link_is_refused(pack, tmp_path, folder):
    pack.write(tmp_path / "pack")
    (tmp_path / "pack" / folder).rename(tmp_path / "elsewhere")
    (tmp_path / "pack" / folder).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(PackRefused, match=f"{folder} is a link to somewhere else"):
        read_pack(tmp_path / "pack")


def test_a_pack_that_is_itself_a_link_is_refused(pack, tmp_path):
    pack.write(tmp_path / "real")
    (tmp_path / "pack").symlink_to(tmp_path / "real", target_is_directory=True)
    with pytest.raises(PackRefused, match="pack is a link or no folder"):
        read_pack(tmp_path / "pack")


@pytest.mark.parametrize(
    "path",
    ["extra.json", "parts/extra.json", "parts/model/MLmodel", "parts/model/python_model.pkl", "parts/.hidden",
     "parts/code/strategy.py", "manifest.json.bak"],
)  # fmt: skip
def test_one_file_added_anywhere_is_refused_by_name(pack, tmp_path, path):
    pack.write(tmp_path)
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_bytes(b"{}")
    with pytest.raises(PackRefused, match=f"{path}: was added"):
        read_pack(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(data=st.data())
def test_no_change_of_any_byte_anywhere_goes_unseen(pack, data):
    found = found_of(pack)
    path = data.draw(st.sampled_from(sorted(found)))
    content = bytearray(found[path])
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    try:
        read = pack_from(found | {path: bytes(content)}, "pack")
    except PackRefused:
        return
    # A manifest that is another well-formed manifest is another pack, under another name.
    assert path == "manifest.json"
    assert read.digest != pack.digest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(
    key=st.sampled_from(
        ["format", "kind", "name", "market", "made_by", "made_at", "expires_at", "policy", "run_id", "pipeline_run",
         "code", "parts"]
    ),
    value=st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3), max_size=3),
)  # fmt: skip
def test_a_manifest_with_a_value_of_any_other_type_is_one_refusal(pack, key, value):
    if isinstance(value, str) or (key, value) == ("code", None) or (key, value) == ("format", 1):
        return
    try:
        found = manifest_with(pack, **{key: value})
    except UnicodeEncodeError:  # no JSON holds it
        return
    with pytest.raises(PackRefused):
        pack_from(found, "pack")


@pytest.mark.parametrize(
    "code",
    [
        {"files": "abc"}, {"files": 5}, {"files": {}}, {"files": {"a": 1}}, {"changed": 5}, {"changed": [1]},
        {"commit": None}, {"entry_point": 1}, {"more": "x"},
    ],
)  # fmt: skip
def test_a_manifest_whose_code_is_of_another_form_is_refused(pack, code):
    facts = json.loads(pack.manifest())["code"] | code
    with pytest.raises(PackRefused, match=r"pack/manifest.json"):
        pack_from(manifest_with(pack, code=facts), "pack")


@pytest.mark.parametrize("market", ["Sample", "SAMPLE", "sample ", "", "paper"])
def test_a_market_that_is_neither_sample_nor_real_is_refused(pack, market):
    with pytest.raises(PackRefused, match="is none of sample, real"):
        pack_from(manifest_with(pack, market=market), "pack")
    with pytest.raises(InputRefused, match="is none of sample, real"):
        make_pack(**facts_of(pack) | {"market": market})


@pytest.mark.parametrize("name", ["../other", "a/b", "", "A", "a" * 65, "sma-cross", "sma\ncross", "."])
def test_a_name_that_leads_elsewhere_is_refused(pack, name):
    with pytest.raises(PackRefused, match="use small letters"):
        pack_from(manifest_with(pack, name=name), "pack")
    with pytest.raises(InputRefused, match="use small letters"):
        make_pack(**facts_of(pack) | {"name": name})


def facts_of(pack: Pack) -> dict[str, object]:
    return {
        "kind": "strategy", "name": "sma_cross", "market": "real", "made_by": "carol", "made_at": NOW,
        "expires_at": NOW + timedelta(days=180), "policy": "b" * 64, "files": FILES, "code": pack.code,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("../params.json", "leads out"), ("/etc/params.json", "leads out"), ("a//b.json", "leads out"),
        ("a\\b.json", "leads out"), ("./a.json", "leads out"), ("model/MLmodel", "describes how to run"),
        ("model/conda.yaml", "describes how to run"), ("model/m.pkl", "no kind of file"), ("x.py", "no kind of file"),
        ("x", "no kind of file"), ("a\nb.json", "no name"), ("a" * 240 + ".json", "no name"),
    ],
)  # fmt: skip
def test_a_part_by_a_name_that_no_pack_may_hold_is_refused_when_made_and_when_read(pack, path, why):
    with pytest.raises(PackRefused, match=why):
        make_pack(**facts_of(pack) | {"files": {path: b"{}"}})
    parts = json.loads(pack.manifest())["parts"] | {path: {"sha256": sha256(b"{}"), "bytes": 2}}
    with pytest.raises(PackRefused, match=why):
        pack_from(manifest_with(pack, parts=parts) | {f"parts/{path}": b"{}"}, "pack")


@pytest.mark.parametrize(
    "name", ["model.json", "model.txt", "model.parquet", "model.safetensors", "model.png", "m.ipynb"]
)
@pytest.mark.parametrize(
    "content",
    [
        PICKLE,
        b"cposix\nsystem\n(S'id'\ntR.\0",  # protocol 0 is text; a zero byte keeps it out of .txt
        b"PK\x03\x04\x14\x00\x00\x00archive\xff",
        b"\x93NUMPY\x01\x00",
        b"",
    ],
)  # fmt: skip
def test_a_pickle_or_an_archive_is_refused_under_any_name_and_any_digest(pack, name, content):
    if (name, content) == ("model.txt", b""):  # an empty text is a text
        return
    with pytest.raises(PackRefused, match="is not what its name says"):
        make_pack(**facts_of(pack) | {"files": {f"model/{name}": content}})
    parts = {f"model/{name}": {"sha256": sha256(content), "bytes": len(content)}}
    found = {"manifest.json": manifest_with(pack, parts=parts)["manifest.json"], f"parts/model/{name}": content}
    with pytest.raises(PackRefused, match="is not what its name says"):
        pack_from(found, "pack")


def test_a_header_of_tensors_that_is_longer_than_the_file_is_refused(pack):
    with pytest.raises(PackRefused, match="is not what its name says"):
        make_pack(**facts_of(pack) | {"files": {"model/m.safetensors": (2**40).to_bytes(8, "little") + b"{}"}})


def test_a_pipe_in_a_pack_is_refused_without_waiting(pack, tmp_path):
    pack.write(tmp_path)
    os.mkfifo(tmp_path / "parts" / "more.json")
    with pytest.raises(PackRefused, match="is no plain file"):
        read_pack(tmp_path)


def test_a_name_that_would_write_on_the_terminal_is_shown_escaped(pack, tmp_path):
    pack.write(tmp_path)
    (tmp_path / "parts" / "\x1b[2Jall good\n.json").write_bytes(b"{}")
    with pytest.raises(PackRefused, match="must be printable") as refused:
        read_pack(tmp_path)
    assert one_line(refused).isprintable()


def test_a_name_that_is_not_utf_8_is_one_line(pack, tmp_path):
    pack.write(tmp_path)
    Path(os.fsdecode(os.fsencode(tmp_path / "parts") + b"/\xff.json")).write_bytes(b"{}")
    with pytest.raises(PackRefused, match="must be printable") as refused:
        read_pack(tmp_path)
    one_line(refused).encode()


def test_folders_without_end_are_refused(tmp_path):
    deep = tmp_path / "pack"
    for _ in range(40):
        deep = deep / "a"
    deep.mkdir(parents=True)
    with pytest.raises(PackRefused, match="folders lie more than 16 deep"):
        read_pack(tmp_path / "pack")


def test_more_bytes_than_a_pack_may_have_are_refused(pack, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    pack.write(tmp_path)
    (tmp_path / "parts" / "big.txt").write_bytes(b"x" * 2000)
    with pytest.raises(PackRefused, match="that is no evidence pack"):
        read_pack(tmp_path)


def test_no_folder_is_told_with_the_next_step(tmp_path):
    with pytest.raises(PackRefused, match="no such folder; name one with: workbench pack path STRATEGY"):
        read_pack(tmp_path / "nothing")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_one_line(pack, tmp_path):
    pack.write(tmp_path)
    (tmp_path / "parts" / "model").chmod(0)
    try:
        with pytest.raises(PackRefused, match="cannot be read"):
            read_pack(tmp_path)
    finally:
        (tmp_path / "parts" / "model").chmod(0o700)


def test_a_missing_part_is_told_with_the_next_step(pack):
    with pytest.raises(PackRefused, match=r"has no part trials.json; .*make evidence STRATEGY=sma_cross"):
        pack.json("trials.json")
