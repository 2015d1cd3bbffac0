"""A strange export: the mapping file and its little language, what is proposed for files nobody mapped, and that nothing is guessed silently."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from tests.mapper_truth import AREAS, BUILT, HELD
from workbench import agency as agencies
from workbench import cli, loaders, practice, schema, workspace
from workbench.agency import Agency
from workbench.errors import BadInput, CannotTell, NotFound, WorkbenchError
from workbench.intake import propose_words, sniff_crs, sniff_times, sniff_zone, synonyms
from workbench.intake.map_widget import map_file
from workbench.intake.propose import Proposal, propose
from workbench.intake.sniff_file import sample
from workbench.lake import Lake
from workbench.loaders.kit import mapped
from workbench.loaders.kit.grammar import Reader
from workbench.loaders.kit.phrases import FUNCTIONS
from workbench.loaders.kit.pieces import Place, Raw, Value

QUIET = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], derandomize=True)

GOOD = """
table = "incidents"
zone = "America/Chicago"
delimiter = ";"
[columns]
incident_id = 'text("Case No")'
started_at = 'date_and_time(day("D"), pad("T", 4), "%Y-%m-%d %H%M")'
nibrs = 'lookup("Off", codes, "UNKNOWN")'
place = 'planar("X", "Y", "ESRI:102696")'
offence = 'text("Off")'
arrest = 'one_of("A", "ARR")'
[lookup.codes]
"it's; \\"quoted\\"" = "220"
"""


# --- the mapping file ----------------------------------------------------------------------------------------------------------


def test_a_mapping_file_is_a_source_that_can_be_listed_found_and_loaded_by_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "city"
    workspace.create(folder, name="X", zone="America/Chicago")
    (folder / "plugins" / "loaders" / "strange.toml").write_text(GOOD, encoding="utf-8")
    file = tmp_path / "strange.csv"
    file.write_text('Case No;D;T;Off;X;Y;A\n1;2014-12-30T00:00:00;605;"it\'s; ""quoted""";895500.3;1009677;ARR\n2;2014-12-30;1855.0;b;0;0;\n3;bad;12;;;;\n')
    assert "strange" in loaders.names(folder / "plugins" / "loaders")
    report = workspace.load(folder, workspace.source(folder, "strange"), file)
    assert (report.read, report.added, report.rejects_by_reason) == (3, 2, {"started_at not readable": 1})
    rows = Lake(folder / "lake").frame("incidents").sort("line").to_dicts()
    assert rows[0]["started_at"] == datetime(2014, 12, 30, 12, 5, tzinfo=UTC) and rows[1]["started_at"] == datetime(2014, 12, 31, 0, 55, tzinfo=UTC)
    assert rows[0]["nibrs"] == "220" and rows[1]["nibrs"] == "UNKNOWN" and rows[0]["arrest"] is True and rows[1]["arrest"] is None
    assert rows[0]["lon"] == pytest.approx(-90.2365, abs=1e-4) and rows[1]["lon"] is None


def test_a_mapping_written_is_the_mapping_read() -> None:
    one = mapped.parsed(GOOD, "strange")
    assert mapped.parsed(mapped.write(one), "strange") == one


@pytest.mark.parametrize(
    ("line", "wrong", "says"),
    [
        ("incident_id", "incident_id = 'tetx(\"Case No\")'", "Did you mean 'text'"),
        ("incident_id", "incident_id = 'text(Case)'", "a column of the export is written in quotes"),
        ("started_at", "started_at = 'text(\"D\")'", "started_at is of type TIMESTAMPTZ"),
        ("started_at", 'started_at = \'time("D", "%m/%Q/%Y")\'', "'%Q'"),
        ("offence", "ofence = 'text(\"Off\")'", "Did you mean 'offence'"),
        ("place", 'place = \'planar("X", "Y", "EPSG:9999999")\'', "is not known or not a projected one"),
        ("place", 'lon = \'degrees("X", "Y")\'', "place = "),
        ("offence", 'offence = \'join("A", "B", " ")\'', "text on its way"),
        ("arrest", "arrest = 3", "must be an expression in quotes"),
        ("nibrs", "nibrs = 'lookup(\"Off\", kodes)'", "Did you mean 'codes'"),
        ("offence", 'offence = \'text("Off", "On")\'', 'it is written text("Column")'),
    ],
)
def test_a_mistake_in_a_mapping_names_its_line_what_is_wrong_and_what_would_be_right(line: str, wrong: str, says: str) -> None:
    text = "\n".join(wrong if row.startswith(f"{line} =") else row for row in GOOD.splitlines())
    number = next(i for i, row in enumerate(text.splitlines(), 1) if row == wrong)
    with pytest.raises(BadInput) as error:
        mapped.parsed(text, "strange", "strange.toml")
    assert f"line {number}" in str(error.value) and says in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD.replace('delimiter = ";"', 'delimeter = ";"'), "Did you mean 'delimiter'"),
        (GOOD.replace('"incidents"', '"incident"'), "Did you mean 'incidents'"),
        (GOOD.replace("America/Chicago", "America/Chikago"), "no time zone"),
        (GOOD.replace("started_at = ", "reported_at = "), "started_at"),
        ("table = 'incidents'", "[columns]"),
        ("table = ", "TOML"),
    ],
)
def test_a_mapping_that_is_none_is_refused_with_a_sentence(text: str, says: str) -> None:
    with pytest.raises(WorkbenchError, match="(?s).*") as error:
        mapped.parsed(text, "strange")
    assert says in str(error.value)


