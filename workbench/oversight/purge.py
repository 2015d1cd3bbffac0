"""Deleting what is beyond its limit, with a certificate: rows out of the lake, their values out of every other file, then a search of every byte.

What is to go is written down first (``certificates/_work/<id>``: keys and values, gone at the end), so that a purge that was killed is finished by the
next, under the same id. Values that other rows, case evidence or holds still have are not purged values.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from workbench import agency as agencies
from workbench import schema
from workbench.casebook import place
from workbench.engines.duckdb import name
from workbench.errors import BadInput, NotFound
from workbench.lake import Lake, floors, journal
from workbench.lake import purge as lake_purge
from workbench.lake.purge import Selection
from workbench.oversight import cases, casework, certificate, clearing, evidence, holds, retention
from workbench.oversight.certificate import FOLDER, Certificate
from workbench.oversight.traces import Search

_WORK = "_work"
#: Columns whose values tell of a person, vehicle or place when they stand alone; beside the key columns.
_TELLING = ("plate", "plate_raw", "alternatives", "vin", "image", "number", "caller", "called", "handle", "author", "narrative", "text", "marks", "raw")
#: Values of one such lot are looked for together.
_LOT = 200_000


def run(path: str | Path, now: datetime | None = None, *, user: str, reason: str) -> Certificate:
    """Purge what is beyond its limit; a purge that was killed is finished first.

    Args:
        path: the workspace.
        now: UTC; None = the clock. It may not lie ahead of the clock by more than a day.
        user: who purges.
        reason: why, e.g. "daily purge".

    Returns:
        The certificate, also when nothing was due.

    Raises:
        NotFound: there is no workspace. BadInput: ``[retention]`` cannot be used, or no reason. WorkbenchError: a watcher does not answer.

    Cost: writes the files with such rows again (3 s of CPU a million rows) and reads every byte of the workspace twice.
    """
    folder = _workspace(path)
    moment = now or datetime.now(UTC)
    if not reason.strip():
        raise BadInput("A purge says why, e.g. reason='daily purge under the retention policy'.")
    rules = retention.policy(agencies.read(folder))
    with locked(folder):
        finish(folder)
        purge_id = new_id("purge")
        lake = Lake(folder / "lake")
        versions = lake.versions()
        kept = holds.held(folder, lake, versions, moment)
        selection = _with_barred(retention.selection(rules, moment, kept), lake, versions)
        about = {"kind": "Purge under the retention policy", "user": user, "reason": reason, "policy": rules.sentences(),
                 "holds": _respected(folder, lake, versions, selection, kept), **moments(rules, moment)}
        begin(folder, purge_id, lake, selection, about, [])
        return carry_on(folder, purge_id)


def moments(rules: retention.Policy, moment: datetime) -> dict[str, Any]:
    """When a purge is, and before when outputs were changed or cases closed that go with it."""
    return {"moment": moment.isoformat(),
            "outputs_before": (moment - rules.limits["outputs"].span).timestamp() if "outputs" in rules.limits else None,
            "cases_before": (moment - rules.limits["cases"].span).isoformat() if "cases" in rules.limits else None}


def certificates(path: str | Path) -> pl.DataFrame:
    """The certificates of a workspace, oldest first: certificate_id, at, policy, table, rows, earliest, latest, versions gone (those
    before it); a row a table."""
    found = []
    for file in sorted((Path(path) / FOLDER).glob("*.json")):
        one = certificate.read(Path(path), file.stem)
        policy = "; ".join(one.body["policy"])
        for table, about in one.body["tables"].items():
            found.append((one.certificate_id, datetime.fromisoformat(one.body["at"]), policy, table, about["rows"], _when(about["earliest"]),
                          _when(about["latest"]), about["version"]))
    shape: dict[str, Any] = {"certificate_id": pl.String, "at": pl.Datetime("us", "UTC"), "policy": pl.String, "table": pl.String, "rows": pl.Int64,
             "earliest": pl.Datetime("us", "UTC"), "latest": pl.Datetime("us", "UTC"), "versions gone": pl.Int64}
    return pl.DataFrame(found, schema=shape, orient="row").sort("at", "certificate_id", "table")


def finish(folder: Path) -> list[Certificate]:
    """Finish what killed purges left; the caller holds the lock."""
    done = []
    for home in sorted((folder / FOLDER / _WORK).glob("*-*")):
        if (home / "state.json").exists():
            done.append(carry_on(folder, home.name))
        else:
            shutil.rmtree(home, ignore_errors=True)
    return done


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One purge of a workspace at a time; others wait."""
    home = folder / FOLDER / _WORK
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def new_id(kind: str) -> str:
    """An id for a purge and its certificate."""
    return f"{kind}{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def begin(folder: Path, purge_id: str, lake: Lake, selection: Selection, about: dict[str, Any], values: list[str]) -> None:
    """Write down what goes: the keys, the values that tell of them, and ``values`` beside. Nothing is changed yet."""
    home = folder / FOLDER / _WORK / purge_id
    home.mkdir(parents=True)
    said = survey(folder, home, lake, selection, about, values)
    certificate.put(home / "state.json", json.dumps(said))


