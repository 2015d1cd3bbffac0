"""A plate's history: order, speeds that cannot be, look-alikes, and how unusual it all is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from workbench.errors import BadInput, CannotTell
from workbench.geo import Plane
from workbench.models.plates import history as plate_history
from workbench.models.plates.history import history

START = datetime(2026, 6, 1, tzinfo=UTC)
PLANE = Plane.local(41.6, -90.9)
READERS = {"R1": (0.0, 0.0), "R2": (3000.0, 0.0), "R3": (0.0, 10_000.0)}


def reads(*rows: tuple[str, str, float]) -> pl.DataFrame:
    """(plate, reader, hours after the start) rows as a reads table."""
    lon, lat = PLANE.to_degrees([READERS[r][0] for _, r, _ in rows], [READERS[r][1] for _, r, _ in rows])
    return pl.DataFrame(
        {
            "read_id": [f"x{i}" for i in range(len(rows))],
            "plate": [p for p, _, _ in rows],
            "reader": [r for _, r, _ in rows],
            "read_at": pl.Series([START + timedelta(hours=h) for _, _, h in rows], dtype=pl.Datetime("us", "UTC")),
            "lon": lon,
            "lat": lat,
        }
    )


def commuters(n: int = 40, days: int = 20, seed: int = 0) -> pl.DataFrame:
    """Every plate passes R1 at about 7 and R2 at about 7:10 each day, and back at about 17."""
    rng = np.random.default_rng(seed)
    rows: list[Any] = []
    for k in range(n):
        for day in range(days):
            for hour, first, second in ((7, "R1", "R2"), (17, "R2", "R1")):
                at = day * 24 + hour + rng.normal(0, 0.1)
                rows += [(f"CAR{k:04d}", first, at), (f"CAR{k:04d}", second, at + 0.17)]
    return reads(*rows)


def test_sightings_come_in_order_of_time_with_gaps_and_distances() -> None:
    track = history(reads(("ABC123", "R2", 5.0), ("ABC123", "R1", 2.0), ("XYZ999", "R1", 3.0)), "abc-123")
    assert track.table["reader"].to_list() == ["R1", "R2"]
    assert track.table["gap_hours"].to_list() == [None, 3.0]
    assert track.table["metres"][1] == pytest.approx(3000, rel=1e-3) and track.table["kmh"][1] == pytest.approx(1.0, rel=1e-3)
    assert track.headline.startswith("ABC123 was read 2 times on 1 day by 2 readers, from 2026-06-01 02:00 to 2026-06-01 05:00; 0 of the 1 other plates")


def test_a_cloned_plate_is_flagged_by_a_speed_that_cannot_have_been_driven() -> None:
    track = history(reads(("CLONE1", "R1", 1.0), ("CLONE1", "R3", 1.05), ("CLONE1", "R3", 9.0)), "CLONE1")
    assert track.table["impossible"].to_list() == [False, True, False]
    assert "1 time it cannot be one vehicle: 10.0 km apart at least 200 km/h (2026-06-01 01:03; limit 160)" in track.headline
    assert [layer.name for layer in track.layers] == ["Impossible legs", "Reads"]


def test_two_places_at_the_same_moment_are_impossible_and_one_place_never_is() -> None:
    apart = history(reads(("CLONE1", "R1", 1.0), ("CLONE1", "R3", 1.0)), "CLONE1")
    assert apart.table["impossible"].to_list() == [False, True] and "at the same moment" in apart.headline
    same = history(reads(("SLOW22", "R1", 1.0), ("SLOW22", "R1", 1.0)), "SLOW22")
    assert same.table["impossible"].to_list() == [False, False]


def test_among_ordinary_commuters_no_speed_is_flagged_and_none_stands_out() -> None:
    frame = commuters()
    for plate in frame["plate"].unique().sort()[:10]:
        track = history(frame, plate)
        assert not track.table["impossible"].any()
        assert "39 of the 39 other plates were read at least as often" in track.headline


def test_the_base_rate_tells_the_frequent_from_the_rare() -> None:
    frame = pl.concat(
        [
            commuters(),
            reads(*[("TAXI77", "R3", 24 * d + h) for d in range(20) for h in range(0, 24, 2)]).with_columns(pl.format("t{}", "read_id").alias("read_id")),
        ]
    )
    track = history(frame, "TAXI77")
    assert "0 of the 40 other plates were read at least as often; 0 passed at least half of its 12 reader-hours" in track.headline
    assert track.basis.parameters["read as often"] == 0 and ", at all hours" in track.headline


def test_usual_hours_are_told_in_the_local_zone() -> None:
    frame = reads(*[("NIGHT1", "R1", 24 * d + 6.5) for d in range(10)])
    assert "100 % of them between 06:00 and 07:00" in history(frame, "NIGHT1").headline
    assert "100 % of them between 01:00 and 02:00" in history(frame, "NIGHT1", zone="America/Chicago").headline


def test_look_alikes_that_were_read_are_named() -> None:
    frame = reads(("AB0123", "R1", 1.0), ("ABO123", "R2", 2.0), ("ABO123", "R1", 3.0), ("AB8123", "R1", 4.0))
    notes = " ".join(history(frame, "AB0123").basis.notes)
    assert "ABO123 (2 reads)" in notes and "AB8123" not in notes


def test_nothing_at_or_after_asof_is_used() -> None:
    frame = reads(("ABC123", "R1", 1.0), ("ABC123", "R2", 2.0), ("XYZ999", "R1", 5.0))
    cut = history(frame, "ABC123", asof=START + timedelta(hours=2))
    assert len(cut.table) == 1 and cut.headline == history(frame.head(1), "ABC123").headline


def test_moving_the_city_or_reordering_the_rows_changes_nothing() -> None:
    frame = commuters(5, 4)
    here = history(frame, "CAR0001")
    shuffled = history(frame.sample(fraction=1, shuffle=True, seed=1), "CAR0001")
    assert shuffled.headline == here.headline and shuffled.table.equals(here.table)
    moved = history(frame.with_columns(pl.col("lon") + 3), "CAR0001")
    assert moved.headline == here.headline
    np.testing.assert_allclose(moved.table["metres"].drop_nulls(), here.table["metres"].drop_nulls(), atol=1e-6)


def test_a_plate_never_read_gives_a_sentence_and_an_empty_track() -> None:
    track = history(commuters(3, 5), "CAR9999")
    assert track.table.is_empty() and track.layers == ()
    assert "CAR9999 was not read between 2026-06-01" in track.headline and "2 readers were up, on 5 of 5 days" in track.headline
    assert "does not mean it was not there" in track.headline


def test_without_reads_or_without_a_plate_the_sentence_says_what_would_do() -> None:
    with pytest.raises(CannotTell, match="There are no reads before 2020-01-01, so nothing can be told of ABC123"):
        history(commuters(1, 1), "ABC123", asof="2020-01-01")
    with pytest.raises(BadInput, match="holds no letter or digit"):
        history(commuters(1, 1), " - ")
    with pytest.raises(BadInput, match="Time zone 'Mars' is not known"):
        history(commuters(1, 1), "CAR0000", zone="Mars")


def test_reads_without_a_position_stay_in_the_table_and_off_the_map() -> None:
    frame = reads(("ABC123", "R1", 1.0), ("ABC123", "R2", 2.0)).with_columns(lon=pl.lit(None, dtype=pl.Float64))
    track = history(frame, "ABC123")
    assert len(track.table) == 2 and track.layers == () and track.table["kmh"].null_count() == 2


def test_in_the_made_up_city_the_cloned_plate_is_flagged_and_others_are_not(city: Any, samples: Path) -> None:
    clone = json.loads((samples / "planted.json").read_text(encoding="utf-8"))["clone"]
    reads = city.reads("2026-06-01", "2026-07-01")
    assert "it cannot be one vehicle" in history(reads, clone["plate"], zone="America/Chicago", fastest=120).headline
    often = reads.group_by("plate").len().filter(pl.col("len") > 8)["plate"].sort()
    others = [p for p in often.to_list()[::150] if p != clone["plate"]]
    flagged = [p for p in others if history(reads, p).table["impossible"].any()]
    assert len(others) > 10 and len(flagged) <= 1


def test_the_module_opens_with_its_question() -> None:
    assert "?" in (plate_history.__doc__ or "").splitlines()[0]
