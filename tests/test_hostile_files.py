"""Files made to do harm: refused with a sentence, in a process that has little memory and may write little, and nothing is left behind."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

ROOT = Path(__file__).resolve().parents[1]
MB = 1 << 20
#: What a child may take beside what it has when its libraries are loaded, and what it may write into one file.
MEMORY, DISK = 3000 * MB, 600 * MB
CHILD = """
import resource, sys
from pathlib import Path
import polars, pyarrow.parquet, fastexcel, duckdb, defusedxml.ElementTree, shapefile
from workbench.lake import forms, Lake
from workbench.intake import sniff_file
from workbench.errors import WorkbenchError
from workbench import loaders
from workbench.loaders import Part, Source
how, to, memory, disk, *files = sys.argv[1:]
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + int(memory),) * 2)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(disk),) * 2)
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for number, file in enumerate(files):
    try:
        if how == "unfold":
            forms.unfold(Path(file), "xml", "", Path(to) / f"{number}.ndjson")
        elif how == "sample":
            sniff_file.sample(Path(file))
        else:
            part = Part("incidents", {"incident_id": '"id"', "started_at": "try_cast(\\"at\\" as timestamptz)", "nibrs": "'220'"})
            source = Source("odd", "odd", (part,), ("id", "at"), formats=tuple(loaders.FORMATS))
            Lake(Path(to) / "lake").load(source, Path(file))
        print(file, "TAKEN", flush=True)
    except WorkbenchError as error:
        print(file, "REFUSED", " ".join(str(error).split()), flush=True)
"""


def tried(how: str, files: list[Path], to: Path) -> dict[str, str]:
    """What a child says of each file, "REFUSED ..." or "TAKEN"; fails when it died, or left more than a few megabytes."""
    to.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, how, str(to), str(MEMORY), str(DISK), *map(str, files)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(to), "POLARS_MAX_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stdout[-300:]} {done.stderr[-1500:]}"
    assert "Traceback" not in done.stdout and "fault of the workbench" not in done.stdout
    kept = sum(p.stat().st_size for p in to.rglob("*") if p.is_file())
    assert kept < 20 * MB, f"{kept:,} bytes are left behind"
    lines = done.stdout.strip().splitlines()
    said = {file.name: next(line for line in lines if line.startswith(f"{file} ")).removeprefix(f"{file} ") for file in files}
    assert all(len(sentence) < 1000 for sentence in said.values()), {n: (len(s), s[:200]) for n, s in said.items() if len(s) >= 1000}
    return said


def _zip(inside: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in inside.items():
            archive.writestr(name, data)
    return out.getvalue()


def _zip_of_zeros(name: str, megabytes: int, head: bytes = b"", lie: bool = False) -> bytes:
    """A zip whose one member is very many blanks; with ``lie`` its directory says that it has ten bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w", force_zip64=False) as member:
        member.write(head)
        for _ in range(megabytes):
            member.write(b" " * MB)
    data = bytearray(out.getvalue())
    if lie:
        for sign, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
            place = data.find(sign) + at
            data[place : place + 4] = (10).to_bytes(4, "little")
    return bytes(data)


def _gz(head: bytes, block: bytes, times: int) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=9) as packed:
        packed.write(head)
        for _ in range(times):
            packed.write(block)
    return out.getvalue()


def _zst(block: bytes, times: int) -> bytes:
    packer = zstandard.ZstdCompressor(level=3).compressobj()
    return b"".join(packer.compress(block) for _ in range(times)) + packer.flush()


