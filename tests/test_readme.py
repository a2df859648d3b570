"""The README and the docs say what is: every target, command, file and link they name exists."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_named_exists(page):
    named = set(re.findall(r"(?:`|^|\$ )make ([a-z][a-z-]*)", page.read_text(), flags=re.MULTILINE))
    assert named <= TARGETS, f"{page.name} names targets that do not exist: {named - TARGETS}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_ours_named_exists(page):
    ours = r"`((?:src|tests|params|notebooks|pipelines|docs|bench|locks)/[A-Za-z0-9_./-]+\.[a-z]+)`"
    # Files that the reader is told to make.
    made = {"breakout"}
    for name in re.findall(ours, page.read_text()):
        if not any(word in name for word in made):
            assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_every_target_and_command_is_documented():
    text = (ROOT / "docs" / "commands.md").read_text()
    public = set(re.findall(r"^([a-z][a-z-]*):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert public == {target for target in public if f"make {target}" in text}
    from typer.main import get_command

    from workbench.cli import app

    commands = set(get_command(app).commands)
    assert commands == {name for name in commands if f"workbench {name}" in text}


def test_every_page_is_reachable_from_the_readme():
    text = (ROOT / "README.md").read_text()
    missing = [page.name for page in (ROOT / "docs").glob("*.md") if f"docs/{page.name}" not in text]
    assert missing == []


def test_the_readme_shows_a_picture_and_its_file_is_committed():
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert pictures
    tracked = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True).stdout.splitlines()
    if not tracked:
        pytest.skip("not a git checkout")
    assert set(pictures) <= set(tracked)


def test_nothing_of_this_machine_is_in_the_repository():
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True).stdout.splitlines()
    if not listed:
        pytest.skip("not a git checkout")
    home = str(Path.home())
    found = []
    for name in listed:
        file = ROOT / name
        if file.suffix in {".png", ".lock"} or not file.is_file():
            continue
        text = file.read_text()
        if len(home) > 5 and home in text:
            found.append(name)
    assert found == []
