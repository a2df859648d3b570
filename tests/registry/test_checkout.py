"""Which code made a run: commit, changes, new files; never a secret."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from workbench.registry import checkout as module
from workbench.registry.checkout import Checkout, checkout, unlike_commit


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path) -> Path:
    """A repository with one commit of two files."""
    (tmp_path / "one.py").write_text("one = 1\n")
    (tmp_path / "two.py").write_text("two = 2\n")
    (tmp_path / ".gitignore").write_text("ignored/\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "Two files.")
    return tmp_path


def test_a_clean_checkout_is_its_commit(repository):
    (repository / "ignored").mkdir()
    (repository / "ignored" / "run.txt").write_text("not code")
    found = checkout(repository)
    assert found == Checkout(git(repository, "rev-parse", "HEAD"))
    assert not found.dirty
    assert found.text() == found.commit[:12]


def test_changed_new_and_deleted_files_are_in_a_diff_that_applies(repository):
    (repository / "one.py").write_text("one = 11\n")
    (repository / "two.py").unlink()
    (repository / "deep").mkdir()
    (repository / "deep" / "löw.py").write_text("new = 3\nlines = 4\n")
    found = checkout(repository)
    assert found.dirty
    assert set(found.changed) == {"one.py", "two.py", "deep/löw.py"}
    assert found.text().endswith(", with 3 changed files")
    git(repository, "stash", "-q", "--include-untracked")
    subprocess.run(["git", "-C", str(repository), "apply"], input=found.diff, text=True, check=True)
    assert (repository / "one.py").read_text() == "one = 11\n"
    assert not (repository / "two.py").exists()
    assert (repository / "deep" / "löw.py").read_text() == "new = 3\nlines = 4\n"


def test_a_folder_below_the_top_sees_only_its_own_changes(repository):
    (repository / "below").mkdir()
    (repository / "below" / "mine.py").write_text("mine = 1\n")
    (repository / "one.py").write_text("one = 11\n")
    found = checkout(repository / "below")
    assert found.changed == ("below/mine.py",)
    assert "+mine = 1" in found.diff
    assert "one" not in found.diff


@pytest.mark.parametrize("name", [".env", "prod.env", "server.pem", "id_rsa", "my-credentials.json", "secrets.yaml"])
def test_a_file_named_like_a_secret_is_left_out_whole(repository, name):
    (repository / name).write_text("plain words\n")
    found = checkout(repository)
    assert "plain words" not in found.diff
    assert found.left_out == (f"{name}: its name looks like a secret's",)
    assert f"# left out: {name}" in found.diff


@pytest.mark.parametrize(
    "line",
    [
        "-----BEGIN RSA PRIVATE KEY-----",
        "key = 'AKIAABCDEFGHIJKLMNOP'",
        "API_KEY=9f8e7d6c5b4a",
        "password: hunter2hunter2",
        '"auth_token": "abc123def456"',
        "url = 'postgresql://quant:s3cret@db/runs'",
        "ghp_" + "a1" * 18,
    ],
)
def test_a_change_that_holds_a_secret_is_left_out_and_the_rest_stays(repository, line):
    (repository / "one.py").write_text(f"one = 1\n{line}\n")
    (repository / "two.py").write_text("two = 22\n")
    found = checkout(repository)
    assert line not in found.diff
    assert found.left_out == ("one.py: a line looks like a secret",)
    assert "+two = 22" in found.diff


@pytest.mark.parametrize(
    "line", ["token = tokenizer(text)", "password = getpass()", "api_key = settings.api_key", "secret = ''"]
)
def test_code_that_only_speaks_of_secrets_is_kept(repository, line):
    (repository / "one.py").write_text(f"{line}\n")
    assert f"+{line}" in checkout(repository).diff


def test_a_long_diff_is_cut_by_whole_files_and_says_so(repository, monkeypatch):
    monkeypatch.setattr(module, "MAX_DIFF_BYTES", 600)
    (repository / "one.py").write_text("one = 11\n" * 400)
    (repository / "two.py").write_text("two = 22\n")
    found = checkout(repository)
    assert found.left_out == ("one.py: the diff is longer than 600 bytes",)
    assert "+two = 22" in found.diff


def test_a_large_or_binary_new_file_is_named_and_not_shown(repository):
    (repository / "data.bin").write_bytes(b"\0" * 300_000)
    found = checkout(repository)
    assert "# new file data.bin: 300,000 bytes, not shown" in found.diff
    assert len(found.diff) < 200


def test_outside_git_the_commit_is_unknown(tmp_path):
    assert checkout(tmp_path) == Checkout("unknown")
    assert checkout(tmp_path).text() == "unknown"


def test_without_git_on_the_path_the_commit_is_unknown(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))
    assert checkout(repository) == Checkout("unknown")


def test_where_git_does_not_say_what_changed_the_commit_is_unknown(repository, monkeypatch):
    index = repository / ".git" / "index"
    index.write_bytes(index.read_bytes()[:20])
    assert checkout(repository) == Checkout("unknown")
    git(repository, "read-tree", "HEAD")
    assert checkout(repository).commit == git(repository, "rev-parse", "HEAD")
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.0)
    assert checkout(repository) == Checkout("unknown")


@pytest.mark.parametrize("hidden", ["assume-unchanged", "skip-worktree", "a clean filter", "a replaced object"])
def test_bytes_that_are_not_the_commits_are_named_whatever_git_was_told(repository, hidden):
    commit = git(repository, "rev-parse", "HEAD")
    if hidden == "a clean filter":
        (repository / ".git" / "info").mkdir(exist_ok=True)
        (repository / ".git" / "info" / "attributes").write_text("one.py filter=back\n")
        git(repository, "config", "filter.back.clean", "echo one = 1")
    (repository / "one.py").write_text("one = 11\n")
    if hidden == "a replaced object":
        edited = git(repository, "hash-object", "-w", "one.py")
        git(repository, "replace", git(repository, "rev-parse", "HEAD:one.py"), edited)
        git(repository, "checkout", "--", "one.py")
    elif hidden != "a clean filter":
        git(repository, "update-index", f"--{hidden}", "one.py")
    assert (repository / "one.py").read_text() == "one = 11\n"
    assert unlike_commit(repository, commit, {".": repository}, ["one.py", "two.py"]) == ["one.py"]


def test_a_file_that_is_needed_and_not_in_the_commit_is_named(repository):
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "three.py").write_text("three = 3\n")
    (repository / "two.py").unlink()
    assert unlike_commit(repository, commit, {".": repository}, ["one.py", "three.py"]) == ["three.py", "two.py"]
    assert unlike_commit(repository, "f" * 40, {".": repository}, ["one.py"]) is None


@pytest.mark.parametrize(
    "shadow", ["two/__init__.py", "two/__init__.pyc", "two.cpython-311-x86_64-linux-gnu.so", "deep/er/more.yaml", "two"]
)
def test_a_module_or_setting_that_git_was_told_to_ignore_is_named_all_the_same(repository, tmp_path_factory, shadow):
    commit, file = git(repository, "rev-parse", "HEAD"), repository / shadow
    (repository / ".git" / "info").mkdir(exist_ok=True)
    (repository / ".git" / "info" / "exclude").write_text(f"{shadow}\n__pycache__/\n")
    if shadow == "two":  # a package that lies elsewhere
        file.symlink_to(tmp_path_factory.mktemp("elsewhere"))
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("two = 22\n")
    for other in ("__pycache__/two.cpython-311.pyc", ".ipynb_checkpoints/one.py", "deep/notes.txt"):
        (repository / other).parent.mkdir(exist_ok=True)
        (repository / other).write_text("neither imported nor read")
    assert shadow not in git(repository, "status", "--porcelain", "--untracked-files=all")
    assert unlike_commit(repository, commit, {".": repository}, ["one.py"]) == [shadow]
    assert unlike_commit(repository, commit, {"one.py": repository / "one.py"}, ["one.py"]) == []


def test_a_repository_of_sha_256_is_compared_too(tmp_path):
    git(tmp_path, "init", "-q", "--object-format=sha256")
    (tmp_path / "one.py").write_text("one = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "One file.")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert unlike_commit(tmp_path, commit, {".": tmp_path}, ["one.py"]) == []
    (tmp_path / "one.py").write_text("one = 2\n")
    assert unlike_commit(tmp_path, commit, {".": tmp_path}, ["one.py"]) == ["one.py"]