SHEET = b'<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
BOOK = {
    "[Content_Types].xml": b'<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    b'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    b'<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
    "_rels/.rels": b'<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    b'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": b'<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    b'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": b'<?xml version="1.0"?>'
    b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    b'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}


def _book(sheet: bytes, times: int, tail: bytes = b"</sheetData></worksheet>", head: bytes = SHEET) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in BOOK.items():
            archive.writestr(name, data)
        with archive.open("xl/worksheets/sheet1.xml", "w") as member:
            member.write(head)
            for _ in range(times):
                member.write(sheet)
            member.write(tail)
    return out.getvalue()


def _lying(data: bytes) -> bytes:
    """The directory of an archive says of every member above a megabyte that it has a thousand bytes."""
    held, at = bytearray(data), 0
    while (at := held.find(b"PK\x01\x02", at)) >= 0:
        if int.from_bytes(held[at + 24 : at + 28], "little") > MB:
            held[at + 24 : at + 28] = (1000).to_bytes(4, "little")
        at += 4
    return bytes(held)


ROW = b'<row><c t="inlineStr"><is><t>' + b"A" * 1000 + b"</t></is></c></row>"
BOMBS: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "a.csv.gz": ("csv", "many lines", lambda: _gz(b"id,at\n", (b"1,2026-01-01" + b" " * 1000 + b"\n") * 1000, 400)),
    "line.csv.gz": ("csv", "one line without end", lambda: _gz(b"id,at\n", b"1" * MB, 400)),
    "b.json.gz": ("json", "blanks", lambda: _gz(b"[", b" " * MB, 400)),
    "value.json.gz": ("json", "one value without end", lambda: _gz(b'["', b"a" * MB, 400)),
    "c.csv.zip": ("csv", "blanks", lambda: _zip_of_zeros("c.csv", 1500, b"id,at\n1,2026-01-01\n")),
    "lie.csv.zip": ("csv", "a directory that lies", lambda: _zip_of_zeros("c.csv", 1500, b"id,at\n", lie=True)),
    "d.ndjson.zst": ("ndjson", "zeros", lambda: _zst(b"{}\n" * (MB // 3), 400)),
    "e.xml.gz": ("xml", "a text without end", lambda: _gz(b"<a><b>", b"x" * MB, 400)),
    "many.xml.gz": ("xml", "attributes", lambda: _gz(b"<a><b c='", b"x" * MB, 400)),
    "f.geojson.gz": ("geojson", "blanks", lambda: _gz(b'{"type": "FeatureCollection", "features": [', b" " * MB, 400)),
    "g.xlsx": ("excel", "a sheet that swells", lambda: _book(ROW * 1000, 400)),
    "lying.xlsx": ("excel", "a sheet that swells and a directory that lies", lambda: _lying(_book(ROW * 1000, 400))),
    "h.xlsx.gz": ("excel", "a book packed again", lambda: _gz(b"PK\x03\x04", b"\x00" * MB, 400)),
    "wide.xlsx": (
        "excel",
        "a cell far out",
        lambda: _book(
            b'<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c></row>',
            1,
            head=SHEET + b'<row r="1"><c r="A1" t="inlineStr"><is><t>x</t></is></c></row>',
        ),
    ),
    "i.shp.zip": ("shapefile", "a shapefile that swells", lambda: _zip({"a.shp": bytes(100), "a.dbf": bytes(900 * MB)})),
}


#: Those that are told within seconds; the others are read line by line up to the bound.
QUICK = ("g.xlsx", "lying.xlsx", "h.xlsx.gz", "wide.xlsx", "line.csv.gz", "value.json.gz")


@pytest.mark.parametrize("how", ["load"])
def test_a_file_that_swells_is_refused_before_memory_or_disk_is_eaten(tmp_path: Path, how: str) -> None:
    files = []
    for name in QUICK:
        _, _, made = BOMBS[name]
        files.append(tmp_path / name)
        files[-1].write_bytes(made())
        assert files[-1].stat().st_size < 20 * MB
    said = tried(how, files, tmp_path / "to")
    # for a proposal the first rows only are looked at: that one is made of them, within bounds, is as good
    assert how == "sample" or all(s.startswith("REFUSED") for s in said.values()), said


SMALL: dict[str, tuple[str, Callable[[], bytes]]] = {
    "c.csv.zip": ("csv", lambda: _zip_of_zeros("c.csv", 8, b"id,at\n1,2026-01-01\n")),
    "lie.csv.zip": ("csv", lambda: _zip_of_zeros("c.csv", 8, b"id,at\n", lie=True)),
    "d.ndjson.zst": ("ndjson", lambda: _zst(b"{}\n" * (MB // 3), 8)),
    "e.xml.gz": ("xml", lambda: _gz(b"<a><b>", b"x" * MB, 8)),
    "many.xml.gz": ("xml", lambda: _gz(b"<a><b c='", b"x" * MB, 8)),
    "f.geojson.gz": ("geojson", lambda: _gz(b'{"type": "FeatureCollection", "features": [', b" " * MB, 8)),
    "b.json.gz": ("json", lambda: _gz(b"[", b" " * MB, 8)),
    "a.csv.gz": ("csv", lambda: _gz(b"id,at\n", b"1,2026-01-01\n" * 80_000, 8)),
    "i.shp.zip": ("shapefile", lambda: _zip({"a.shp": bytes(100), "a.dbf": bytes(8 * MB)})),
}


@pytest.mark.parametrize("name", SMALL)
def test_what_swells_is_stopped_while_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The same bombs under small limits, so that each is tried within a second: counted as it is unpacked, and nothing is left behind."""
    from workbench.errors import BadInput
    from workbench.lake import Lake
    from workbench.lake.forms import packed, shapes
    from workbench.loaders import Part, Source

    monkeypatch.setattr(packed, "SWELL_BYTES", 2 * MB)
    monkeypatch.setattr(packed, "SWELL_TIMES", 2)
    monkeypatch.setattr(shapes, "_LARGEST", 2 * MB)
    form, made = SMALL[name]
    (tmp_path / name).write_bytes(made())
    columns = {"incident_id": '"id"', "started_at": 'try_cast("at" as timestamptz)', "nibrs": "'220'"}
    source = Source("odd", "odd", (Part("incidents", columns),), ("id", "at"), formats=(form,))
    with pytest.raises(BadInput, match="swells|more than|cut off or damaged"):
        Lake(tmp_path / "lake").load(source, tmp_path / name)
    assert sum(p.stat().st_size for p in (tmp_path / "lake").rglob("*") if p.is_file()) < MB


LINKS = "".join(f'<!ENTITY x{i} "{f"&x{i - 1};" * 10}">' for i in range(1, 12))
LAUGHS = f'<!DOCTYPE a [<!ENTITY x0 "ha">{LINKS}]>'
XML = {
    "laughs": LAUGHS + "<r><i>&x11;</i></r>",
    "file": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><r><i>&x;</i></r>',
    "net": '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><r><i>1</i></r>',
    "parameter": '<!DOCTYPE a [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><r><i>1</i></r>',
    "quadratic": f'<!DOCTYPE a [<!ENTITY x "{"a" * 100_000}">]><r><i>{"&x;" * 50_000}</i></r>',
    "deep": "<a>" * 300_000,
    "include": '<r xmlns:xi="http://www.w3.org/2001/XInclude"><i><xi:include href="file:///etc/passwd" parse="text"/></i></r>',
    "style": '<?xml-stylesheet href="file:///etc/passwd"?><r><i>1</i></r>',
}


@pytest.mark.parametrize("how", ["unfold", "sample"])
def test_xml_that_swells_or_reaches_out_is_refused_or_inert(tmp_path: Path, how: str) -> None:
    files = []
    for name, text in XML.items():
        files.append(tmp_path / f"{name}.xml")
        files[-1].write_text(text, encoding="utf-8")
    for name, sentence in tried(how, files, tmp_path / "to").items():
        assert sentence.startswith("REFUSED") or name in ("include.xml", "style.xml"), (name, sentence)
        assert "root:" not in sentence
    assert all("root:" not in p.read_text(encoding="utf-8") for p in (tmp_path / "to").rglob("*.ndjson"))


DEEP = {
    "lists": "[" * 200_000,
    "objects": '{"a":' * 200_000,
    "inside": '[{"id": "1", "at": ' + "[" * 150_000 + "]" * 150_000 + "}]",
    "number": '[{"id": ' + "9" * 1_000_000 + "}]",
    "name": '[{"' + "a" * 5_000_000 + '": 1}]',
}


@pytest.mark.parametrize("how", ["load", "sample"])
def test_json_nested_without_end_is_refused_or_rejected_alone(tmp_path: Path, how: str) -> None:
    files = []
    for name, text in DEEP.items():
        for form in ("json", "ndjson", "geojson"):
            files.append(tmp_path / f"{name}.{form}")
            files[-1].write_text(text, encoding="utf-8")
    said = tried(how, files, tmp_path / "to")
    assert said["lists.json"].startswith("REFUSED") and said["objects.json"].startswith("REFUSED")


def test_a_name_in_an_archive_leads_nowhere(tmp_path: Path) -> None:
    """Nothing is ever written under a name that an archive gives: its one file is read as a stream."""
    names = ["../../evil.csv", "/etc/evil.csv", "C:\\evil.csv", "..\\..\\evil.csv", "a/../../evil.csv", "\u202evsc.evil.csv", "a" * 200 + ".csv"]
    home = tmp_path / "a" / "b"
    home.mkdir(parents=True)
    files = []
    for number, name in enumerate(names):
        files.append(home / f"odd{number}.csv.zip")
        files[-1].write_bytes(_zip({name: b"id,at\n1,2026-01-01\n"}))
    tried("load", files, home / "to")
    assert not [p for p in tmp_path.rglob("*") if "evil" in p.name] and not Path("/etc/evil.csv").exists()


def test_a_link_in_an_archive_is_no_link(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("odd.csv")
    info.external_attr = 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    file = tmp_path / "odd.csv.zip"
    file.write_bytes(out.getvalue())
    assert "root:" not in tried("load", [file], tmp_path / "to")["odd.csv.zip"]
    assert not any(b"root:x" in p.read_bytes() for p in (tmp_path / "to").rglob("*") if p.is_file())


def test_an_archive_of_very_many_files_and_one_within_another_are_refused(tmp_path: Path) -> None:
    many, nested, tar = (tmp_path / n for n in ("many.csv.zip", "nested.csv.zip", "odd.csv.gz"))
    many.write_bytes(_zip({f"{i}.csv": b"id,at\n" for i in range(30_000)}))
    nested.write_bytes(_zip({"inner.zip": _zip({"inner.zip": _zip_of_zeros("a.csv", 50)})}))
    with tarfile.open(tar, mode="w:gz") as archive:
        info = tarfile.TarInfo("../../evil.csv")
        info.size = 6
        archive.addfile(info, io.BytesIO(b"id,at\n"))
    assert all(s.startswith("REFUSED") for s in tried("load", [many, nested, tar], tmp_path / "to").values())
    assert not [p for p in tmp_path.rglob("evil*")]


def test_a_parquet_file_with_hostile_names_and_notes_is_read_as_text(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from workbench.intake import sniff_file
    from workbench.lake import Lake
    from workbench.loaders import Part, Source

    nasty = ["id\"; select getenv('HOME') --", "at' || read_text('/etc/passwd')", "#record", "file_row_number_", "<script>"]
    table = pa.table({n: pa.array(["1" if n == nasty[0] else "2026-01-01"]) for n in nasty})
    table = table.replace_schema_metadata({b"geo": b"{" * 100_000, b"pandas": b'{"index_columns": ["../../x"]}'})
    file = tmp_path / "odd.parquet"
    pq.write_table(table, file)
    part = Part(
        "incidents", {"incident_id": '"' + nasty[0].replace('"', '""') + '"', "started_at": 'try_cast("' + nasty[1] + '" as timestamptz)', "nibrs": "'220'"}
    )
    report = Lake(tmp_path / "lake").load(Source("odd", "odd", (part,), (nasty[0], nasty[1]), formats=("parquet",)), file)
    assert report.added == 1
    assert Lake(tmp_path / "lake").frame("incidents")["incident_id"].to_list() == ["1"]
    assert set(sniff_file.sample(file).columns) == set(nasty)


def test_a_parquet_file_with_a_broken_footer_is_refused_or_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    good, files = tmp_path / "good.parquet", []
    pq.write_table(pa.table({"id": ["1"] * 100, "at": ["2026-01-01"] * 100}), good)
    for at in (-1, -4, -8, -9, -20, -60, -200):
        data = bytearray(good.read_bytes())
        data[at] ^= 0xFF
        files.append(tmp_path / f"odd{-at}.parquet")
        files[-1].write_bytes(bytes(data))
    assert tried("load", files, tmp_path / "to")["odd1.parquet"].startswith("REFUSED")