def survey(folder: Path, home: Path, lake: Lake, selection: Selection, about: dict[str, Any], values: list[str]) -> dict[str, Any]:
    """Look up what goes and write it into ``home``, which alone does nothing; gives the state with which a purge is begun."""
    lake_purge.lay(home, selection)
    versions, told, ids, tables = lake.versions(), set(values), list[str](), dict[str, Any]()
    con = lake.connect()
    try:
        for table in selection.tables():
            if table not in versions and journal.KEY not in versions:
                continue
            rows = f"({lake_purge.doomed(lake._view, versions, table, selection, home)})"
            key = schema.TABLES[table].key if table in schema.TABLES else ("batch_id", "line")
            using = ", ".join(dict.fromkeys([*map(name, key), "batch_id", "line"]))
            every = f"(select * from {lake.relation_sql(table, versions, history=True)} semi join {rows} using ({using}))"
            whole = lake_purge.doomed(lake._view, versions, table, replace(selection, editions={}), home)
            listed = con.sql(f"select distinct {', '.join(map(name, key))} from ({whole})").pl()
            span = f"select epoch_us({retention.moment(table)}) as \"#\" from {every}"
            at = con.execute(f"select min(\"#\"), max(\"#\") from ({span})").fetchall()[0]
            if at[0] is not None:
                listed.write_parquet(home / f"{table}.gone.parquet")
                tables[table] = {"earliest": _iso(at[0]), "latest": _iso(at[1])}
                ids += [f"{table}\x1f" + "\x1f".join(map(str, row)) for row in listed.iter_rows()]
                told |= _values(con, table, every)
    finally:
        con.close()
    salt = secrets.token_bytes(32)
    said = {**about, "tables": tables, "salt": salt.hex(), "editions": dict(selection.editions),
            "floors": {t: m.isoformat() for t, m in selection.floors.items()}, "barred": list(selection.barred),
            "kept": [t for t in selection.kept if selection.kept[t].height]}
    work = casework.due(folder, home, lake, said)
    casework.lay(home, work)
    said |= {"root": certificate.merkle(salt, [*ids, *work.ids()]), "holds": [*about["holds"], *work.respected]}
    pl.DataFrame({"value": sorted(told | work.values)}, schema={"value": pl.String}).write_parquet(home / "values.parquet")
    return said


