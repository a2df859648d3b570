"""Private keys: outside the project, of one user, for nobody else to read."""

import base64
import os
import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from workbench.errors import CannotWrite, InputRefused, NoData
from workbench.params import Paths
from workbench.registry.packs.keys import (
    keys_folder,
    list_keys,
    load_key,
    needs_passphrase,
    new_key,
    public_key,
    public_text,
)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Paths:
    monkeypatch.setenv("WORKBENCH_KEYS", str(tmp_path / "keys"))
    (tmp_path / "project").mkdir()
    return Paths(tmp_path / "project")


def test_a_new_key_is_for_its_owner_alone_and_signs_what_its_public_half_verifies(project):
    made = new_key("alice", project)
    assert stat.S_IMODE(made.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.file.parent.stat().st_mode) == 0o700
    signature = load_key("alice", project).sign(b"hello")
    public_key(made.public, "alice").verify(signature, b"hello")
    assert list_keys(project) == ["alice"]


def test_a_key_that_is_there_is_never_written_over(project):
    before = new_key("alice", project).file.read_bytes()
    with pytest.raises(InputRefused, match="alice has a key already"):
        new_key("alice", project)
    assert (keys_folder(project) / "alice.pem").read_bytes() == before


def test_a_passphrase_locks_the_key(project):
    new_key("alice", project, "correct horse")
    assert needs_passphrase("alice", project)
    load_key("alice", project, "correct horse")
    with pytest.raises(InputRefused, match="wrong passphrase"):
        load_key("alice", project, "battery")
    with pytest.raises(InputRefused, match="asks for its passphrase"):
        load_key("alice", project)


def test_a_passphrase_for_an_open_key_is_said_to_be_too_many(project):
    new_key("alice", project)
    assert not needs_passphrase("alice", project)
    with pytest.raises(InputRefused, match="takes no passphrase"):
        load_key("alice", project, "x")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o700 | 0o010])
def test_a_key_that_others_can_read_is_refused(project, mode):
    new_key("alice", project).file.chmod(mode)
    with pytest.raises(InputRefused, match=f"mode {mode:04o} lets others read it; chmod 600"):
        load_key("alice", project)


@pytest.mark.parametrize("inside", ["", "keys", "data/../keys"])
def test_a_folder_inside_the_project_is_refused_so_that_no_key_reaches_git(project, monkeypatch, inside):
    monkeypatch.setenv("WORKBENCH_KEYS", str(project.root / inside))
    with pytest.raises(InputRefused, match="lies inside the project"):
        new_key("alice", project)
    assert not list(project.root.rglob("*.pem"))


def test_a_link_that_leads_into_the_project_is_refused(project, tmp_path, monkeypatch):
    (project.root / "keys").mkdir()
    (tmp_path / "outside").symlink_to(project.root / "keys")
    monkeypatch.setenv("WORKBENCH_KEYS", str(tmp_path / "outside"))
    with pytest.raises(InputRefused, match="lies inside the project"):
        new_key("alice", project)


def test_a_key_that_is_a_link_is_refused(project, tmp_path):
    made = new_key("alice", project)
    made.file.rename(project.root / "alice.pem")
    made.file.symlink_to(project.root / "alice.pem")
    with pytest.raises(InputRefused, match="a key is a plain file"):
        load_key("alice", project)


def test_a_key_that_is_a_folder_or_a_pipe_is_refused_without_waiting(project):
    folder = keys_folder(project)
    (folder / "alice.pem").mkdir(parents=True)
    os.mkfifo(folder / "bob.pem", 0o600)
    for name in ("alice", "bob"):
        with pytest.raises(InputRefused, match="a key is a plain file"):
            load_key(name, project)


@pytest.mark.parametrize("name", ["../project/alice", "/etc/ssl/key", "Alice", "", "a" * 41, "a/b", "a\nb", "-a"])
def test_a_name_that_leads_elsewhere_is_no_name(project, name):
    for use in (new_key, load_key, needs_passphrase):
        with pytest.raises(InputRefused, match="key name"):
            use(name, project)


def test_a_missing_key_is_told_with_the_command_that_makes_one(project):
    with pytest.raises(NoData, match="workbench keys new alice"):
        load_key("alice", project)


def test_a_damaged_file_and_a_key_of_another_kind_are_refused(project):
    file = new_key("alice", project).file
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(InputRefused, match="damaged"):
        load_key("alice", project)
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(other)
    with pytest.raises(InputRefused, match="is no Ed25519 key"):
        load_key("alice", project)


def test_a_folder_that_cannot_be_made_is_one_line(project, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_KEYS", str(tmp_path / "file" / "keys"))
    with pytest.raises(CannotWrite, match="make it writable, or set WORKBENCH_KEYS"):
        new_key("alice", project)


def test_without_the_variable_keys_lie_in_the_users_configuration(project, tmp_path, monkeypatch):
    monkeypatch.delenv("WORKBENCH_KEYS")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    assert keys_folder(project) == tmp_path / "configuration" / "workbench" / "keys"


# The eight points of small order and their other spellings (RFC 8032 decodes them; a signature of R = the neutral
# point and S = 0 fits most messages under them).
@pytest.mark.parametrize(
    "point",
    [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ],
)
def test_a_public_key_for_which_anyone_can_sign_is_refused(point):
    with pytest.raises(InputRefused, match="a point for which anyone can sign"):
        public_key(base64.b64encode(bytes.fromhex(point)).decode(), "mallory")


def test_the_library_itself_would_take_such_a_signature():
    neutral = bytes([1]) + bytes(31)
    Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), b"promote anything")


@pytest.mark.parametrize("text", ["", "abc", "A" * 44, "not base64 at all!", base64.b64encode(bytes(31)).decode()])
def test_a_text_that_is_no_public_key_is_refused(text):
    with pytest.raises(InputRefused, match="key of alice"):
        public_key(text, "alice")


def test_a_public_key_is_written_as_it_is_read(project):
    made = new_key("alice", project)
    assert public_text(public_key(made.public, "alice")) == made.public
