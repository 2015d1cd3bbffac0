"""Masks: no question, filter, count, search, edition or page tells a role what is masked for it, and a role that may see it sees all."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pypdf import PdfReader

import workbench as wb
from tests.test_access import BOUND, edited
from workbench import apps, briefings, workspace
from workbench.errors import AccessRefused
from workbench.loaders import find
from workbench.oversight import masking
from workbench.results import Basis

ROLES = ('masked = { tables = ["*"], may = ["brief", "cases", "export", "serve", "load"] }\n'
         'open = { tables = ["*"], unmasked = ["*"], may = ["*"] }\n'
         'half = { tables = ["*"], unmasked = ["victims", "juveniles"], may = ["cases"] }')
STREET, MO = "711 HIDDENPLACE AV", "QUIETWORD AT THE FOUNTAIN"


@pytest.fixture(scope="module")
def place(untouched_city: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up city with a rape of its last evening, one that was called a burglary later, and a youth who was arrested."""
    base = tmp_path_factory.mktemp("masks")
    folder = Path(shutil.copytree(untouched_city, base / "city"))
    settings = edited(folder, ROLES, 'default_role = "masked"\npeople = { ann = "open", ben = "half" }') / "agency.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace('homicide = ["09A"]', 'homicide = ["09A"]\nrape = ["11A"]'), encoding="utf-8")
    sample = Path(__file__).parents[1] / "data" / "samples" / "sample_incidents.csv.gz"
    with gzip.open(sample, "rt", encoding="utf-8") as file:
        header = next(csv.reader(file))
    first = ["SX1", "FW26-SX1", "06/30/2026 21:10", "", "06/30/2026 21:40", "0211", "SEX OFFENSE", "RAPE", MO, "RESIDENCE", STREET, "405", "4", "-90.891357",
             "41.593711", "N", "N", "06/30/2026 22:00"]
    elsewhere = (*first[11:13], "-90.892468", "41.594822")
    other = ["SX2", "FW26-SX2", *first[2:5], "0211", "SEX OFFENSE", "RAPE", "EARLYWORD", "RESIDENCE", "712 EARLYPLACE AV", *elsewhere, *first[15:]]
    later = ["SX2", "FW26-SX2", *first[2:5], "0510", "BURGLARY", "FORCED", "LATEWORD", "RESIDENCE", "713 LATEPLACE AV", *elsewhere, *first[15:-1],
             "06/30/2026 23:00"]
    for i, rows in enumerate(([first, other], [later])):
        with open(base / f"sx{i}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        assert workspace.load(folder, find("sample_incidents"), base / f"sx{i}.csv", user="ann").added + i >= 1
    (base / "people.csv").write_text("person_id,surname,given_name,dob\nYOUTH1,YOUNGNAME,TIM,2012-03-04\nELDER1,OLDNAME,TOM,1970-03-04\n"
                                      "HURT1,HURTNAME,ANN,1980-03-04\n", encoding="utf-8")
    workspace.load(folder, find("people_csv"), base / "people.csv", user="ann")
    (base / "parts.csv").write_text("incident,kind,entity,role\nSX1,person,HURT1,VIC\n", encoding="utf-8")
    workspace.load(folder, find("involvements_csv"), base / "parts.csv", user="ann")
    return folder


def opened(folder: Path, user: str = "carl") -> Any:
    return wb.open_workbench(folder, **BOUND, user=user)


def victims(folder: Path) -> pl.DataFrame:
    """Victims as they stand, whose full names nobody has who is not masked."""
    return opened(folder, "ann").sql(
        "select person_id, given_name, surname, born_on, marks from people where person_id in "
        "(select entity_id from involvements where role = 'victim' and entity_kind = 'person')")


def test_victims_and_juveniles_are_masked_in_every_column_that_names_them_and_nobody_else_is(place: Path) -> None:
    masked, whole = opened(place).table("people"), opened(place, "ann").table("people")
    hurt = set(victims(place)["person_id"])
    told = dict(zip(masked["person_id"], masked["surname"], strict=True))
    assert {told[p] for p in hurt} <= {"(masked: victim)", "(masked: juvenile)"} and told["YOUTH1"] == "(masked: juvenile)" and told["ELDER1"] == "OLDNAME"
    shut = masked.filter(pl.col("surname").str.starts_with("(masked"))
    assert shut["born_on"].null_count() == shut.height and shut["given_name"].str.starts_with("(masked").all()
    same = masked.filter(~pl.col("person_id").is_in(shut["person_id"].to_list()))
    assert same.equals(whole.filter(pl.col("person_id").is_in(same["person_id"].to_list()))) and same.height > 100
    half = opened(place, "ben").table("people")
    rape = opened(place, "ann").sql("select distinct entity_id e from involvements where role = 'victim' and incident_id in "
                                    "(select incident_id from incidents where nibrs = '11A')")["e"].to_list()
    assert set(half.filter(pl.col("surname").str.starts_with("(masked"))["person_id"]) == set(rape) & set(half["person_id"]) and rape


def test_a_sexual_offence_has_no_address_no_story_and_only_a_coarse_place(place: Path) -> None:
    masked, whole = opened(place).incidents(), opened(place, "ann").incidents()
    assert masked.height == whole.height and masked["nibrs"].equals(whole["nibrs"])
    sexual = masked.filter(pl.col("nibrs").is_in(masking.SEXUAL))
    true = whole.filter(pl.col("nibrs").is_in(masking.SEXUAL))
    assert sexual.height > 90
    assert set(sexual["address"].drop_nulls()) == set(sexual["mo"].drop_nulls()) == {"(masked: sexual offence)"}
    both = sexual.join(true, on="incident_id", suffix="_true").drop_nulls("lon")
    assert both.filter((pl.col("lon") == pl.col("lon_true")) | (pl.col("lat") == pl.col("lat_true"))).is_empty()
    metres = (((both["lon"] - both["lon_true"]) * 83_000) ** 2 + ((both["lat"] - both["lat_true"]) * 111_320) ** 2).sqrt()
    assert metres.max() <= masking.ERROR_M and set(both["place_basis"]) == {"masked"} and set(both["place_error_m"]) == {masking.ERROR_M}
    assert both.select("lon", "lat").unique().height < 60, "positions are of cells, not of points"
    rest = [c for c in masked.columns]
    assert masked.filter(~pl.col("nibrs").is_in(masking.SEXUAL)).select(rest).equals(whole.filter(~pl.col("nibrs").is_in(masking.SEXUAL)).select(rest))
    assert any("sexual offences are masked" in n for n in Basis.of(masked, method="x").notes)


def test_no_filter_count_search_or_edition_tells_a_masked_value(place: Path) -> None:
    city, victim = opened(place), victims(place).row(0, named=True)
    for query, value in ((f"select count(*) n from incidents where address = '{STREET}'", 0),
                         ("select count(*) n from incidents where mo like '%QUIETWORD%'", 0),
                         ("select count(*) n from incidents where abs(lon + 90.891357) < 1e-6", 0),
                         (f"select count(*) n from people where surname = '{victim['surname']}' and person_id = '{victim['person_id']}'", 0),
                         ("select count(*) n from people where surname = 'YOUNGNAME'", 0),
                         (f"select count(*) n from people where born_on = '{victim['born_on']}' and person_id = '{victim['person_id']}'", 0),
                         ("with a as (from incidents select address x) select count(*) n from a where x like '%HIDDEN%'", 0),
                         (f"select count(*) n from (select address, count(*) k from incidents group by 1) where address = '{STREET}'", 0)):
        assert city.sql(query)["n"][0] == value, query
        assert opened(place, "ann").sql(query)["n"][0] > 0, query
    assert city.search("quietword").height == 0 and opened(place, "ann").search("quietword").height == 1
    assert city.find("HIDDENPLACE").height == 0 and opened(place, "ann").find("HIDDENPLACE").height == 1
    assert city.find("YOUNGNAME").height == 0 and opened(place, "ann").find("YOUNGNAME").height == 1
    assert f"person:{victim['person_id']}" not in city.find(f"{victim['given_name']} {victim['surname']}")["id"].to_list()
    told = city.history("incidents", "SX2")
    assert told.height == 2 and set(told["address"]) == {"(masked: sexual offence)"}, "what one edition calls a sexual offence is masked in all"
    assert opened(place, "ann").history("incidents", "SX2")["address"].to_list() == ["712 EARLYPLACE AV", "713 LATEPLACE AV"]
    around = city.incidents(area=(-90.8915, 41.5936, -90.8912, 41.5938))
    assert "SX1" not in around["incident_id"].to_list()
    with pytest.raises(AccessRefused, match="may tell anything"):
        city.sql("select raw from rejects")
    assert city.rejects().filter(pl.col("source").is_in(["sample_people", "sample_incidents"]))["raw"].null_count() > 0


def test_what_is_tied_to_masked_rows_is_masked_too(place: Path) -> None:
    city, ann = opened(place), opened(place, "ann")
    hurt = victims(place)["person_id"].to_list()
    for table, entity, column in (("phones", "phone", "number"), ("addresses", "address", "address")):
        query = "select distinct entity_id e from associations where entity_kind = ? and list_contains(?::varchar[], person_id)"
        tied = ann.sql(query, [entity, hurt])["e"].to_list()
        assert tied
        shown = city.table(table).filter(pl.col(f"{entity}_id").is_in(tied), pl.col(column).is_not_null())
        assert shown.height and shown[column].str.starts_with("(masked").all(), table
        assert not city.table(table).filter(~pl.col(f"{entity}_id").is_in(tied))[column].drop_nulls().str.starts_with("(masked: victim").any()
    reports = ann.sql("select report_number r from incidents where nibrs = '11A'")["r"].to_list()
    calls = city.calls().filter(pl.col("report_number").is_in(reports))
    assert calls.height and set(calls["address"].drop_nulls()) == {"(masked: sexual offence)"}
    ids = calls["call_id"].to_list()
    true, seen = (w.rows("units").filter(pl.col("call_id").is_in(ids)).select("unit", "seen_at", "lon", "lat") for w in (ann, city))
    assert true.height == seen.height and true.join(seen, on=["unit", "seen_at", "lon", "lat"]).is_empty()


def secrets(place: Path) -> list[str]:
    """What must be on no page: the planted words, and full names, dates and exact addresses of what is masked."""
    full = "select distinct given_name || ' ' || surname n from people"
    shown = set(opened(place).sql(full)["n"])  # records of namesakes who are neither victims nor juveniles
    whole = opened(place, "ann").sql(full)["n"].drop_nulls().sort().to_list()
    return [STREET, "HIDDENPLACE", "QUIETWORD", "41.593711", "-90.891357", *(n for n in whole if n not in shown)]


def test_no_page_of_a_briefing_tells_a_masked_value_and_an_open_role_is_told_it(place: Path, tmp_path: Path) -> None:
    small = {"asof": "2026-07-01", "offence": "violence", "folds": 1, "weeks": 4, "cell": 1000}
    files = briefings.run(opened(place), "daily_briefing", small, tmp_path / "out")
    pdf = " ".join(" ".join(page.extract_text().split()) for page in PdfReader(files.pdf).pages)
    pages = {"pdf": pdf, "html": files.html.read_text(encoding="utf-8"), "notebook": files.ipynb.read_text(encoding="utf-8")}
    hidden = secrets(place)
    assert len(hidden) > 500
    for kind, text in pages.items():
        low = text.lower()
        assert [s for s in hidden if s.lower() in low] == [], kind
    assert "(masked: sexual offence)" in pdf
    again = briefings.run(opened(place, "ann"), "daily_briefing", small, tmp_path / "open")
    assert "HIDDENPLACE" in again.html.read_text(encoding="utf-8").upper()


def test_the_apps_pages_and_written_files_tell_no_masked_value(place: Path, tmp_path: Path) -> None:
    from workbench.apps.behind import Behind
    from workbench.models.links import case as links_case
    from workbench.results import Links

    city, hidden = opened(place), secrets(place)
    for entry in (e for e in apps.listed() if e.is_for(city)):
        made = entry.page(city)
        told = json.dumps([str(getattr(o, "object", "")) for o in made.select()], default=str)
        assert not [s for s in hidden if s in told], entry.name
    subjects = [f"person:{p}" for p in victims(place)["person_id"].head(3).to_list()] + ["incident:SX1", "person:YOUTH1"]
    links: Links = links_case.around(city.facts(), subjects[:3], asof=datetime(2026, 7, 1, tzinfo=UTC))
    said = links._repr_html_() + links.evidence.write_json() + json.dumps([dict(d) for _, d in links.graph.nodes(data=True)], default=str)
    low = said.lower()
    assert not [s for s in hidden if s.lower() in low] and "(masked: victim)" in said
    csv_text = city.incidents().drop(pl.selectors.by_dtype(pl.List(pl.String))).write_csv() + city.table("people").write_csv()
    assert not [s for s in hidden[:5] if s in csv_text] and "(masked: juvenile)" in csv_text
    assert Behind(city)
