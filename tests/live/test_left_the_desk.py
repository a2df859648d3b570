"""Whose a session is that ends with nobody at the desk: what was lost in it is in the report and in the records."""

from __future__ import annotations

from datetime import date, timedelta

from tests.live.ib.conftest import until
from tests.live.test_service import MONDAY, Office, running, sim  # noqa: F401 (sim: the fixture)
from tests.live.test_service import bars as gateway_bars  # noqa: F401
from workbench.cli.track import write_records
from workbench.clock import read_clock
from workbench.live.journal.event import Draft, Kind
from workbench.live.report import SessionReport
from workbench.parity.record import closed_sessions
from workbench.registry.gates.track_record import read_track_record


def test_a_session_that_ends_with_nobody_at_the_desk_is_of_who_sat_there_before(tmp_path, sim, gateway_bars):  # noqa: F811
    office = Office(tmp_path, sim, gateway_bars, {"AAA": 0.2})
    service = office.open()
    kept: list[SessionReport] = []

    def keep(report: SessionReport) -> None:
        assert service._desk is not None
        assert service._desk.seats == ()
        service.ending.set()
        write_records(office.paths, service.sat(report), report, service.journal, office.settings)
        kept.append(report)

    service.keep = keep
    clock, closes, done = service.clock, service.calendar.closes(MONDAY), []
    with running(service):
        until(lambda: service.journal.book.positions, 20)
        protect = service._protect

        def failing(desk) -> None:
            if not done:
                done.append(1)
                late = closes + timedelta(minutes=6) - clock()
                service.clock = lambda: clock() + late
                raise KeyError("AAA")
            protect(desk)

        service._protect = failing  # type: ignore[method-assign]
        until(lambda: kept, 20)
    (result,) = kept[0].results
    assert (result.strategy, result.pack, result.stage, result.trades) == ("one", "pack of one", "paper", 1)
    assert result.pnl < 0.0
    file = office.paths.state / "records" / "strategy" / "one" / "1" / "paper.json"
    record = read_track_record(file.read_bytes(), "", read_clock("sample", office.paths).now())
    (closed,) = closed_sessions(service.journal, "one", "pack of one", "paper")
    assert [(one.date, one.pnl, one.trades) for one in (*record.sessions, closed)] == [(MONDAY, result.pnl, 1)] * 2
    office.close(service)


def test_what_is_made_on_a_day_on_which_nobody_sat_at_the_desk_is_of_who_sat_there_last(journal):
    seat = {"pack": "p", "version": 1, "stage": "paper", "mode": "active", "share": 0.5, "capital": None}
    days = [
        (4, [{"one": seat}], 10.0),
        (5, [{}], -90.0),
        (6, [{}], -90.0),  # and there is no session where it held nothing
        (7, [{"one": seat, "two": seat}, {"two": seat}, {}], -80.0),
        (8, [{"two": seat}], -70.0),  # others sat there
    ]
    for day, begins, worth in days:
        for seats in begins:
            journal.begin(date=f"2024-03-0{day}", equity=1000.0, seats=seats)
        assert journal.book.past.seated is (begins != [{}])
        assert "one" in journal.book.past.seats or day == 8
        facts = {"date": f"2024-03-0{day}", "equity": 1000.0, "worth": {"one": worth}, "marks": {}}
        journal.append(Draft(Kind.RECONCILE, {"closing": facts}))
    found = [(one.date, one.pnl, one.capital) for one in closed_sessions(journal, "one", "p", "paper")]
    assert found == [
        (date(2024, 3, 4), 10.0, 500.0),
        (date(2024, 3, 5), -100.0, 500.0),
        (date(2024, 3, 7), 10.0, 500.0),
    ]
