"""Containers unfolded into records: JSON, XML, Excel, GeoJSON, shapefiles, packed files; and folders and globs of them."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import shapefile
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench import cli, workspace
from workbench.errors import BadInput
from workbench.intake import batch
from workbench.lake import Lake, forms
from workbench.lake.forms import documents, packed
from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, local_time, number, text

QUICK = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FEET = 'PROJCS["NAD_1983_StatePlane_Illinois_East_FIPS_1201_Feet",GEOGCS["GCS_North_American_1983",DATUM["D_North_American_1983",'\
    'SPHEROID["GRS_1980",6378137.0,298.257222101]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'\
    'PARAMETER["False_Easting",984250.0],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",-88.33333333333333],'\
    'PARAMETER["Scale_Factor",0.999975],PARAMETER["Latitude_Of_Origin",36.66666666666666],UNIT["Foot_US",0.3048006096012192]]'


def unfolded(file: Path, form: str, records: str = "", crs: str = "") -> list[Any]:
    to = file.with_name("unfolded.ndjson")
    forms.unfold(file, form, records, to, crs=crs)
    return [json.loads(line) for line in to.read_text(encoding="utf-8").splitlines()]


def written(folder: Path, name: str, content: bytes | str) -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


# --- JSON -------------------------------------------------------------------------------------------------------------------------


def test_records_of_a_json_document_stand_as_they_were_written(tmp_path: Path) -> None:
    file = written(tmp_path, "a.json", '{"meta": {"n": [1, 2]}, "data": {"rows": [{"a": 1.10,\n  "b": "x\\ny"}, {"a": 2e5, "c": [1,\n2]}, 5]}, "z": null}')
    forms.unfold(file, "json", "data.rows", tmp_path / "out")
    assert (tmp_path / "out").read_text() == '{"a": 1.10, "b": "x\\ny"}\n{"a": 2e5, "c": [1, 2]}\n5\n'


def test_a_list_an_object_and_objects_one_behind_the_other_are_records(tmp_path: Path) -> None:
    assert unfolded(written(tmp_path, "a.json", '[{"a": 1}, {"a": 2}]'), "json") == [{"a": 1}, {"a": 2}]
    assert unfolded(written(tmp_path, "a.json", '\ufeff {"a": 1} '), "json") == [{"a": 1}]
    assert unfolded(written(tmp_path, "a.json", '{"a": 1}\n{"a": 2}\n'), "json") == [{"a": 1}, {"a": 2}]
    assert unfolded(written(tmp_path, "a.json", '{"r": [1]}{"r": [2]}'), "json", "r") == [1, 2]
    assert unfolded(written(tmp_path, "a.json", "[]"), "json") == []
    assert unfolded(written(tmp_path, "a.json", '[{"a": "é"}]'.encode("utf-16")), "json") == [{"a": "é"}]


def test_a_byte_that_is_no_text_spoils_only_its_record(tmp_path: Path) -> None:
    file = written(tmp_path, "a.json", b'[{"a":"caf\xe9"},{"a":"good"},{"a":"two\nlines"}]')
    forms.unfold(file, "json", "", tmp_path / "out")
    assert (tmp_path / "out").read_bytes().split(b"\n") == [b'{"a":"caf\xe9"}', b'{"a":"good"}', b'{"a":"two\\u000alines"}', b""]


@pytest.mark.parametrize("bad", [
    "",
    '[{"a":1},', '[{"a":1}', '{"a"', "[1,]", '[{"a":1}]]', '[{"a":tru', "nul", '["abc', '{"data":3',
    "[1 2]", "[" * 100_000, '{"a":1}}', "{1:2}", '[{"a":1}] x'])
def test_a_json_document_that_is_cut_off_or_damaged_is_refused_in_a_sentence(tmp_path: Path, bad: str) -> None:
    with pytest.raises(BadInput, match="nothing was loaded"):
        unfolded(written(tmp_path, "a.json", bad), "json")


def test_a_path_that_is_not_there_names_what_is(tmp_path: Path) -> None:
    file = written(tmp_path, "a.json", '{"results": [1], "next": null}')
    with pytest.raises(BadInput, match=r"has no member 'result', so no records at 'result'\. Did you mean 'results'\?"):
        unfolded(file, "json", "result")
    with pytest.raises(BadInput, match="a list stands where an object with the member 'x'"):
        unfolded(file, "json", "results.x")


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_it_does_not_matter_where_the_pieces_that_are_read_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    chance = random.Random(7)
    records = [{"id": i, "n": chance.choice([0, -1.5, 1e300, 12345678901234567890, True, None]), "t": chance.choice(['"', "\\", "é\u2028", "a,]}"]) * i}
               for i in range(40)]
    file = written(tmp_path, "a.json", json.dumps({"skip": {"t": ["x" * 50]}, "rows": records, "after": 1.5}, indent=1))
    monkeypatch.setattr(documents, "CHUNK", chunk)
    assert unfolded(file, "json", "rows") == records


@QUICK
@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20), st.integers(1, 40))
def test_every_record_of_any_list_comes_out_once_and_unchanged(tmp_path: Path, value: Any, times: int) -> None:
    records = [{"n": i, "v": value} for i in range(times)]
    assert unfolded(written(tmp_path, "a.json", json.dumps(records)), "json") == records


def test_half_a_million_records_need_no_more_memory_than_a_few_pieces(tmp_path: Path, root: Path) -> None:
    file = tmp_path / "big.json"
    with file.open("w") as out:
        out.write('{"rows": [')
        row = json.dumps({"id": "E1", "what": "BURGLARY", "where": "100 N EXAMPLE ST", "lon": -87.654321, "lat": 41.123456, "note": "x" * 60})
        for i in range(100):
            out.write(",\n" * (i > 0) + ",\n".join([row] * 5000))
        out.write("]}")
    code = ("import sys, resource; from pathlib import Path; from workbench.lake import forms; from workbench.lake.forms import documents; "
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; forms.unfold(Path(sys.argv[1]), 'json', 'rows', Path(sys.argv[2])); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)")
    done = subprocess.run([sys.executable, "-c", code, str(file), str(tmp_path / "out")], capture_output=True, text=True, check=True, cwd=root)
    assert sum(1 for _ in (tmp_path / "out").open()) == 500_000
    assert int(done.stdout) * 1024 < file.stat().st_size * 0.8 < 80e6, "kilobytes more than before"


# --- XML --------------------------------------------------------------------------------------------------------------------------


def test_elements_of_a_tag_become_records_with_attributes_lists_and_nesting(tmp_path: Path) -> None:
    file = written(tmp_path, "a.xml", (
        '<?xml version="1.0" encoding="windows-1252"?><feed xmlns:n="http://example.org"><head><title>x</title></head><n:call k="1"><at>  noon\n</at><none/>'
        '<unit>A</unit><unit>B</unit><pos srid="4326">1 2</pos><who><name>caf\u00e9</name></who><![CDATA[a & b]]></n:call><n:call/><n:call>t</n:call></feed>'
    ).encode("cp1252"))
    assert unfolded(file, "xml", "call") == [
        {"@k": "1", "at": "noon", "none": None, "unit": ["A", "B"], "pos": {"@srid": "4326", "#text": "1 2"}, "who": {"name": "caf\u00e9"}, "#text": "a & b"},
        {}, {"#text": "t"}]
    assert len(unfolded(file, "xml")) == 4, "without a tag every child of the outermost element is a record"


def test_a_document_type_is_refused_so_that_nothing_swells_or_reaches_out(tmp_path: Path) -> None:
    secret = written(tmp_path, "secret", "hidden")
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    for inside in (f'[<!ENTITY l0 "lol">{laughs}]', f'[<!ENTITY l11 SYSTEM "{secret.as_uri()}">]', f'SYSTEM "{secret.as_uri()}"'):
        with pytest.raises(BadInput, match="declares a document type"):
            unfolded(written(tmp_path, "a.xml", f"<!DOCTYPE r {inside}><r><i>&l11;</i></r>"), "xml", "i")
    assert not (tmp_path / "unfolded.ndjson").read_text()


@pytest.mark.parametrize(("bad", "said"), [
    ("<r><i>", "is cut off or is no XML"), ("<r/>", r"has no element 'i'\. Known: r"), ("x", "no XML"), ("<r>" + "<i>" * 300, "deep in one another"),
    ("", "no element found"), ('<?xml version="1.0" encoding="klingon"?><r/>', "encoding|unknown"), ("<r><i>\x01</i></r>", "not well-formed")])
def test_an_xml_document_that_cannot_be_read_is_refused_in_a_sentence(tmp_path: Path, bad: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        unfolded(written(tmp_path, "a.xml", bad), "xml", "i")


# --- Excel ------------------------------------------------------------------------------------------------------------------------


def book(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    made.save(path)
    return path


def test_a_sheet_gives_texts_dates_and_numbers_as_they_are_meant(tmp_path: Path) -> None:
    file = book(tmp_path / "a.xlsx", {"May": [
        [], ["Incidents of May"], [], ["id", "when", "n", "ratio", "flag", "code", "clock", "day", None, "id", " padded "],
        ["0412", dt.datetime(2018, 3, 1, 22, 10), 7, 1.5, True, "00017", dt.time(18, 30), dt.date(2018, 3, 1), "beside", "2nd", 123456789.123],
        [412, dt.datetime(2018, 3, 1), 7.0, 1e-7, False, "a\nb", None, dt.date(2018, 3, 2), None, None, None],
        [None] * 11, ["  "], [5]]})
    assert unfolded(file, "excel") == [
        {"id": "0412", "when": "2018-03-01 22:10:00", "n": "7", "ratio": "1.5", "flag": "true", "code": "00017", "clock": "18:30:00", "day": "2018-03-01",
         "column I": "beside", "id_2": "2nd", "padded": "123456789.123"},
        {"id": "412", "when": "2018-03-01 00:00:00", "n": "7", "ratio": "0.0000001", "flag": "false", "code": "a\nb", "clock": None, "day": "2018-03-02",
         "column I": None, "id_2": None, "padded": None},
        {"id": "5"} | dict.fromkeys(["when", "n", "ratio", "flag", "code", "clock", "day", "column I", "id_2", "padded"])]


def test_a_sheet_is_found_by_name_and_one_that_is_missing_names_those_there(tmp_path: Path) -> None:
    file = book(tmp_path / "a.xlsx", {"Homicide": [["a"], ["1"]], "Robbery": [["a"], ["2"]], "Empty": []})
    assert unfolded(file, "excel") == [{"a": "1"}] and unfolded(file, "excel", " robbery") == [{"a": "2"}]
    with pytest.raises(BadInput, match=r"has no sheet 'Arson'\..* 'Homicide', 'Robbery', 'Empty'"):
        unfolded(file, "excel", "Arson")
    with pytest.raises(BadInput, match="has no row in its sheet 'Empty'"):
        unfolded(file, "excel", "Empty")


def test_dates_that_were_written_as_text_stay_as_they_were(tmp_path: Path) -> None:
    file = book(tmp_path / "a.xlsx", {"s": [["d", "t"], [dt.date(2020, 1, 2), "2020-01-02 00:00:00"]]})
    assert unfolded(file, "excel") == [{"d": "2020-01-02", "t": "2020-01-02 00:00:00"}]


def test_an_open_document_sheet_and_a_packed_book_are_read_too(tmp_path: Path) -> None:
    cells = "".join(f'<table:table-cell office:value-type="string"><text:p>{v}</text:p></table:table-cell>' for v in ("id", "code"))
    row = ('<table:table-cell office:value-type="float" office:value="7"><text:p>7</text:p></table:table-cell>'
           '<table:table-cell office:value-type="string"><text:p>007</text:p></table:table-cell>')
    spaces = " ".join(f'xmlns:{n}="urn:oasis:names:tc:opendocument:xmlns:{n}:1.0"' for n in ("office", "table", "text"))
    content = (f'<office:document-content {spaces}><office:body><office:spreadsheet><table:table table:name="s"><table:table-row>{cells}</table:table-row>'
               f"<table:table-row>{row}</table:table-row></table:table></office:spreadsheet></office:body></office:document-content>")
    with zipfile.ZipFile(tmp_path / "a.ods", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>')
        archive.writestr("content.xml", content)
    assert unfolded(tmp_path / "a.ods", "excel") == [{"id": "7", "code": "007"}]
    plain = book(tmp_path / "b.xlsx", {"s": [["a"], [1]]})
    assert unfolded(written(tmp_path, "b.xlsx.gz", gzip.compress(plain.read_bytes())), "excel") == [{"a": "1"}]


def test_a_book_that_is_none_is_refused(tmp_path: Path) -> None:
    good = book(tmp_path / "a.xlsx", {"s": [["a"], [1]]}).read_bytes()
    for bad in (b"", b"no book", good[: len(good) // 2], b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000)):
        with pytest.raises(BadInput, match="nothing was loaded"):
            unfolded(written(tmp_path, "b.xlsx", bad), "excel")


# --- maps -------------------------------------------------------------------------------------------------------------------------


def features(*places: tuple[float, float], crs: Any = None) -> str:
    made: dict[str, Any] = {"type": "FeatureCollection", "features": [
        {"type": "Feature", "id": i, "properties": {"beat": f"{i:04}"}, "geometry": {"type": "Point", "coordinates": [*p, 9.0]}} for i, p in enumerate(places)]}
    return json.dumps(made | ({"crs": crs} if crs else {}))


def test_features_become_records_with_their_properties_and_geometry(tmp_path: Path) -> None:
    found = unfolded(written(tmp_path, "a.geojson", features((-87.65, 41.85), (-87.66, 41.86))), "geojson")
    assert found[1] == {"beat": "0001", "id": 1, "geometry": {"type": "Point", "coordinates": [-87.66, 41.86]}}
    one = {"type": "Feature", "properties": None, "geometry": None}
    assert unfolded(written(tmp_path, "a.geojson", json.dumps(one)), "geojson") == [{"geometry": None}]
    assert len(unfolded(written(tmp_path, "a.geojson", json.dumps(one) + "\n" + json.dumps(one)), "geojson")) == 2
    odd = {"type": "FeatureCollection", "features": [7, {"type": "Feature", "properties": {"a": 1}, "geometry": {"type": "Point", "coordinates": "x"}}]}
    assert unfolded(written(tmp_path, "a.geojson", json.dumps(odd)), "geojson") == [7, {"a": 1, "geometry": {"type": "Point", "coordinates": "x"}}]


@pytest.mark.parametrize("crs", [{"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3435"}}, {"type": "EPSG", "properties": {"code": 3435}}])
def test_feet_become_degrees_when_the_file_says_what_they_are(tmp_path: Path, crs: Any) -> None:
    found = unfolded(written(tmp_path, "a.geojson", features((1173884.0, 1886894.0), crs=crs)), "geojson")
    assert found[0]["geometry"]["coordinates"] == pytest.approx([-87.6362, 41.8450], abs=2e-3)


def test_feet_that_nothing_explains_are_refused_until_they_are_said(tmp_path: Path) -> None:
    file = written(tmp_path, "a.geojson", features((1173884.0, 1886894.0)))
    with pytest.raises(BadInput, match=r"does not say its coordinate system, and positions such as 1173884, 1886894 are no degrees"):
        unfolded(file, "geojson")
    assert unfolded(file, "geojson", crs="EPSG:3435")[0]["geometry"]["coordinates"][1] == pytest.approx(41.845, abs=2e-3)
    with pytest.raises(BadInput, match="'EPSG:99', which is not known"):
        unfolded(file, "geojson", crs="EPSG:99")


def shapes(folder: Path, name: str = "beats", prj: str = FEET, encoding: str = "utf-8", cpg: str = "") -> Path:
    with shapefile.Writer(str(folder / name), shapeType=shapefile.POLYGON, encoding=encoding) as out:
        out.field("BEAT", "C", size=10)
        out.field("AREA", "N", size=12, decimal=2)
        out.field("SINCE", "D")
        for beat, x in (("0412", 1173884.0), ("Caf\u00e9", 1180000.0)):
            out.poly([[[x, 1886894.0], [x, 1887894.0], [x + 1000, 1887894.0], [x, 1886894.0]]])
            out.record(beat, 1.5, dt.date(2020, 1, 2))
        out.null()
        out.record("", None, None)
    (folder / f"{name}.cpg").unlink(missing_ok=True)
    for suffix, said in ((".prj", prj), (".cpg", cpg)):
        if said:
            (folder / f"{name}{suffix}").write_text(said)
    return folder / f"{name}.shp"


@pytest.mark.parametrize(("encoding", "cpg"), [
    ("utf-8", ""), ("utf-8", "UTF-8"), ("cp1252", ""), ("cp1252", "1252"), ("cp1252", "ANSI 1252"), ("latin-1", "ISO 88591")])
def test_a_shapefile_comes_out_in_degrees_with_its_texts_in_any_encoding(tmp_path: Path, encoding: str, cpg: str) -> None:
    found = unfolded(shapes(tmp_path, encoding=encoding, cpg=cpg), "shapefile")
    assert [r["BEAT"] for r in found] == ["0412", "Caf\u00e9", None] and found[0]["AREA"] == 1.5 and found[0]["SINCE"] == "2020-01-02"
    assert found[0]["geometry"]["type"] == "Polygon" and found[2]["geometry"] is None
    assert found[0]["geometry"]["coordinates"][0][0] == pytest.approx([-87.6362, 41.8450], abs=2e-3)


def test_a_zipped_shapefile_is_read_and_one_without_its_parts_is_refused(tmp_path: Path) -> None:
    plain = shapes(tmp_path)
    with zipfile.ZipFile(tmp_path / "beats.shp.zip", "w") as archive:
        for part in ("shp", "shx", "dbf", "prj"):
            archive.write(plain.with_suffix(f".{part}"), f"export/Beats.{part.upper()}")
        archive.writestr("export/readme.txt", "x")
    assert unfolded(tmp_path / "beats.shp.zip", "shapefile") == unfolded(plain, "shapefile")
    plain.with_suffix(".prj").unlink()
    with pytest.raises(BadInput, match="does not say its coordinate system"):
        unfolded(plain, "shapefile")
    assert unfolded(plain, "shapefile", crs="EPSG:3435")[0]["BEAT"] == "0412"
    plain.with_suffix(".dbf").unlink()
    with pytest.raises(BadInput, match=r"has no \.dbf beside it"):
        unfolded(plain, "shapefile")


def test_the_real_boundary_in_feet_lands_on_the_one_in_degrees(tmp_path: Path, real_data: Path) -> None:
    out = []
    for name in ("stl_boundary.geojson", "stl_boundary_wgs84.geojson"):
        forms.unfold(real_data / "stlouis" / name, "geojson", "", tmp_path / name)
        out.append(json.loads((tmp_path / name).read_text())["geometry"]["coordinates"][0])
    feet, degrees = out
    assert len(feet) == len(degrees)
    assert all(abs(a[0] - b[0]) < 2e-5 and abs(a[1] - b[1]) < 2e-5 for a, b in zip(feet, degrees, strict=True))
    beats = real_data / "chicago" / "shapefile_police_beats_dec2012"
    forms.unfold(next(beats.glob("*.shp")), "shapefile", "", tmp_path / "beats")
    assert sum(1 for _ in (tmp_path / "beats").open()) == 277


# --- packed files -----------------------------------------------------------------------------------------------------------------


def packing(kind: str, data: bytes, name: str = "inside.csv") -> bytes:
    if kind == "zip":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, data)
        return out.getvalue()
    return {"gz": gzip.compress, "zst": zstandard.compress, "plain": bytes}[kind](data)


@pytest.mark.parametrize("kind", ["gz", "zst", "zip", "plain"])
@pytest.mark.parametrize("named", [True, False])
def test_packed_bytes_come_out_whole_whatever_the_file_is_called(tmp_path: Path, kind: str, named: bool) -> None:
    data = random.Random(1).randbytes(3_000_000)
    file = written(tmp_path, f"a.csv.{kind}" if named and kind != "plain" else "a.csv", packing(kind, data))
    with forms.opened(file) as stream:
        assert stream.read(10) == data[:10] and stream.read() == data[10:] and stream.read(5) == b"" and stream.share == 1.0


def test_several_packed_frames_one_behind_the_other_are_one_stream(tmp_path: Path) -> None:
    for kind in ("gz", "zst"):
        file = written(tmp_path, f"a.{kind}", packing(kind, b"one,") + packing(kind, b"two"))
        with forms.opened(file) as stream:
            assert stream.read() == b"one,two"


def archive_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_an_archive_with_a_readme_gives_its_data_and_one_of_two_tables_names_both(tmp_path: Path) -> None:
    file = archive_of(tmp_path / "a.zip", {"export/calls.csv": b"x", "README.txt": b"r", "__MACOSX/._calls.csv": b"m", "about.pdf": b"p"})
    with forms.opened(file) as stream:
        assert stream.read() == b"x"
    with pytest.raises(BadInput, match=r"holds 2 files \(a\.csv, b\.csv\); unpack it and load the right one"):
        forms.opened(archive_of(tmp_path / "b.zip", {"a.csv": b"x", "b.csv": b"x"}))
    with forms.opened(archive_of(tmp_path / "c.zip", {"a.csv": b"x", "b.xml": b"y"}), (".xml",)) as stream:
        assert stream.read() == b"y"
    with pytest.raises(BadInput, match="holds 0 files"):
        forms.opened(archive_of(tmp_path / "d.zip", {}))


def test_a_packed_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(100_000)
    for kind in ("gz", "zst", "zip"):
        whole = packing(kind, data)
        for cut in (len(whole) // 2, len(whole) - 3, 6):
            file = written(tmp_path, f"a.{kind}", whole[:cut])
            with pytest.raises(BadInput, match="cut off or damaged"), forms.opened(file) as stream:
                stream.read()


def test_a_file_that_swells_beyond_all_measure_is_refused_and_one_that_only_packs_well_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "SWELL_BYTES", 10 << 20)
    for kind in ("gz", "zst", "zip"):
        bomb = written(tmp_path, f"a.{kind}", packing(kind, bytes(40 << 20)))
        with pytest.raises(BadInput, match="swells to more than"), forms.opened(bomb) as stream:
            stream.read()
        good = written(tmp_path, f"b.{kind}", packing(kind, bytes(9 << 20)))
        with forms.opened(good) as stream:
            assert len(stream.read()) == 9 << 20


def test_a_protected_archive_is_refused(tmp_path: Path) -> None:
    data = bytearray(packing("zip", b"x"))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    with pytest.raises(BadInput, match="protected with a password"):
        forms.opened(written(tmp_path, "a.zip", bytes(data)))


# --- damage -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, bytes, str]]:
    """One sound container of each form: its form, bytes and the name it goes by."""
    folder = tmp_path_factory.mktemp("sound")
    plain = shapes(folder)
    with zipfile.ZipFile(folder / "z.zip", "w") as archive:
        for part in ("shp", "shx", "dbf", "prj"):
            archive.write(plain.with_suffix(f".{part}"), f"b.{part}")
    document = json.dumps([{"id": i, "t": "x" * i} for i in range(30)]).encode()
    return {
        "json": ("json", document, "a.json"), "json.gz": ("json", gzip.compress(document), "a.json.gz"),
        "json.zst": ("json", zstandard.compress(document), "a.json.zst"), "json.zip": ("json", packing("zip", document, "a.json"), "a.json.zip"),
        "xml": ("xml", b"<r>" + b"".join(b'<i k="%d"><a>t</a><b/></i>' % i for i in range(30)) + b"</r>", "a.xml"),
        "excel": ("excel", book(folder / "a.xlsx", {"s": [["a", "b"], [1, "x"], [dt.date(2020, 1, 1), None]]}).read_bytes(), "a.xlsx"),
        "geojson": ("geojson", features((1.0, 2.0), (3.0, 4.0)).encode(), "a.geojson"),
        "shapefile": ("shapefile", (folder / "z.zip").read_bytes(), "a.shp.zip"), "shp": ("shapefile", plain.read_bytes(), "b.shp"),
        "dbf": ("shapefile", plain.with_suffix(".dbf").read_bytes(), "b.dbf"),
    }


@pytest.mark.parametrize("which", ["json", "json.gz", "json.zst", "json.zip", "xml", "excel", "geojson", "shapefile", "shp", "dbf"])
@QUICK
@given(chance=st.randoms(use_true_random=False))
def test_a_damaged_container_is_read_or_refused_in_a_sentence_and_nothing_else_happens(
        which: str, chance: random.Random, tmp_path_factory: pytest.TempPathFactory, sound: dict[str, tuple[str, bytes, str]]) -> None:
    folder = tmp_path_factory.getbasetemp() / f"damaged-{which}"
    folder.mkdir(exist_ok=True)
    form, data, name = sound[which]
    if name.startswith("b."):
        for part in ("shp", "dbf"):
            (folder / f"b.{part}").write_bytes(sound[part][1])
        (folder / "b.prj").write_text(FEET)
    harmed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(harmed))
        deed = chance.randrange(4)
        if deed == 0:
            harmed[at] = chance.randrange(256)
        elif deed == 1:
            del harmed[at:at + chance.randint(1, 20)]
        elif deed == 2:
            harmed[at:at] = chance.randbytes(chance.randint(1, 8))
        else:
            del harmed[max(1, at):]
        harmed = harmed or bytearray(b"x")
    (folder / name).write_bytes(harmed)
    try:
        forms.unfold(folder / ("b.shp" if name == "b.dbf" else name), form, "i" if form == "xml" else "", folder / "out")
    except BadInput as error:
        assert str(error).rstrip(".").strip()
    else:
        for line in (folder / "out").read_bytes().splitlines():
            json.loads(line.decode("utf-8", "replace"), strict=False)


# --- loading them -----------------------------------------------------------------------------------------------------------------

TOY = Source(
    name="toy_forms", title="incidents in any form", columns=("id", "when"), optional=("what", "x"), formats=("csv", "json", "xml", "excel", "ndjson"),
    parts=(Part("incidents", {"incident_id": text("id"), "started_at": local_time(column("when"), "%Y-%m-%d %H:%M:%S"), "offence": text("what"),
                              "nibrs": "'220'", "lon": number("x")}),),
)
ROWS = [("0007", "2026-05-01 22:10:00", "BURGLARY", "-87.5"), ("8", "2026-05-01 23:00:00", "TH\u00c9FT", None), ("9", "never", "X", None)]


def in_form(folder: Path, form: str) -> Path:
    records = [{k: v for k, v in zip(("id", "when", "what", "x"), row, strict=True) if v is not None} for row in ROWS]
    if form == "json":
        return written(folder, "a.json", json.dumps(records, indent=2))
    if form == "ndjson":
        return written(folder, "a.ndjson", "\n".join(map(json.dumps, records)))
    if form == "xml":
        return written(folder, "a.xml", "<r>" + "".join("<i>" + "".join(f"<{k}>{v}</{k}>" for k, v in r.items()) + "</i>" for r in records) + "</r>")
    if form == "excel":
        return book(folder / "a.xlsx", {"s": [["id", "when", "what", "x"], *map(list, ROWS)]})
    return written(folder, "a.csv", "id,when,what,x\n" + "".join(",".join(v or "" for v in row) + "\n" for row in ROWS))


@pytest.mark.parametrize("packed_as", ["plain", "gz", "zst", "zip"])
@pytest.mark.parametrize("form", ["csv", "json", "xml", "excel", "ndjson"])
def test_the_same_records_in_any_form_and_packing_are_the_same_rows(tmp_path: Path, form: str, packed_as: str) -> None:
    file = in_form(tmp_path, form)
    if packed_as != "plain":
        file = written(tmp_path, f"{file.name}.{packed_as}", packing(packed_as, file.read_bytes(), file.name))
    lake = Lake(tmp_path / "lake")
    report = lake.load(TOY, file)
    assert (report.read, report.added, report.rejected) == (3, 2, 1)
    frame = lake.frame("incidents").sort("incident_id")
    assert frame.select("incident_id", "offence", "lon").rows() == [("0007", "BURGLARY", -87.5), ("8", "TH\u00c9FT", None)]
    kept = lake.rejects().row(0, named=True)
    assert kept["reason"] == "started_at not readable" and "never" in kept["raw"]


# --- folders and globs ------------------------------------------------------------------------------------------------------------


def toy_city(tmp_path: Path) -> Path:
    folder = workspace.create(tmp_path / "city", name="Test", zone="UTC").path
    (folder / "plugins" / "loaders" / "toy.py").write_text(
        "from workbench.loaders import Part, Source\nfrom workbench.loaders.kit.expressions import column, local_time, text\n"
        "SOURCE = Source(name='toy', title='a toy', columns=('id', 'when'), optional=('what',), beside={'codes': 'codes*.csv'}, parts=(Part('incidents', {\n"
        "    'incident_id': text('id'), 'started_at': local_time(column('when'), '%Y-%m-%d'), 'offence': text('what'), 'nibrs': \"'220'\"}),))\n")
    return folder


def test_a_folder_means_every_file_of_the_sources_forms_in_natural_order(tmp_path: Path) -> None:
    for name in ("in/m10.csv", "in/m2.csv", "in/sub/M1.csv.gz", "in/notes.pdf", "in/.hidden.csv", "in/codes.csv", "in/.git/x.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    source = Source(name="s", title="s", parts=TOY.parts, columns=("id",), beside={"codes": "codes*.csv"})

    def names(*args: object) -> list[str]:
        return [str(p.relative_to(tmp_path)) for p in batch.chosen(source, map(str, args))]

    assert names(tmp_path / "in") == ["in/m2.csv", "in/m10.csv", "in/sub/M1.csv.gz"]
    assert names(tmp_path / "in" / "m*.csv", tmp_path / "in" / "m2.csv") == ["in/m2.csv", "in/m10.csv"]
    assert names(tmp_path / "in" / "**" / "*.csv*") == ["in/codes.csv", "in/m2.csv", "in/m10.csv", "in/sub/M1.csv.gz"]
    assert names(tmp_path / "nowhere.csv") == ["nowhere.csv"]
    with pytest.raises(BadInput, match="No file matches"):
        names(tmp_path / "*.xyz")
    with pytest.raises(BadInput, match="holds no file that s reads"):
        (tmp_path / "in" / "none").mkdir()
        names(tmp_path / "in" / "none")


def test_one_bad_file_of_a_folder_does_not_stop_the_others_and_is_named_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    city = toy_city(tmp_path)
    drop = tmp_path / "drop"
    drop.mkdir()
    for i in (1, 2, 10):
        written(drop, f"m{i}.csv", f"id,when,what\n{i},2026-01-0{i % 9},X\n{i}b,soon,X\n")
    written(drop, "m3.csv", "other,columns\n1,2\n")
    written(drop, "m4.csv.gz", b"\x1f\x8bnot really")
    capsys.readouterr()
    assert cli.main(["load", "toy", str(drop), "-w", str(city)]) == 1
    said = capsys.readouterr()
    assert [line.split(":")[0] for line in said.out.splitlines()] == ["m1.csv", "m2.csv", "m10.csv", "5 files, 2 of them could not be loaded"]
    assert said.out.splitlines()[-1].endswith("6 records read: 3 new, 0 updated, 0 held already, 3 rejected.")
    assert "m3.csv is not a file of toy" in said.err and "m4.csv.gz is cut off or damaged" in said.err
    assert cli.main(["load", "toy", str(drop / "m1*.csv"), "--json", "-w", str(city)]) == 0
    assert [json.loads(x)["duplicate"] for x in capsys.readouterr().out.splitlines()] == [1, 1]


