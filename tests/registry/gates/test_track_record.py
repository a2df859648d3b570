"""A track record is what a runner wrote, or it is refused."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from workbench.errors import DataRefused
from workbench.registry.gates.track_record import Break, SessionRecord, TrackRecord, read_track_record

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
NAN = float("nan")


def spoiled(record, path, value):
    facts = json.loads(record.bytes())
    *way, last = path.split(".")
    node = facts
    for key in way:
        node = node[int(key)] if isinstance(node, list) else node[key]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_a_record_is_read_as_it_was_written(make_record):
    sessions = make_record().sessions
    last = replace(sessions[-1], breaks=(Break("minor", "a fill came twice"),), positions_equal=None)
    record = make_record(sessions=(*sessions[:-1], last), drift={"rsi": 0.05}, slippage_bps=None)
    again = read_track_record(record.bytes(), "paper.json", NOW)
    assert again == record
    assert again.bytes() == record.bytes()
    assert again.digest == record.digest
    assert again.sessions[0].date == date(2026, 1, 6)


def test_the_form_of_a_record_is_fixed():
    """The live runner writes this form, and the digest of a proposal names it: a change here is a change there."""
    session = SessionRecord(date(2026, 1, 6), 1000.0, -1.5, 2, 1000.0, True, (Break("note", "late"),))
    record = TrackRecord("s", 1, "p", "paper", "embedded", "sample", (session,), 2, 1.0, 2.0, "j", {"f": 0.1})
    assert record.bytes().decode() == (
        '{"account_mode":"embedded","drift":{"f":0.1},"fills":2,"journal_head":"j","market":"sample","pack":"p",'
        '"sessions":[{"breaks":[{"severity":"note","text":"late"}],"capital":1000.0,"date":"2026-01-06",'
        '"equity":1000.0,"pnl":-1.5,"positions_equal":true,"trades":2}],"slippage_bps":1.0,"slippage_model_bps":2.0,'
        '"stage":"paper","strategy":"s","version":1}'
    )


@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("sessions.3.date", "2026-01-06", "session 2026-01-06 comes after 2026-01-08"),
        ("sessions.1.date", "2026-01-06", "session 2026-01-06 is there twice"),
        ("sessions.37.date", "2026-03-03", "session 2026-03-03 is in the future, it is 2026-03-02"),
        ("sessions.0.date", "yesterday", "Invalid isoformat"),
        ("sessions.0.date", 20260106, "track record"),
        ("sessions.0.equity", None, "session 2026-01-06: equity is None"),
        ("sessions.0.equity", "100", "equity is '100'"),
        ("sessions.0.equity", True, "equity is True"),
        ("sessions.0.pnl", [], "pnl is []"),
        ("sessions.0.capital", -1.0, "capital is -1; it must be at least 0"),
        ("sessions.0.trades", -1, "trades is -1; it must be a whole number of at least 0"),
        ("sessions.0.trades", 1.0, "trades is 1.0"),
        ("sessions.0.trades", True, "trades is True"),
        ("sessions.0.positions_equal", 1, "positions_equal is 1"),
        ("sessions.0.positions_equal", "yes", "positions_equal is 'yes'"),
        ("sessions.0.breaks", None, "track record"),
        ("sessions.0.breaks", [{"severity": "grave", "text": "x"}], "breaks.severity is 'grave'"),
        ("sessions.0.breaks", [{"severity": "severe"}], "missing or unknown: ['text']"),
        ("sessions.0.profit", 1.0, "missing or unknown: ['profit']"),
        ("sessions.0.equity", ..., "missing or unknown: ['equity']"),
        ("sessions", None, "track record"),
        ("fills", -1, "fills is -1"),
        ("fills", 2.5, "fills is 2.5"),
        ("version", 0, "version is 0; it must be a whole number of at least 1"),
        ("stage", "research", "stage is 'research'; it must be one of paper, staged_live, production"),
        ("account_mode", "demo", "account_mode is 'demo'"),
        ("market", "real?", "market is 'real?'"),
        ("slippage_bps", "2", "slippage_bps is '2'"),
        ("slippage_model_bps", -2.0, "slippage_model_bps is -2"),
        ("drift", {"rsi": -0.1}, "drift of rsi is -0.1"),
        ("drift", {"rsi": None}, "drift of rsi is None"),
        ("drift", [], "track record"),
        ("strategy", "", "strategy is ''"),
        ("journal_head", None, "journal_head is None"),
        ("journal_head", ..., "missing or unknown: ['journal_head']"),
        ("owner", "ann", "missing or unknown: ['owner']"),
    ],
)
def test_what_no_runner_writes_is_refused_in_one_line(make_record, path, value, error):
    with pytest.raises(DataRefused) as refused:
        read_track_record(spoiled(make_record(), path, value), "paper.json", NOW)
    assert str(refused.value).startswith("paper.json: ")
    assert error in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b"{", b"\xff"])
def test_what_is_no_record_is_refused(content):
    with pytest.raises(DataRefused, match=r"^paper\.json: "):
        read_track_record(content, "paper.json", NOW)


def test_nan_in_a_file_and_another_spelling_are_refused(make_record):
    whole = make_record().bytes()
    with pytest.raises(DataRefused, match=r"paper\.json: not JSON"):
        read_track_record(whole.replace(b'"slippage_bps":2.2', b'"slippage_bps":NaN'), "paper.json", NOW)
    with pytest.raises(DataRefused, match="not in canonical form"):
        read_track_record(json.dumps(json.loads(whole), indent=1).encode(), "paper.json", NOW)
    twice = whole.replace(b'"fills":41', b'"fills":3,"fills":41')
    with pytest.raises(DataRefused, match="not in canonical form"):
        read_track_record(twice, "paper.json", NOW)


@pytest.mark.parametrize("changes", [{"slippage_bps": NAN}, {"drift": {"rsi": NAN}}, {"version": True}, {"fills": NAN}])
def test_a_record_cannot_even_be_made_of_what_is_no_number(make_record, changes):
    with pytest.raises(DataRefused):
        make_record(**changes)


def test_a_session_cannot_be_made_of_what_is_no_number():
    for equity, pnl, capital in ((NAN, 0.0, 1.0), (1.0, float("inf"), 1.0), (1.0, 0.0, -1.0)):
        with pytest.raises(DataRefused, match="session 2026-01-06"):
            SessionRecord(date(2026, 1, 6), equity, pnl, 0, capital)
    with pytest.raises(DataRefused, match="is no session date"):
        SessionRecord(datetime(2026, 1, 6, tzinfo=UTC), 1.0, 0.0, 0, 1.0)


def test_a_session_of_today_is_no_future(make_record):
    record = make_record()
    assert read_track_record(record.bytes(), "paper.json", datetime(2026, 2, 26, tzinfo=UTC)) == record
    with pytest.raises(DataRefused, match="in the future"):
        read_track_record(record.bytes(), "paper.json", datetime(2026, 2, 25, 23, 59, tzinfo=UTC))


def test_the_digest_changes_with_every_fact(make_record):
    assert make_record().digest != make_record(fills=42).digest