def test_a_name_is_one_source_only(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(GOOD)
    (tmp_path / "x.py").write_text("SOURCE = None")
    with pytest.raises(BadInput, match="two sources"):
        loaders.find("x", tmp_path)


def test_every_function_says_how_it_is_written_and_its_example_reads() -> None:
    for name, function in FUNCTIONS.items():
        usage = (function.__doc__ or "").split("`")[1]
        assert usage.startswith(f"{name}("), name
        assert isinstance(Reader().read(usage), (Raw, Value, Place)), name


def test_calls_loaded_by_a_mapping_say_what_cannot_be_in_their_times(tmp_path: Path) -> None:
    text = 'table = "calls"\ndelimiter = ","\n[columns]\ncall_id = \'text("n")\'\n' + "".join(
        f"{c}_at = 'time(\"{c}\")'\n" for c in ("received", "dispatched", "arrived")
    )
    file = tmp_path / "c.csv"
    file.write_text(
        "n,received,dispatched,arrived\n1,2024-01-01 10:00,2024-01-01 10:05,2024-01-01 10:02\n2,2024-01-01 10:00,2024-01-01 10:05,2024-01-01 10:12\n"
    )
    lake = Lake(tmp_path / "lake")
    lake.load(mapped.parsed(text, "c").source(), file)
    assert lake.frame("calls").sort("line")["doubts"].to_list() == [["arrived before dispatched"], None]


HOSTILE = [
    "'; drop table x; --",
    '"; select 1; --',
    "\\'; --",
    'a""b',
    "{zone}",
    "{salt}",
    "{said:x}",
    "{beside:a:b:c}",
    "$1",
    "%s",
    "/*",
    "*/",
    "--",
    "\u202e",
    "é'",
    "read_csv('/etc/passwd')",
    "a' || (select 1) || '",
    "\n'",
    "\t",
    "\\",
    "''",
    '""',
    "#record",
    "@lon",
]


@given(
    name=st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=20)),
    value=st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20)),
    call=st.sampled_from(
        [
            "text({n})",
            "const({v})",
            "lookup({n}, {{{v}: {v}}}, {v2})",
            "join({n}, {n}, {v})",
            "replace({n}, {v2}, {v})",
            "list({n}, {v2})",
            "one_of({n}, {v2})",
            "part({n}, {v2}, 1)",
            "empty({n}, {v2})",
            "time({n}, {f})",
            "unless({n}, {v2})",
            "nibrs({n})",
            "member({n}, {v2})",
        ]
    ),
)
@QUIET
def test_nothing_but_a_column_and_a_text_gets_out_of_the_language_whatever_is_written(name: str, value: str, call: str) -> None:
    q = json.dumps
    written = call.format(n=q(name), v=q(value), v2=q(value or "x"), f=q("%Y" + value))
    reader = Reader()
    try:
        found = reader.read(written)
    except WorkbenchError:
        return
    sql = found.sql if isinstance(found, (Raw, Value)) else ""
    con = duckdb.connect()
    con.execute("set enable_external_access = false")
    con.execute("create or replace macro nibrs_by_words(a, b) as null")
    parsed = con.execute("select json_serialize_sql(?)", [f"select {sql}"]).fetchone()
    tree = json.loads(parsed[0])
    assert not tree.get("error"), (sql, tree)
    assert len(tree["statements"]) == 1
    names, kinds = set(), set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("class") == "COLUMN_REF":
                names.add(".".join(node["column_names"]))
            kinds.add(node.get("type"))
            for inner in node.values():
                walk(inner)
        elif isinstance(node, list):
            for inner in node:
                walk(inner)

    walk(tree["statements"])
    assert {n for n in names if n not in ("w", "x")} <= set(reader.used.columns), (sql, names)
    assert "SUBQUERY" not in kinds and "STAR" not in kinds
    assert not any(hole in sql.replace("{zone}", "", 9 if "time(" in call else 0) for hole in ("{salt}", "{said:", "{beside:", "{zone}"))


@given(st.one_of(st.text(max_size=60), st.text(alphabet="()[]{}\"',.:=%abctextime_\\ \n", max_size=60)))
@QUIET
def test_an_expression_of_any_kind_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        Reader().read(text)
    except WorkbenchError as error:
        assert len(str(error)) > 10


@given(st.text(max_size=200))
@QUIET
def test_a_mapping_file_of_any_kind_is_read_or_refused_with_a_sentence(text: str) -> None:
    for written in (text, f'table = "calls"\n[columns]\n{text}', GOOD + text):
        try:
            mapped.parsed(written, "x")
        except WorkbenchError as error:
            assert len(str(error)) > 10


# --- what the values say -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "hint", "kind", "formats"),
    [
        (["1/13/08 0:42", "2/5/08 1:19"], False, "moment", ("%m/%d/%y %H:%M",)),
        (["31.12.2016 23:05", "01.02.2017 4:00"], False, "moment", ("%d.%m.%Y %H:%M",)),
        (["1-Jan-13", "14-Feb-13"], False, "day", ("%d-%b-%y",)),
        (["Jan 5, 2016 3:04 PM"], False, "moment", ("%b %d, %Y %I:%M %p",)),
        (["2018-01-01T04:28:13.000Z"], False, "moment", ("%Y-%m-%dT%H:%M:%S.%f",)),
        (["2016-07", "2016-08"], False, "month", ("%Y-%m",)),
        (["20160701 0930", "20160702 1130"], False, "moment", ("%Y%m%d %H%M",)),
        (["1655", "5", "930"], True, "hhmm", ("%H%M",)),
        (["0.618", "0", "0.75"], True, "fraction", ()),
        (["42736.5", "42737.25"], True, "excel", ()),
        (["1667278839000"], False, "epoch", ()),
        (["1456819200", "1462431600"], False, "epoch", ()),
        (["31.12.2016 23h05", "1.12.2016 1h00"], False, "moment", ("%d.%m.%Y %Hh%M",)),
    ],
)
def test_times_are_told_from_their_values(texts: list[str], hint: bool, kind: str, formats: tuple[str, ...]) -> None:
    from collections import Counter

    found = sniff_times.sniff(Counter(texts), texts, hint=hint)
    assert found is not None and (found.kind, tuple(f for f in found.formats if f != "iso")[:1] or formats) == (kind, formats)


