"""Every real file there is, through its source: balancing counts, a quality report, no traceback; and the page that lists the sources."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from workbench import loaders, schema
from workbench.intake import quality
from workbench.lake import Lake


@dataclass(frozen=True)
class Rule:
    """Files of a pattern and their source; ``why`` says why they have none."""

    pattern: str
    source: str = ""
    said: dict[str, str] = field(default_factory=dict)
    why: str = ""


def areas(pattern: str, kind: str, **more: str) -> Rule:
    return Rule(pattern, "boundaries", {"kind": kind, **more})


#: Of each file the first rule that fits; patterns are of the path below shared/data, or "samples/" and the name of a ten-row export.
RULES = (
    Rule("chicago/chicago_crimes_*.parquet", "chicago_crimes"),
    Rule("chicago/Crimes_-_*.csv.gz", "chicago_crimes"),
    Rule("chicago/Red_Light_Camera_Locations.csv", "chicago_red_light_cameras"),
    Rule("chicago/Speed_Camera_Locations.csv", "chicago_speed_cameras"),
    areas("chicago/police_beats_*.geojson", "beat"),
    areas("chicago/*/*.shp", "beat"),
    areas("chicago/police_districts_*.geojson", "district"),
    areas("chicago/community_areas.geojson", "community area"),
    Rule("chicago/shapefile_*", why="a part of the shapefile"),
    Rule("chicago/Census_*", why="census figures of areas"),
    Rule("chicago/iucr-codes.csv", why="a code list"),
    Rule("chicago/police-district-stations.csv", why="a list of stations"),
    Rule("stlouis/raw/*.csv*", "st_louis_incidents"),
    areas("stlouis/stl_neighborhoods.geojson", "neighbourhood"),
    areas("stlouis/stl_wards.geojson", "ward"),
    areas("stlouis/stl_boundary_wgs84.geojson", "city", name="St. Louis"),
    areas("stlouis/stl_boundary.geojson", "city", name="St. Louis", crs="ESRI:102696"),
    Rule("uk/*-street.csv.gz", "uk_street_crimes"),
    Rule("dc/Crime_Incidents_in_*.csv.gz", "washington_incidents"),
    Rule("dc/aoristic_dcburglaries.csv", "washington_burglaries"),
    Rule("incident_samples/aoristic_NYburg.csv", "new_york_burglaries"),
    Rule("incident_samples/cincinnati_burglary.csv.gz", "cincinnati_burglaries"),
    Rule("incident_samples/vancouver_thefts.csv.gz", "vancouver_thefts"),
    Rule("incident_samples/lancashire_asb.tab.gz", "lancashire_antisocial"),
    Rule("incident_samples/nottingham_burglary.csv.gz", "nottingham_burglaries"),
    Rule("incident_samples/san_francisco_robbery.csv", "san_francisco_robberies"),
    Rule("incident_samples/nyc_shootings.csv", "new_york_shootings"),
    Rule("incident_samples/aggravated_assaults.xlsx", "austin_assaults"),
    areas("incident_samples/vancouver_neighbourhoods.geojson", "neighbourhood"),
    Rule("crime_series/crimelinkage_crimes.csv", "crimelinkage_burglaries", {"crs": "EPSG:26985"}),
    Rule("crime_series/crimelinkage_offenders.csv", "crimelinkage_offenders"),
    Rule("sanantonio_cad/sapd_*.csv*", "san_antonio_calls"),
    Rule("cad_other/montgomery_pa_911.csv.gz", "montgomery_pa_calls"),
    Rule("cad_other/nashville_calls_*.csv.gz", "nashville_calls"),
    Rule("cad_other/sandiego_pd_calls_for_service_*.csv.gz", "san_diego_calls"),
    Rule("cad_other/sandiego_pd_*", why="a code list, read beside the calls"),
    Rule("cad_other/Wilmington_*.csv", "wilmington_calls"),
    Rule("seattle_lpr/spd_alpr_*.csv.gz", "seattle_reads"),
    Rule("seattle_lpr/labels.csv", why="five places, named"),
    Rule("gunshots/dc_*.csv.gz", "washington_gunshots"),
    Rule("gunshots/San_Francisco_*.csv", "san_francisco_gunshots"),
    Rule("gunshots/OakShots_*.csv", "oakland_gunshots"),
    Rule("gunshots/st_louis_data.csv", "st_louis_gunshots"),
    Rule("roads/*.osm.pbf", "osm_streets"),
    Rule("networks/*", why="networks for models of networks"),
    Rule("entity_resolution/*", why="pairs for tests of matching"),
    Rule("*README.md", why="words about the files"),
    Rule("*SHA256SUMS", why="check sums"),
    Rule("samples/new_orleans_calls_for_service_*.csv", "new_orleans_calls"),
    Rule("samples/seattle_911_response.csv", "seattle_calls"),
    Rule("samples/hartford_police_calls.csv", "hartford_calls"),
    Rule("samples/san_francisco_police_calls.csv", "san_francisco_calls"),
    Rule("samples/rockford_dispatch.csv", "rockford_calls"),
    Rule("samples/santa_rosa_calls.csv", "santa_rosa_calls"),
    Rule("samples/lapd_calls_*.csv", "los_angeles_calls"),
    Rule("samples/lapd_crime_*.csv", "los_angeles_incidents"),
    Rule("samples/chicago_crimes.csv", "chicago_crimes"),
    Rule("samples/chicago_iucr.csv", why="a code list"),
    Rule("samples/nypd_complaints_historic.csv", "new_york_incidents"),
    Rule("samples/san_francisco_incidents_*.csv", "san_francisco_incidents"),
    Rule("samples/austin_incident_extract.csv", "austin_incidents"),
    Rule("samples/seattle_police_report_incident.csv", "seattle_incidents"),
    Rule("samples/seattle_report_offense.csv", "seattle_offences"),
    Rule("samples/montgomery_county_crime.csv", "montgomery_md_incidents"),
    Rule("samples/honolulu_incidents.csv", "honolulu_incidents"),
)
#: The other sheets of a workbook are sources of their own.
SHEETS = {"austin_assaults": ("austin_assaults", "fort_worth_assaults", "seattle_assaults")}
#: Sources whose files are many or large: loaded whole by a fixture that other tests share, or one of every so many in CI.
SHARED = ("chicago_crimes", "st_louis_incidents")
EVERY = {"san_antonio_calls": 9, "osm_streets": 3}


def every_file(real_data: Path) -> dict[str, Path]:
    """Path as in RULES -> file, of all real files."""
    found = {str(f.relative_to(real_data)): f for f in sorted(real_data.rglob("*")) if f.is_file()}
    samples = real_data.parent / "domain" / "schemas" / "samples"
    return found | {f"samples/{f.name}": f for f in sorted(samples.glob("*")) if f.is_file()}


def rule_of(path: str) -> Rule | None:
    return next((rule for rule in RULES if fnmatch.fnmatch(path, rule.pattern)), None)


def test_every_real_file_has_a_source_or_a_reason_why_it_has_none(real_data: Path) -> None:
    unknown = [path for path in every_file(real_data) if rule_of(path) is None]
    assert not unknown, f"no source and no reason: {unknown}"
    missing = sorted({rule.source for rule in RULES if rule.source} - set(loaders.names()))
    assert not missing, f"sources that are not there: {missing}"


def load_one(lake: Lake, name: str, path: str, file: Path, said: dict[str, str]) -> dict[str, Any]:
    """Load a file and describe what came of it."""
    source = loaders.find(name)
    report = lake.load(source, file, said=said)
    return {"file": path, "source": name, "read": report.read, "added": report.added, "updated": report.updated, "duplicate": report.duplicate,
            "rejected": report.rejected, "seconds": report.seconds, "batch": report.batch_id}


def described(lake: Lake, row: dict[str, Any]) -> dict[str, Any]:
    """Shares of a batch's rows without a place and of UNKNOWN offence, and the quality report's findings."""
    source, worst = loaders.find(row["source"]), ""
    parts: dict[str, float] = {}
    for table in source.tables:
        frame = lake.frame(table, where="batch_id = ?", params=[row["batch"]])
        if frame.is_empty():
            continue
        if "lon" in frame.columns and (table != "boundaries"):
            parts["no place"] = round(100 * frame["lon"].null_count() / frame.height, 1)
        if "nibrs" in frame.columns:
            parts["unknown"] = round(100 * frame.filter(nibrs="UNKNOWN").height / frame.height, 1)
        if schema.table(table).time:
            report = quality.check(frame.head(20_000), table, zone=source.zone)
            assert report.headline and report.table.height == len(report.findings)
            worst = "; ".join(f.check for f in report.findings[:2])
    return {**row, **parts, "quality": worst}


def chosen(files: dict[str, Path], whole: bool) -> list[tuple[str, Path, Rule]]:
    picked, seen = [], dict.fromkeys(EVERY, 0)
    for path, file in files.items():
        rule = rule_of(path)
        if rule is None or not rule.source or (rule.source in SHARED and not path.startswith("samples/")):
            continue
        if rule.source in EVERY:
            seen[rule.source] += 1
            if not whole and (seen[rule.source] - 1) % EVERY[rule.source]:
                continue
        picked.append((path, file, rule))
    return picked


def load_all(folder: Path, real_data: Path, whole: bool) -> None:
    """Load the files into lakes in ``folder``, one a city, and write down what came of each."""
    rows = []
    for path, file, rule in chosen(every_file(real_data), whole):
        for name in SHEETS.get(rule.source, (rule.source,)):
            lake = Lake(folder / path.split("/")[0])
            rows.append(described(lake, load_one(lake, name, path, file, rule.said)))
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")


def table_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Print the table of what came of each file."""
    frame = pl.DataFrame(rows, infer_schema_length=None).drop("batch", strict=False)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=230, fmt_str_lengths=48, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
        print(f"\n{frame}")
    return frame


