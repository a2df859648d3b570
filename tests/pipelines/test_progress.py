"""What a person sees of a run."""

import io
import sys

import pytest

from workbench import progress
from workbench.progress import Lines, Table, watched

RUNNING = {"a": {"status": "running", "started": 0.0, "attempt": 1}, "b": {"status": "waiting"}}
RETRIED = {"a": {"status": "running", "started": 0.0, "attempt": 2}, "b": {"status": "waiting"}}
ENDED = {
    "a": {"status": "failed", "seconds": 2.25, "error": "x.ipynb: cell 4 (In [3]): ValueError: [red]no"},
    "b": {"status": "not run", "error": "a failed"},
    "c": {"status": "reused", "seconds": 0.0, "reused_from": "20241231-101502-p-ab12"},
    "d": {"status": "done", "seconds": 1.0, "attempts": [{"kernel": "ordinary: warm module 'x' starts a thread"}]},
    "e": {"status": "done", "seconds": 1.0, "attempts": [{"kernel": "forked"}]},
}


def lines_of(*states):
    shown = Lines()
    for state in states:
        shown.show(state)
    shown.end("done in 3 s")


def test_in_a_log_every_event_is_one_line(capsys):
    lines_of(RUNNING, RUNNING, RETRIED, ENDED, ENDED)
    written = capsys.readouterr()
    assert written.out == ""
    lines = [line.split(maxsplit=1)[1] for line in written.err.splitlines()]  # without the time
    assert [" ".join(line.split()) for line in lines] == [
        "▶ a running",
        "▶ a running attempt 2",
        "✗ a failed 2.2 s x.ipynb: cell 4 (In [3]): ValueError: [red]no",
        "– b not run a failed",
        "↺ c reused from 20241231-101502-p-ab12",
        "✓ d done 1.0 s kernel ordinary: warm module 'x' starts a thread",
        "✓ e done 1.0 s",
        "done in 3 s",
    ]


class Terminal(io.StringIO):
    """A text file that says it is a terminal."""

    def isatty(self):
        return True


def test_at_a_terminal_a_table_stays_in_place_and_shows_brackets_as_they_are(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    table = watched()
    assert isinstance(table, Table)
    table.show(RUNNING)
    table.show(ENDED)
    table.end("done in 3 s")
    text = terminal.getvalue()
    assert "running" in text
    assert "ValueError: [red]no" in text
    assert text.endswith("  done in 3 s\n")


@pytest.mark.parametrize(
    ("tty", "environment"), [(False, {}), (True, {"CI": "true"}), (True, {"CI": "1"}), (True, {"TERM": "dumb"})]
)
def test_without_a_terminal_or_in_ci_there_are_lines(monkeypatch, tty, environment):
    monkeypatch.setattr(sys, "stderr", Terminal() if tty else io.StringIO())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert isinstance(progress.watched(), Lines)


def test_a_run_shows_its_steps_and_its_end(project, capfd):
    project.desk.write("a", "1")
    project.pipeline({"a": {"notebook": "a"}})
    first = project.run(progress=True)
    written = capfd.readouterr().err
    assert "▶ a" in written
    assert "✓ a" in written
    assert f"{first.run_id}: done in " in written
    project.run(progress=True)
    assert f"from {first.run_id}" in capfd.readouterr().err