def test_day_or_month_in_front_is_left_open_where_nothing_tells_and_decided_by_the_files_order_where_that_does() -> None:
    from collections import Counter

    open_ = ["1/2/2017", "3/4/2017", "5/6/2017"]
    found = sniff_times.sniff(Counter(open_), open_)
    assert found is not None and not found.order_basis and any("day or the month" in d for d in found.doubts)
    days = [f"{d}/{m}/2017" for m in range(1, 13) for d in range(1, 13)]
    ordered = sniff_times.sniff(Counter(days), days)
    assert ordered is not None and ordered.order == "day" and "order of time" in ordered.order_basis


def test_a_lost_am_or_pm_is_noticed() -> None:
    from collections import Counter

    texts = ["11:23:24 AM", "8:31:55", "9:31:55", "7:31:55", "10:00:00 PM"]
    found = sniff_times.sniff(Counter(texts), texts)
    assert found is not None and "AM or PM" in found.doubts[0] and found.formats == ("%I:%M:%S %p",)


@pytest.mark.parametrize(
    ("crs", "area"),
    [
        ("ESRI:102696", (-90.33, 38.52, -90.16, 38.78)),
        ("EPSG:26985", (-77.12, 38.79, -76.90, 39.00)),
        ("EPSG:2248", (-77.12, 38.79, -76.90, 39.00)),
        ("EPSG:2263", (-74.26, 40.49, -73.70, 40.92)),
        ("EPSG:26910", (-123.23, 49.19, -123.02, 49.32)),
        ("EPSG:27700", (-0.5, 51.3, 0.3, 51.7)),
        ("EPSG:2154", (2.2, 48.8, 2.5, 48.9)),
        ("EPSG:28992", (4.7, 52.2, 5.1, 52.5)),
        ("EPSG:25832", (11.3, 48.0, 11.8, 48.3)),
        ("EPSG:3857", (-87.95, 41.64, -87.52, 42.03)),
        ("EPSG:2264", (-81.0, 35.0, -80.6, 35.4)),
    ],
)
def test_survey_coordinates_are_placed_by_the_study_area_alone(crs: str, area: tuple[float, float, float, float]) -> None:
    import numpy as np
    from pyproj import Transformer

    rng = np.random.default_rng(7)
    lon, lat = rng.uniform(area[0], area[2], 100), rng.uniform(area[1], area[3], 100)
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)
    ranked = sniff_crs.guess_crs(x, y, area)
    back = Transformer.from_crs(ranked[0][0], 4326, always_xy=True).transform(x, y)
    assert np.max(np.hypot((back[0] - lon) * 85_000, (back[1] - lat) * 111_000)) < 3, ranked
    assert len(ranked) == 1, "no rival puts them there as well"


def test_coordinates_without_a_study_area_are_not_guessed(tmp_path: Path) -> None:
    file = tmp_path / "incidents.csv"
    file.write_text("id,date,offense,x,y\n" + "".join(f"{i},2024-01-{i:02d} 10:00,THEFT,{895500 + i},{1009677 + i}\n" for i in range(1, 29)))
    proposal = propose(file, "incidents", zone="America/Chicago")
    assert "place" not in {c.column for c in proposal.columns} and any("study area" in d for d in proposal.doubts)


def test_headers_of_many_spellings_and_languages_are_understood() -> None:
    def best(name: str, table: str) -> str:
        return max(schema.table(table).columns, key=lambda c: synonyms.score(name, table, c))

    for name, table, column in [
        ("CMPLNT_FR_DT", "incidents", "started_at"),
        ("blockaddress", "incidents", "address"),
        ("Tatzeit von", "incidents", "started_at"),
        ("TimeCreate", "calls", "received_at"),
        ("policedistrict", "calls", "district"),
        ("Längengrad", "incidents", "lon"),
        ("Disp_Dttm", "calls", "dispatched_at"),
        ("Fecha del hecho", "incidents", "started_at"),
        ("Kennzeichen", "reads", "plate"),
        ("Heure d'arrivée", "calls", "arrived_at"),
        ("CRIME_CATEGORY", "incidents", "offence"),
        ("Tipo de delito", "incidents", "offence"),
    ]:
        assert best(name, table) == column, name


@pytest.mark.parametrize(
    ("wording", "code"),
    [
        ("THEFT F/AUTO", "23F"),
        ("Wohnungseinbruch", "220"),
        ("Vol de véhicule", "240"),
        ("Robo con violencia", "120"),
        ("Körperverletzung", "13B"),
        ("SACHBESCHÄDIGUNG", "290"),
        ("HURTO", "23H"),
        ("Winkeldiefstal", "23C"),
        ("Lesioni personali", "13B"),
        ("Furto de veículo", "240"),
    ],
)
def test_offences_are_coded_by_their_wording_in_several_languages(wording: str, code: str) -> None:
    assert propose_words.code_of(wording) == code


