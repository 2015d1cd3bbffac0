"""agency.toml: read once, checked whole, errors that name the key."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from workbench import agency
from workbench.errors import BadInput, NotFound


def _agency(folder: Path, text: str) -> agency.Agency:
    (folder / "agency.toml").write_text(text, encoding="utf-8")
    return agency.read(folder)


HEAD = '[agency]\nname = "Here"\nzone = "America/Chicago"\n'


def test_the_template_of_a_new_workspace_reads_back(tmp_path: Path) -> None:
    here = _agency(tmp_path, agency.template('Chicago "PD"', "America/Chicago", bounds=(-87.95, 41.64, -87.52, 42.03)))
    assert here.name == 'Chicago "PD"'
    assert here.study_area is not None and here.study_area.bounds == (-87.95, 41.64, -87.52, 42.03)
    assert here.group("Burglary") == ("220",)
    assert here.shifts[2].name == "night"


@pytest.mark.parametrize(("text", "said"), [
    ("[agency]\nname = 1\n", "needs name"),
    ('[agency]\nname = "x"\nzone = "Chicago"\n', "not known; write an IANA name"),
    (HEAD + "zon = 1\n", "unknown key 'zon'. Did you mean 'zone'"),
    (HEAD + "[shift]\n", "unknown section [shift]. Did you mean 'shifts'"),
    (HEAD + 'week_start = "mnday"\n', "Did you mean 'monday'"),
    (HEAD + '[shifts]\nday = "7-15"\n', "07:00-15:00"),
    (HEAD + '[shifts]\nday = "07:00-25:00"\n', "07:00-15:00"),
    (HEAD + "[retention]\nreads = 0\n", "write days"),
    (HEAD + "[study_area]\nbounds = [3, 2, 1]\n", "west, south, east, north"),
    (HEAD + "[agency", "TOML"),
])
def test_every_slip_is_said_with_what_would_be_right(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput) as e:
        _agency(tmp_path, text)
    assert said in str(e.value)


def test_local_times_become_utc_and_both_ends_of_summer_time_are_handled(tmp_path: Path) -> None:
    here = _agency(tmp_path, HEAD)
    assert here.moment("2026-07-01") == datetime(2026, 7, 1, 5, tzinfo=UTC)
    assert here.moment(date(2026, 1, 1)) == datetime(2026, 1, 1, 6, tzinfo=UTC)
    assert here.moment("2026-11-01 01:30") == datetime(2026, 11, 1, 6, 30, tzinfo=UTC), "the first of the two"
    assert here.moment("2026-03-08 02:30") == datetime(2026, 3, 8, 8, 30, tzinfo=UTC), "moved forward"
    assert here.end_of_day(datetime(2026, 7, 1, 4, tzinfo=UTC)) == datetime(2026, 7, 1, 5, tzinfo=UTC)
    with pytest.raises(BadInput, match="write '2026-05-01'"):
        here.moment("yesterday")


def test_an_unknown_offence_group_or_area_names_the_nearest(tmp_path: Path) -> None:
    here = _agency(tmp_path, HEAD)
    with pytest.raises(NotFound, match="Did you mean 'burglary'"):
        here.group("burglery")
    with pytest.raises(NotFound, match="no beat or district"):
        here.area("A9")


def test_a_map_outside_the_workspace_is_refused(tmp_path: Path) -> None:
    inner = tmp_path / "city"
    inner.mkdir()
    (tmp_path / "beats.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    here = _agency(inner, HEAD + '[map]\nbeats = "../beats.geojson"\n')
    with pytest.raises(BadInput, match="outside the workspace"):
        _ = here.beats


def test_an_operational_day_and_a_compstat_week_begin_when_the_agency_says(tmp_path: Path) -> None:
    plain = _agency(tmp_path, HEAD)
    assert plain.operational_day(plain.moment("2026-05-01 00:00")) == date(2026, 5, 1), "midnight where nothing is said"
    here = _agency(tmp_path, HEAD + 'day_start = "07:00"\nweek_start = "sunday"\n')
    assert here.operational_day(here.moment("2026-05-01 06:59")) == date(2026, 4, 30)
    assert here.operational_day(here.moment("2026-05-01 07:00")) == date(2026, 5, 1)
    assert here.operational_day(datetime(2026, 5, 1, 3, tzinfo=UTC)) == date(2026, 4, 30), "22:00 of the day before in Chicago"
    for inside in ("2026-05-03 07:00", "2026-05-06 12:00", "2026-05-10 06:59"):
        assert here.week(here.moment(inside)) == (here.moment("2026-05-03 07:00"), here.moment("2026-05-10 07:00")), inside
    assert here.week(here.moment("2026-05-10 07:00"))[0] == here.moment("2026-05-10 07:00"), "the end of a week begins the next"
    begin, end = here.week(here.moment("2026-03-08 12:00"))
    assert (end - begin).total_seconds() / 3600 == 168 and begin == here.moment("2026-03-08 07:00")
    begin, end = here.week(here.moment("2026-03-08 01:00"))
    assert (end - begin).total_seconds() / 3600 == 167, "clocks went forward in it"


def test_weeks_follow_one_another_without_gap_through_a_year(tmp_path: Path) -> None:
    here = _agency(tmp_path, HEAD + 'day_start = "06:30"\nweek_start = "thursday"\n')
    begin, end = here.week(here.moment("2026-01-15"))
    for _ in range(60):
        following = here.week(end)
        assert following[0] == end and here.week(following[1] - timedelta(microseconds=1)) == following
        assert here.operational_day(following[0]).weekday() == 3
        begin, end = following


@pytest.mark.parametrize("text", ['day_start = "7"\n', 'day_start = "25:00"\n', "day_start = 7\n"])
def test_a_day_that_begins_at_no_time_of_day_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput, match='day_start = .* is not a time of day; write day_start = "07:00"'):
        _agency(tmp_path, HEAD + text)