def carry_on(folder: Path, purge_id: str) -> Certificate:
    """Do, or finish, what was written down; every step can be done twice."""
    home = folder / FOLDER / _WORK / purge_id
    said = json.loads((home / "state.json").read_text(encoding="utf-8"))
    if (folder / FOLDER / f"{purge_id}.json").exists():
        shutil.rmtree(home)
        return certificate.read(folder, purge_id)
    lake = Lake(folder / "lake")
    lake.path.mkdir(exist_ok=True)
    keys = {t: pl.read_parquet(home / f"{t}.gone.parquet") for t in said["tables"]}
    kept = {t: pl.read_parquet(home / f"{t}.kept.parquet") for t in said["kept"]}
    first = lake.purge(Selection({}, said["editions"], keys, kept,
                                 {t: datetime.fromisoformat(m) for t, m in said["floors"].items()}, said["barred"]), purge_id)
    work = [*cases.forget(folder, said), *clearing.intelligence(folder, said)]
    casework.lay(home, casework.due(folder, home, lake, said))  # those added since it was written down, too
    casework.forget(folder, home)
    candidates = pl.read_parquet(home / "values.parquet")["value"].to_list()
    gone = [v for lot in _lots(candidates) for v in sorted(set(lot) - _otherwise(folder, lake, lot, casework.texts(folder, said)))]
    second = lake.purge(Selection(keys={"rejects": _rejects(lake, gone)}), f"{purge_id}-values")
    noted = _Noted(home / "files.ndjson")
    if said.get("outputs_before") is not None:
        clearing.old_outputs(folder, float(said["outputs_before"]), noted)
    searches = [Search(lot) for lot in _lots(gone)]
    for search in searches:
        clearing.files(folder, search, noted)
        casework.forget(folder, home, casework.found(folder, search))
        work += clearing.casebook(folder, search)
        work += clearing.audit(folder, search, user=said["user"], certificate=purge_id)
    if not gone:
        work += clearing.tidy(folder)
    work += casework.told(home)
    body = {"certificate_id": purge_id, "at": datetime.now(UTC).isoformat(), **{k: said[k] for k in ("kind", "user", "reason", "policy", "moment", "holds",
            "salt", "root")}, "tables": _tables(said, first, second), "outputs": noted.listed(), "work": work,
            "verification": verification(folder, searches, len(set(candidates)) - len(gone))}
    made = certificate.write(folder, purge_id, body)
    shutil.rmtree(home)
    return made


def verification(folder: Path, searches: list[Search], otherwise: int) -> dict[str, Any]:
    """Look for the values in every byte of the workspace, unpacked too, and in a casebook's database: what was looked at, and where any was found."""
    where: dict[str, set[str]] = {}
    files = looked = count = skipped = 0
    waiting = clearing.watched(folder)
    for search in searches or [Search(())]:
        files, count, skipped = 0, count + search.values, skipped + search.skipped
        for file in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_relative_to(folder / FOLDER / _WORK)):
            files += 1
            found, size = search.in_file(file)
            looked += size
            if found and file.parent not in waiting:
                where.setdefault(str(file.relative_to(folder)), set()).update(found)
        for table, text in place.rows(folder):
            if found := search.in_bytes(text.encode("utf-8", "surrogatepass")):
                where.setdefault(f"table {table} of the casebook's database", set()).update(found)
    return {"values": count, "files": files, "bytes": looked, "found": len(set().union(*where.values())) if where else 0, "where": sorted(where),
            "otherwise_held": otherwise, "too_short": skipped}


class _Noted:
    """What is done to files, written down before it is done, so that the certificate of a purge that was killed tells of all of it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, file: str, done: str) -> None:
        with self._file.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"file": file, "done": done}) + "\n")
            out.flush()
            os.fsync(out.fileno())

    def listed(self) -> list[dict[str, str]]:
        """File and what was done, each once."""
        if not self._file.exists():
            return []
        found = {}
        for line in self._file.read_text(encoding="utf-8").splitlines():
            try:
                one = json.loads(line)
                found[one["file"]] = one
            except ValueError:
                continue
        return list(found.values())


def _workspace(path: str | Path) -> Path:
    folder = Path(path).absolute()
    if not (folder / agencies.FILE).is_file():
        raise NotFound(f"{path} is no workspace (it holds no {agencies.FILE}).")
    return folder


def _values(con: Any, table: str, every: str) -> set[str]:
    """The values of doomed rows that would tell of them: keys, plates, names and the like."""
    from workbench.lake.tables import SHAPES

    key = schema.TABLES[table].key if table in schema.TABLES else ()
    found: set[str] = set()
    for column, about in SHAPES[table].items():
        if column not in (*key, *_TELLING) or not about.type.startswith("VARCHAR"):
            continue
        one = f"unnest({name(column)})" if about.type.endswith("[]") else name(column)
        found |= {v for (v,) in con.execute(f"select distinct {one} from {every}").fetchall() if v}
    if "surname" in SHAPES[table]:
        for surname, given in con.execute(f"select distinct surname, given_name from {every}").fetchall():
            found |= spellings(surname, given)
    return {v for v in found if not (v.isdigit() and len(v) < 6)}


def spellings(surname: str | None, given: str | None) -> set[str]:
    """How a person's whole name is written."""
    if not surname or not given:
        return set()
    return {f"{given} {surname}", f"{surname}, {given}", f"{surname},{given}", f"{surname} {given}"}