# --- the time zone -------------------------------------------------------------------------------------------------------------


def _times(shift: int, n: int = 3000) -> list[datetime]:
    rng = random.Random(3)
    hours = rng.choices(range(24), weights=sniff_zone.USUAL["incidents"], k=n)
    return [datetime(2024, 1, 1) + timedelta(days=rng.randrange(90), hours=h + shift, minutes=rng.randrange(60)) for h in hours]


def test_hours_that_are_off_by_an_offset_are_noticed_and_right_ones_are_not() -> None:
    assert sniff_zone.check(_times(0), "incidents").verdict == "fits"
    for shift in (5, 6, 8, -6):
        found = sniff_zone.check(_times(shift), "incidents")
        assert found.verdict == "shifted" and abs(found.shift + shift) <= 1, (shift, found)
    assert sniff_zone.check(_times(0, 100), "incidents").verdict == "few"


@pytest.mark.parametrize("seed", range(5))
def test_hours_without_a_shape_are_said_to_tell_nothing(seed: int) -> None:
    rng = random.Random(seed)
    flat = [datetime(2024, 1, 1) + timedelta(minutes=rng.randrange(90 * 1440)) for _ in range(3000)]
    assert sniff_zone.check(flat, "incidents").verdict == "unclear"


def test_a_false_z_and_a_true_one_are_told_apart_on_washingtons_exports(real_data: Path) -> None:
    zone, bounds = AREAS["dc"]
    home = Agency("DC", zone, Path("."), bounds=bounds)
    false = propose(real_data / "dc" / "Crime_Incidents_in_2018_partial.csv.gz", "incidents", agency=home)
    true = propose(real_data / "dc" / "Crime_Incidents_in_2024_partial.csv.gz", "incidents", agency=home)
    assert _written(false, "started_at") == 'time(bare("START_DATE"), "iso")' and any("read as wall-clock time" in d for d in false.doubts)
    assert _written(true, "started_at") == 'utc(replace("START_DATE", "/", "-"))' and any("and are" in d for d in true.doubts)


def test_a_wrong_zone_is_warned_of_with_the_hours_it_is_off(real_data: Path) -> None:
    file = real_data / "cad_other" / "nashville_calls_2024.csv.gz"
    proposal = propose(file, "calls", zone="Asia/Tokyo")
    right = propose(file, "calls", zone="America/Chicago")
    assert not any("probably not the one declared" in d for d in right.doubts)
    assert _written(proposal, "received_at") == _written(right, "received_at"), "wall clocks are wall clocks in any zone, so only UTC times can tell"
    epoch = real_data / "sanantonio_cad" / "sapd_2023-05.csv.gz"
    assert any("hours too" in d for d in propose(epoch, "calls", zone="Asia/Tokyo").doubts)
    assert not any("hours too" in d for d in propose(epoch, "calls", zone="America/Chicago").doubts)


def test_san_antonios_lost_am_and_pm_are_said_and_the_true_time_is_taken(real_data: Path) -> None:
    zone, bounds = AREAS["sanantonio"]
    proposal = propose(real_data / "sanantonio_cad" / "sapd_2023-05.csv.gz", "calls", agency=Agency("SA", zone, Path("."), bounds=bounds))
    assert _written(proposal, "received_at") == 'epoch("ResponseDate", "ms")' and any("AM or PM" in d for d in proposal.doubts)


def _written(proposal: Proposal, column: str) -> str:
    return next((c.expression for c in proposal.columns if c.column == column), "")


# --- exports that nobody mapped ------------------------------------------------------------------------------------------------


def _truth(text: str) -> dict[str, tuple[list[set[str]], bool]]:
    out = {}
    for line in text.strip().splitlines():
        column, given = (p.strip() for p in line.split("=", 1))
        out[column.rstrip("?")] = ([{r.strip() for r in alternative.split(" + ")} for alternative in given.split("|")], column.endswith("?"))
    return out


def _judge(proposal: Proposal, text: str) -> tuple[int, int, list[str]]:
    """Columns right, columns in all, and the wrong ones that carry no doubt."""
    truth, got = _truth(text), {c.column: c for c in proposal.columns if c.column != "nibrs"}
    good, total, silent = 0, 0, []
    for column, (alternatives, optional) in truth.items():
        found = got.get(column)
        if found is None and optional:
            continue
        total += 1
        made = found is not None and (
            {"(made)"} in alternatives and found.expression.startswith("id(") or {"(fixed)"} in alternatives and found.expression.startswith("const(")
        )
        if found is not None and (set(found.raw) in alternatives or made):
            good += 1
        elif found is not None and found.confidence != "doubtful":
            silent.append(f"{proposal.file.name} {column} <- {found.raw}")
        elif (
            found is None
            and not any(set(a) & set(proposal.unused) or r.startswith("(") for a in alternatives for r in a)
            and not any(column in d for d in proposal.doubts)
        ):
            silent.append(f"{proposal.file.name} {column} is missing")
    for column, found in got.items():
        if column not in truth and column != "time_precision":
            total += 1
            silent += [f"{proposal.file.name} {column} <- {found.raw}"] if found.confidence != "doubtful" else []
    return good, total, silent