def balanced(frame: pl.DataFrame) -> None:
    wrong = frame.filter(pl.col("read") != pl.sum_horizontal("added", "updated", "duplicate", "rejected"))
    assert wrong.is_empty(), f"counts that do not balance: {wrong}"
    refused = frame.filter(pl.col("rejected") > pl.max_horizontal(pl.lit(2), 0.01 * pl.col("read")))
    assert refused.is_empty(), f"more than one in a hundred rejected: {refused.select('file', 'read', 'rejected').rows()}"
    assert (frame["read"] > 0).all()


@pytest.fixture(scope="session")
def all_loaded(real_data: Path, made_once: Callable[[str, Callable[[Path], Any]], Path]) -> list[dict[str, Any]]:
    """What came of every file but those of SHARED and some of EVERY."""
    def make(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        load_all(folder, real_data, whole=False)

    return json.loads((made_once("every_file", make) / "rows.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_every_file_loads_with_balancing_counts_a_quality_report_and_no_traceback(all_loaded: list[dict[str, Any]], real_data: Path) -> None:
    frame = table_of(all_loaded)
    balanced(frame)
    wanted = {path for path, _, _ in chosen(every_file(real_data), whole=False)}
    assert set(frame["file"]) == wanted


def test_the_share_of_unknown_offences_is_known_for_every_source(all_loaded: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(all_loaded, infer_schema_length=None).drop_nulls("unknown")
    shares = frame.group_by("source").agg(files=pl.len(), rows=pl.col("added").sum(), percent=pl.col("unknown").max()).sort("percent", descending=True)
    with pl.Config(tbl_rows=-1):
        print(shares)
    wide = {"uk_street_crimes": 50, "san_francisco_incidents": 50, "austin_incidents": 50, "seattle_offences": 50, "los_angeles_incidents": 50,
            "montgomery_md_incidents": 20}
    for source, _, _, share in shares.iter_rows():
        assert share <= wide.get(source, 1), source


def test_the_large_sources_balance_too(chicago_path: Path, st_louis_path: Path, real_data: Path) -> None:
    rows = []
    for path, patterns in ((chicago_path / "lake", ("chicago/chicago_crimes_*", "chicago/Crimes_*")), (st_louis_path, ("stlouis/raw/*",))):
        lake = Lake(path)
        files = [f for f in every_file(real_data) if any(fnmatch.fnmatch(f, p) for p in patterns)]
        ledger = lake.batches()
        assert sorted(ledger["file"]) == sorted(Path(f).name for f in files)
        unknown = lake.query("select batch_id, round(100.0 * count(*) filter (nibrs = 'UNKNOWN') / count(*), 1) u, "
                             "round(100.0 * count(*) filter (lon is null) / count(*), 1) n from incidents group by batch_id", versions=lake.versions())
        known = {batch: (u, n) for batch, u, n in unknown.iter_rows()}
        for row in ledger.iter_rows(named=True):
            share, nowhere = known[row["batch_id"]]
            counts = {k: row[k] for k in ("file", "source", "read", "added", "updated", "duplicate", "rejected", "seconds")}
            rows.append({**counts, "no place": nowhere, "unknown": share})
        sample = lake.query("select * from incidents using sample 20000 rows (reservoir, 1)", versions=lake.versions())
        assert quality.check(sample, "incidents", zone="America/Chicago").headline
    balanced(table_of(rows))


@pytest.mark.soak
def test_every_file_without_exception_loads(real_data: Path, tmp_path: Path) -> None:
    load_all(tmp_path, real_data, whole=True)
    balanced(table_of(json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))))


def test_the_page_of_sources_lists_every_source_with_its_table_and_zone(root: Path) -> None:
    page = (root / "docs" / "sources.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip().strip("`"): line for line in page.splitlines() if line.startswith("| `")}
    names = loaders.names()
    assert sorted(set(names) - set(rows)) == [] == sorted(set(rows) - set(names)), "sources not on the page, and names on it that are none"
    for name in names:
        source = loaders.find(name)
        for told in (*source.tables, source.zone):
            assert told in rows[name], f"{name}: {told}"