def _otherwise(folder: Path, lake: Lake, values: list[str], work: str) -> set[str]:
    """The values that rows which stay, case evidence, holds or hits that stay still have; asked once the doomed rows are gone."""
    search = Search(values)
    found = search.in_bytes(work.encode("utf-8", "surrogatepass"))
    for table in schema.TABLES:
        for file in sorted((lake.path / table).glob("*.parquet")):
            found |= search.in_file(file)[0]
    for segment in journal.segments(lake.path):
        found |= search.in_file(segment.path)[0]
    return found | beside(folder, search)


def beside(folder: Path, search: Search) -> set[str]:
    """The values that evidence, the other stores or holds have."""
    found: set[str] = set()
    for key, text in evidence.texts(folder):
        found |= search.in_bytes(f"{key}\n{text}".encode("utf-8", "surrogatepass"))
    for store in sorted(f for name_ in clearing.STORES for f in folder.glob(f"{name_}*")):
        found |= search.in_file(store)[0]
    if place.there(folder):
        in_force = holds.listed(folder).filter(pl.col("state").is_in(["in force", "not begun"]))
        for row in in_force.iter_rows(named=True):
            found |= search.in_bytes(f"{row['selector']}\n{row['facts']}".encode())
    return found


def _rejects(lake: Lake, values: list[str]) -> pl.DataFrame:
    """The rejected records whose text has one of the values."""
    shape = {"batch_id": pl.String, "line": pl.Int64}
    versions = lake.versions()
    rows = lake.frame("rejects", versions).select("batch_id", "line", "raw") if "rejects" in versions else pl.DataFrame(schema={**shape, "raw": pl.String})
    hit = [False] * rows.height
    for lot in _lots(values):
        search = Search(lot)
        hit = [h or bool(raw and search.in_bytes(raw.encode("utf-8", "surrogatepass"))) for h, raw in zip(hit, rows["raw"].to_list(), strict=True)]
    return rows.filter(pl.Series(hit, dtype=pl.Boolean)).select(pl.col(n).cast(t) for n, t in shape.items())


def _with_barred(selection: Selection, lake: Lake, versions: Mapping[str, int]) -> Selection:
    """Beside what is due, the rows of persons who were expunged: a load leaves them out, but they can come in live."""
    rows, barred = dict(selection.rows), lake_purge.barred(lake.path)
    for table in schema.TABLES if barred else ():
        out = floors.conditions(table, None, barred)
        if out and (table in versions or journal.KEY in versions):
            rows[table] = f"({rows[table]}) or ({out})" if table in rows else out
    return replace(selection, rows=rows)


def _respected(folder: Path, lake: Lake, versions: Mapping[str, int], selection: Selection, kept: Mapping[str, pl.DataFrame]) -> list[dict[str, Any]]:
    """The holds that keep rows which would go: number, matter, table, rows."""
    found, listed = [], holds.listed(folder) if kept else None
    for table, frame in kept.items():
        if table in selection.rows and frame.height and listed is not None:
            key = list(schema.TABLES[table].key)
            due = lake.frame(table, versions, where=selection.rows[table]).select(key)
            for (number,), part in due.join(frame, on=key).group_by("hold_id"):
                matter = listed.filter(pl.col("hold_id") == number)["matter"][0]
                found.append({"hold_id": number, "matter": matter, "table": table, "rows": part.height})
    return sorted(found, key=lambda h: (h["hold_id"], h["table"]))


def _tables(said: Mapping[str, Any], *done: lake_purge.Purged) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in done:
        for table, rows in one.rows.items():
            times = said["tables"].get(table, {"earliest": None, "latest": None})
            held = found.get(table, {"rows": 0, "current": 0, "files_rewritten": 0, "files_deleted": 0})
            found[table] = {"rows": held["rows"] + rows, "current": held["current"] + one.current[table], **times, "version": one.versions.get(table, 0) + 1,
                            "files_rewritten": held["files_rewritten"] + one.rewritten[table], "files_deleted": held["files_deleted"] + one.deleted[table]}
    return found


def _lots(values: list[str]) -> list[list[str]]:
    return [values[n: n + _LOT] for n in range(0, len(values), _LOT)]


def _iso(microseconds: int | None) -> str | None:
    return None if microseconds is None else datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="seconds")


def _when(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