@pytest.mark.parametrize("group", ["BUILT", "HELD"])
def test_most_columns_of_exports_at_hand_are_right_without_edits_and_no_wrong_one_is_silent(group: str, real_data: Path) -> None:
    good = total = 0
    silent: list[str] = []
    lines = []
    for name, (folder, table, area, text) in (BUILT if group == "BUILT" else HELD).items():
        file = (real_data.parent / "domain" / "schemas" / "samples" if folder == "samples" else real_data / folder) / name
        zone, bounds = AREAS[area]
        proposal = propose(file, table, agency=Agency(area, zone, Path("."), bounds=bounds))
        one, of, quiet = _judge(proposal, text)
        good, total, silent = good + one, total + of, silent + quiet
        lines.append(f"{name:50} {one:3} of {of:3}")
    print("\n" + "\n".join(lines) + f"\n{group}: {good} of {total} columns right ({good / total:.1%}); wrong ones without a doubt mark: {silent}")
    assert good / total >= 0.95
    assert len(silent) <= 1, silent


def test_the_table_is_told_from_the_columns(real_data: Path) -> None:
    for folder, name, table in [
        ("dc", "aoristic_dcburglaries.csv", "incidents"),
        ("gunshots", "San_Francisco_ShotSpotter.csv", "gunshots"),
        ("chicago", "Speed_Camera_Locations.csv", "cameras"),
        ("cad_other", "Wilmington_ShotspotterCAD_calls.csv", "calls"),
        ("stlouis/raw/2017", "may2017.csv", "incidents"),
    ]:
        proposal = propose(real_data / folder / name, zone="America/New_York")
        assert proposal.table == table and proposal.table_reason, name


# --- the made-up city under other names ----------------------------------------------------------------------------------------

ROWS = 1200


@pytest.fixture(scope="module")
def fairwater(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of the made-up city with its maps and nothing loaded."""
    folder = tmp_path_factory.mktemp("mapper") / "city"
    workspace.create(folder, sample=True)
    return folder


@pytest.fixture(scope="module")
def records(samples: Path) -> Callable[[str], list[dict[str, str]]]:
    """The first records of one of the city's CSV files."""

    def read(name: str) -> list[dict[str, str]]:
        path = next(p for p in samples.glob(f"{name}.csv*"))
        with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as stream:
            return [row for _, row in zip(range(ROWS), csv.DictReader(stream), strict=False)]

    return read


def _expected(name: str, rows: list[dict[str, str]], folder: Path) -> pl.DataFrame:
    """The rows as the city's own loader reads them."""
    file = folder / f"{name}.csv"
    _save(file, rows)
    lake = Lake(folder / "truth")
    lake.load(loaders.find(name), file)
    return lake.frame(loaders.find(name).tables[0])


def _save(file: Path, rows: list[dict[str, str]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    with file.open("w", newline="", encoding=encoding) as out:
        writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return file


def _loaded(home: Path, file: Path, table: str, folder: Path) -> tuple[pl.DataFrame, Proposal]:
    """The rows as the proposal reads them, without any edit, through the mapping file."""
    proposal = propose(file, table, agency=agencies.read(home))
    source = mapped.parsed(proposal.to_toml(), "strange").source()
    lake = Lake(folder / "found")
    report = lake.load(source, file)
    assert report.rejected == 0, report.rejects_by_reason
    return lake.frame(table), proposal


def _alike(one: pl.DataFrame, other: pl.DataFrame, key: str, columns: list[str], tolerance: float = 2e-5) -> None:
    both = one.select(key, *columns).join(other.select(key, *columns), on=key, suffix="_found")
    assert both.height == one.height
    for column in columns:
        a, b = both[column], both[f"{column}_found"]
        same = (((a - b).abs() < tolerance) | (a.is_null() & b.is_null())) if a.dtype == pl.Float64 else a.eq_missing(b)
        assert same.all(), (column, both.filter(~same).select(column, f"{column}_found").head(3))


def _when(text: str, form: str, to: str) -> str:
    return datetime.strptime(text, form).strftime(to) if text else ""


def test_a_german_export_with_semicolons_decimal_commas_and_split_times_loads_to_the_same_values(fairwater: Path, records: Any, tmp_path: Path) -> None:
    rows, form = records("sample_incidents"), "%m/%d/%Y %H:%M"
    german = [
        {
            "Vorgangsnummer": r["Report Number"],
            "Fall-ID": r["Incident ID"],
            "Tatzeit von (Datum)": _when(r["Occurred From"], form, "%d.%m.%Y"),
            "Tatzeit von (Uhrzeit)": _when(r["Occurred From"], form, "%H:%M"),
            "Tatzeit bis (Datum)": _when(r["Occurred To"], form, "%d.%m.%Y"),
            "Tatzeit bis (Uhrzeit)": _when(r["Occurred To"], form, "%H:%M"),
            "Gemeldet am": _when(r["Reported"], form, "%d.%m.%Y %H:%M"),
            "Deliktschlüssel": r["UCR"],
            "Delikt": r["Offense"],
            "Begehungsweise": r["MO"],
            "Örtlichkeit": r["Premise"],
            "Anschrift": r["Address"],
            "Streifenbezirk": r["Beat"],
            "Revier": r["District"],
            "Längengrad": r["Longitude"].replace(".", ","),
            "Breitengrad": r["Latitude"].replace(".", ","),
            "Festnahme": {"Y": "Ja", "N": "Nein"}.get(r["Arrest"], ""),
            "Häusliche Gewalt": {"Y": "Ja", "N": "Nein"}.get(r["Domestic"], ""),
        }
        for r in rows
    ]
    file = _save(tmp_path / "straftaten.csv", german, ";", "cp1252")
    found, proposal = _loaded(fairwater, file, "incidents", tmp_path)
    assert proposal.sample.delimiter == ";" and proposal.sample.encoding == "cp1252"
    _alike(
        _expected("sample_incidents", rows, tmp_path),
        found,
        "incident_id",
        [
            "report_number",
            "started_at",
            "ended_at",
            "reported_at",
            "offence_code",
            "offence",
            "mo",
            "premise",
            "address",
            "beat",
            "district",
            "lon",
            "lat",
            "arrest",
            "domestic",
        ],
    )


def test_a_spanish_export_in_state_plane_feet_with_swapped_columns_loads_to_the_same_places(fairwater: Path, records: Any, tmp_path: Path) -> None:
    from pyproj import Transformer

    feet = Transformer.from_crs(4326, "EPSG:3418", always_xy=True)
    rows, form = records("sample_incidents"), "%m/%d/%Y %H:%M"

    def north_east(r: dict[str, str]) -> tuple[str, str]:
        if not r["Longitude"] or float(r["Longitude"]) == 0:
            return "0", "0"
        x, y = feet.transform(float(r["Longitude"]), float(r["Latitude"]))
        return f"{x:.2f}", f"{y:.2f}"

    spanish = [
        {
            "Folio": r["Incident ID"],
            "Expediente": r["Report Number"],
            "Fecha del hecho": _when(r["Occurred From"], form, "%d/%m/%Y"),
            "Hora del hecho": _when(r["Occurred From"], form, "%H%M"),
            "Delito": r["Offense"],
            "Modalidad": r["Offense Description"],
            "Tipo de lugar": r["Premise"],
            "Domicilio": r["Address"],
            "Coord_Y": north_east(r)[1],
            "Coord_X": north_east(r)[0],
            "Cuadrante": r["Beat"],
            "Comisaría": r["District"],
        }
        for r in rows
    ]
    found, proposal = _loaded(fairwater, _save(tmp_path / "delitos.csv", spanish, "\t"), "incidents", tmp_path)
    assert '"EPSG:3418"' in _written(proposal, "place") or "Iowa South" in next(c.reason for c in proposal.columns if c.column == "place")
    _alike(
        _expected("sample_incidents", rows, tmp_path),
        found,
        "incident_id",
        ["report_number", "started_at", "offence", "offence_detail", "premise", "address", "lon", "lat", "beat", "district"],
    )


def test_a_french_export_of_calls_with_swapped_degrees_loads_to_the_same_values(fairwater: Path, records: Any, tmp_path: Path) -> None:
    rows, form = records("sample_calls"), "%Y-%m-%d %H:%M:%S"
    french = [
        {
            "N° d'appel": r["Call Number"],
            "Nature de l'appel": r["Problem"],
            "Catégorie": r["Category"],
            "Priorité": r["Priority"],
            "Date de réception": _when(r["Received"], form, "%d/%m/%Y %Hh%M"),
            "Heure d'envoi": _when(r["Dispatched"], form, "%d/%m/%Y %Hh%M"),
            "Arrivée": _when(r["Arrived"], form, "%d/%m/%Y %Hh%M"),
            "Fin d'intervention": _when(r["Cleared"], form, "%d/%m/%Y %Hh%M"),
            "Équipages": r["Units"].replace(";", " / "),
            "Résultat": r["Disposition"],
            "Adresse": r["Address"],
            "Secteur": r["Beat"],
            "Longitude": r["Latitude"],
            "Latitude": r["Longitude"],
        }
        for r in rows
    ]
    found, proposal = _loaded(fairwater, _save(tmp_path / "appels.csv", french, ";"), "calls", tmp_path)
    truth = _expected("sample_calls", rows, tmp_path).with_columns(pl.col("received_at", "dispatched_at", "arrived_at", "cleared_at").dt.truncate("1m"))
    assert any("other way round" in d for d in proposal.doubts)
    _alike(
        truth,
        found,
        "call_id",
        [
            "call_type",
            "category",
            "priority",
            "received_at",
            "dispatched_at",
            "arrived_at",
            "cleared_at",
            "units",
            "disposition",
            "address",
            "beat",
            "lon",
            "lat",
        ],
    )


def test_reads_with_epoch_times_per_cent_and_scrambled_names_load_to_the_same_values(fairwater: Path, records: Any, tmp_path: Path) -> None:
    rows = records("sample_reads")
    strange = [
        {
            "uuid": r["Read ID"],
            "VRM": r["Plate"],
            "tag_st": r["State"],
            "ts_ms": str(round(datetime.fromisoformat(r["Read Time"]).timestamp() * 1000)),
            "cam_name": r["Camera"],
            "ocr_score": f"{float(r['Confidence']) * 100:g}" if r["Confidence"] else "",
            "hdg": r["Heading"],
            "veh_make": r["Make"],
            "veh_colour": r["Color"],
            "gps": f"POINT ({r['Longitude']} {r['Latitude']})",
        }
        for r in rows
    ]
    found, _ = _loaded(fairwater, _save(tmp_path / "lpr.csv", strange, "|"), "reads", tmp_path)
    _alike(
        _expected("sample_reads", rows, tmp_path),
        found,
        "read_id",
        ["plate", "plate_raw", "region", "reader", "read_at", "confidence", "direction", "make", "colour", "lon", "lat"],
    )


def test_nested_json_records_are_mapped_by_their_members(fairwater: Path, records: Any, tmp_path: Path) -> None:
    rows = records("sample_reads")[:300]
    nested = {
        "meta": {"page": 1},
        "data": {
            "reads": [
                {
                    "id": r["Read ID"],
                    "plate": {"text": r["Plate"], "state": r["State"]},
                    "capturedAt": r["Read Time"],
                    "camera": {"name": r["Camera"]},
                    "location": {"lat": float(r["Latitude"]), "lon": float(r["Longitude"])},
                }
                for r in rows
            ]
        },
    }
    file = tmp_path / "reads.json"
    file.write_text(json.dumps(nested))
    found, proposal = _loaded(fairwater, file, "reads", tmp_path)
    assert proposal.sample.records == "data.reads"
    _alike(_expected("sample_reads", rows, tmp_path), found, "read_id", ["plate", "region", "reader", "read_at", "lon", "lat"])


def test_an_excel_book_with_days_as_numbers_loads_to_the_same_values(fairwater: Path, records: Any, tmp_path: Path) -> None:
    from openpyxl import Workbook

    rows, form = (
        [
            r
            for r in records("sample_hotlist")
            if any(c.isalnum() for c in r["Plate"]) and not r["Entered"].startswith("00") and not r["Expires"].startswith("00")
        ][:200],
        "%m/%d/%Y %H:%M",
    )
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["NIC", "LIC", "LIS", "List", "Reason", "OCA", "VMA", "Entered", "Expires"])
    for r in rows:
        entered, expires = datetime.strptime(r["Entered"], form), datetime.strptime(r["Expires"], form) if r["Expires"] else None
        sheet.append([r["Entry"], r["Plate"], r["State"], r["List"], r["Reason"], r["Case"], r["Make"], entered, expires])
    file = tmp_path / "hotlist.xlsx"
    book.save(file)
    found, _ = _loaded(fairwater, file, "hotlist", tmp_path)
    _alike(_expected("sample_hotlist", rows, tmp_path), found, "entry_id", ["plate", "list_name", "reason", "report_number", "make", "valid_from", "valid_to"])


def test_a_file_without_an_id_gets_one_of_its_values_and_says_so(fairwater: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("Date,Offense,Address\n" + "".join(f"2024-01-{d:02d} {h:02d}:30,THEFT,{h} MAIN ST\n" for d in range(1, 29) for h in (9, 21)))
    found, proposal = _loaded(fairwater, file, "incidents", tmp_path)
    assert found.height == 56 and _written(proposal, "incident_id").startswith("id(") and any("No column is an id" in d for d in proposal.doubts)


# --- the command and the widget ------------------------------------------------------------------------------------------------


def test_workbench_map_shows_writes_and_the_source_loads_by_its_name(own_city: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with gzip.open(samples / "sample_calls.csv.gz", "rt") as stream:
        lines = [line for _, line in zip(range(400), stream, strict=False)]
    file = tmp_path / "calls_export.csv"
    file.write_text("".join(lines))
    assert cli.main(["map", str(file), "--to", "calls", "--name", "strange_calls", "-w", str(own_city)]) == 0
    shown = capsys.readouterr().out
    assert "Doubts" in shown and "workbench load strange_calls" in shown and "received_at" in shown
    written = own_city / "plugins" / "loaders" / "strange_calls.toml"
    asked = written.read_text()
    assert cli.main(["map", str(file), "--to", "calls", "--name", "strange_calls", "-w", str(own_city)]) == 0 and written.read_text() == asked
    written.write_text(asked + "# edited by hand\n")
    capsys.readouterr()
    assert cli.main(["map", str(file), "--to", "calls", "--name", "strange_calls", "-w", str(own_city)]) == 1
    assert "--force" in capsys.readouterr().err and written.read_text().endswith("# edited by hand\n")
    assert cli.main(["map", str(file), "--name", "strange_calls", "-w", str(own_city), "--force", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["table"] == "calls" and said["table_reason"] and said["preview"]["rejected"] == {}
    assert cli.main(["load", "strange_calls", str(file), "-w", str(own_city)]) == 0
    assert "399 records read" in capsys.readouterr().out.replace(",", "")


def test_workbench_map_refuses_a_table_that_is_none_and_a_file_that_fits_none(own_city: Path, tmp_path: Path) -> None:
    file = tmp_path / "recipes.csv"
    file.write_text("ingredient,grams\nflour,500\nsugar,200\nbutter,250\n")
    home = agencies.read(own_city)
    with pytest.raises(NotFound, match="incidents"):
        propose(file, "incident", agency=home)
    with pytest.raises(CannotTell, match="--to"):
        propose(file, agency=home)


def test_the_widget_changes_the_proposal_draws_it_again_and_saves_it(own_city: Path, samples: Path, tmp_path: Path) -> None:
    with gzip.open(samples / "sample_incidents.csv.gz", "rt") as stream:
        lines = [line for _, line in zip(range(60), stream, strict=False)]
    file = tmp_path / "export.csv"
    file.write_text("".join(lines))
    widget = map_file(file, "incidents", workspace=own_city, agency=agencies.read(own_city), name="by_hand")
    choice, written, why = widget.rows["offence_detail"]
    assert choice.value == "Offense Description" and "THEFT" in widget.preview.value
    choice.value = "(nothing)"
    assert written.value == "" and "offence_detail" not in {c.column for c in widget.proposal.columns}
    written.value = 'text(join("Offense", "Offense Description", " / "))'
    assert choice.value == "(as written)" and " / " in widget.preview.value
    written.value = 'tetx("Offense")'
    assert "Did you mean" in why.value
    widget.save.click()
    assert "Wrote plugins/loaders/by_hand.toml" in widget.message.value
    widget.save.click()
    assert "Wrote" in widget.message.value, "saving the same again is no harm"
    before = (own_city / "plugins" / "loaders" / "by_hand.toml").read_text()
    widget.set("mo", 'text("Offense")').save.click()
    assert "already" in widget.message.value and (own_city / "plugins" / "loaders" / "by_hand.toml").read_text() == before
    with pytest.raises(NotFound, match="Did you mean 'narrative'"):
        widget.set("narative", "")
    with pytest.raises(BadInput, match="Did you mean"):
        widget.set("mo", 'tetx("Offense")')
    source = workspace.source(own_city, "by_hand")
    assert workspace.load(own_city, source, file).rejected == 0
    assert "VBox" in repr(widget._repr_mimebundle_()["text/plain"])


def test_a_doubt_is_settled_by_setting_the_column_by_hand(own_city: Path) -> None:
    proposal = propose(practice.strange_export(own_city), "incidents", agency=agencies.read(own_city))
    assert proposal.unused == ("Nº de parte",) and any("No column is an id" in d for d in proposal.doubts)
    settled = proposal.with_column("incident_id", 'text("Nº de parte")')
    assert settled.unused == () and len(settled.doubts) == len(proposal.doubts) - 1 and not any("No column is an id" in d for d in settled.doubts)
    assert settled.with_column("narrative", "").unused == ("Relato",)


def test_the_practice_export_loads_with_every_planted_fault_found(own_city: Path) -> None:
    file = practice.strange_export(own_city)
    first = file.read_bytes()
    assert practice.strange_export(own_city) == file and file.read_bytes() == first
    propose(file, "incidents", agency=agencies.read(own_city), name="partes").with_column("incident_id", 'text("Nº de parte")').save(own_city)
    done = workspace.load(own_city, workspace.source(own_city, "partes"), file)
    assert (done.read, done.added, done.duplicate, done.rejected) == (422, 415, 2, 5)
    city = wb.open_workbench(own_city)
    new = city.incidents().filter(pl.col("source") == "partes")
    area = city.agency.study_area
    placed = new.filter(pl.col("lon").is_not_null())
    assert new.height - placed.height == 3 and area is not None and area.contains(placed["lon"].to_numpy(), placed["lat"].to_numpy()).mean() > 0.95
    assert set(city.quality("incidents").behind("default position").filter(pl.col("source") == "partes")["address"].to_list()) <= set(new["address"].to_list())
    assert "callejón" in city.search("callejon")["snippet"][0]


# --- anything at all -----------------------------------------------------------------------------------------------------------


@given(data=st.binary(max_size=400), suffix=st.sampled_from([".csv", ".csv.gz", ".json", ".ndjson", ".xml", ".parquet", ".xlsx", ".zip", ".tsv", ".geojson"]))
@QUIET
def test_any_bytes_are_proposed_or_refused_with_a_sentence(data: bytes, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"x{suffix}"
    file.write_bytes(data)
    try:
        propose(file, "incidents", zone="America/Chicago")
    except WorkbenchError as error:
        assert len(str(error)) > 10


_CELL = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "NA", "1/2/2017", "2017-01-01T00:00:00Z", "0", "-1", "1e309", "nan", "ABC123", "12:30", "2400", "41,88", "(41.8, -87.6)", "Y", "POINT (1 2)"]
    ),
)


@given(
    header=st.lists(
        st.one_of(
            st.sampled_from(["id", "date", "time", "lat", "lon", "x", "y", "offense", "address", "plate", 'a"b', "Datum", "#", "ID"]), st.text(max_size=8)
        ),
        min_size=1,
        max_size=6,
    ),
    rows=st.lists(st.lists(_CELL, max_size=6), max_size=12),
    table=st.sampled_from(["incidents", "calls", "reads", "hotlist", "cameras", None]),
)
@QUIET
def test_any_table_is_proposed_or_refused_and_what_is_proposed_reads_back(header: list[str], rows: list[list[str]], table: str | None, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    with file.open("w", newline="", encoding="utf-8", errors="replace") as out:
        csv.writer(out).writerows([header, *rows])
    try:
        proposal = propose(file, table, agency=Agency("x", "America/Chicago", Path("."), bounds=(-88.0, 41.0, -87.0, 42.0)))
        text = proposal.to_toml()
        proposal.source()
    except WorkbenchError as error:
        assert len(str(error)) > 10
        return
    assert mapped.parsed(text, proposal.name).columns == {c.column: c.expression for c in proposal.columns}


def test_only_a_sample_of_a_large_file_is_looked_at_and_it_reaches_the_end(tmp_path: Path) -> None:
    file = tmp_path / "big.csv"
    with file.open("w") as out:
        out.write("id,date,offense,filler\n")
        for i in range(400_000):
            out.write(f"{i},2024-01-{1 + i * 28 // 400_000:02d} 10:00,THEFT,{'x' * 60}\n")
    found = sample(file)
    assert not found.whole and found.rows <= 20_000 and max(int(v) for v in found.columns["id"] if v) > 395_000


def test_the_page_on_mapping_names_every_function(root: Path) -> None:
    page = (root / "docs" / "mapping.md").read_text(encoding="utf-8")
    for name, function in FUNCTIONS.items():
        assert f"`{(function.__doc__ or '').split('`')[1]}`" in page, name
