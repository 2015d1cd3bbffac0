"""What a workspace holds outside the lake of values that were purged: outputs, originals, notebooks, caches, the casebook, the audit.

Files are deleted, but: of notebooks outside ``out/`` the outputs are cleared, and in what somebody wrote (notebooks, templates, plug-ins, maps, settings)
the value is replaced by ``(purged)``.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sqlite3
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from workbench import casebook as work
from workbench.casebook import hits, identities, place
from workbench.oversight import intelligence as records
from workbench.oversight.audit import Audit, Person
from workbench.oversight.certificate import FOLDER as CERTIFICATES
from workbench.oversight.certificate import KEYS
from workbench.oversight.traces import Search

MASK = "(purged)"
AUDIT = "audit.db"
#: Stores with rules of their own: what they hold is held otherwise.
STORES = (records.FILE, "accounts.db", "tokens.json")
#: Folders and files in which people write: values are replaced there, the file stays.
_WRITTEN = ("plugins", "templates", "notebooks", "map")
_APART = ("lake", KEYS)
_CACHES = (".ipynb_checkpoints", ".virtual_documents", "__pycache__", "out", "in")
#: Casebook tables and their columns that may tell of a purged row; evidence and holds keep theirs.
_WORK = ((work.subjects, ("entity", "why")), (work.leads, ("entity", "text", "basis")), (work.judgements, ("why",)), (work.cases, ("title", "reason")),
         (work.closings, ("why",)), (hits.hits, ("list_name", "reason")), (hits.checks, ("note",)), (identities.said, ("why",)))
Noted = Callable[[str, str], None]


def files(path: Path, search: Search, noted: Noted) -> None:
    """Delete, clear or mask every file outside lake, casebook and audit that holds one of the values; ``noted(file, what)`` is called before each."""
    gone: list[Path] = []
    waiting = watched(path)
    for file in list(others(path)):
        if file.parent in waiting or file.parent == path / CERTIFICATES:
            continue
        found, _ = search.in_file(file)
        if not found:
            continue
        inside = file.relative_to(path).parts
        written = len(inside) == 1 and file.suffix in (".toml", ".py", ".md", ".ipynb") or inside[0] in _WRITTEN and not set(inside[:-1]) & set(_CACHES)
        if file.suffix == ".ipynb" and not set(inside[:-1]) & set(_CACHES):
            noted(str(file.relative_to(path)), "outputs cleared")
            _notebook(file, search)
        elif written and _masked(file, search):
            noted(str(file.relative_to(path)), f"value replaced by {MASK}")
        else:
            noted(_named(file, path, search), "deleted")
            file.unlink(missing_ok=True)
            gone.append(file)
    for file in gone:
        for sibling in sorted(file.parent.glob(f"{_escaped(file.stem)}.*")) if file.relative_to(path).parts[0] == "out" else ():
            noted(str(sibling.relative_to(path)), "deleted, since it is of the same output as a file that was")
            sibling.unlink(missing_ok=True)


def others(path: Path) -> Iterator[Path]:
    """The files of a workspace beside lake, keys, casebook, audit, the other stores and the notes of a purge under way."""
    for folder, inside, names in os.walk(path):
        here = Path(folder)
        if here == path:
            inside[:] = [d for d in inside if d not in _APART]
        if here == path / CERTIFICATES:
            inside[:] = [d for d in inside if d != "_work"]
        inside.sort()
        for name in sorted(names):
            if (here / name).is_symlink() or here == path and name.startswith((place.FILE, AUDIT, *STORES)):
                continue
            yield here / name


def watched(path: Path) -> set[Path]:
    """The folders into which files are dropped: what lies there itself waits to be loaded, and is nobody's to delete."""
    try:
        said = tomllib.loads((path / "watch.toml").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return set()
    return {path / str(f.get("path", "drop")) for f in said.get("folder", ()) if isinstance(f, dict)}


def old_outputs(path: Path, before: float, noted: Noted) -> None:
    """Delete the files of ``out/`` that were last changed before a time (seconds)."""
    for file in sorted((path / "out").rglob("*")):
        if file.is_file() and file.stat().st_mtime < before:
            noted(str(file.relative_to(path)), "deleted, since it is older than the limit of outputs")
            file.unlink(missing_ok=True)


def casebook(path: Path, search: Search) -> list[str]:
    """Mask the values in subjects, leads, judgements, cases and what was said of hits, and leave no byte of them in the store; gives what was done."""
    if not place.there(path):
        return []
    said = []
    with place.of(path).engine.begin() as db:
        held = sa.inspect(db).get_table_names()
        for table, names in _WORK:
            touched = _cover(db, table, names, search) if table.name in held else 0
            if touched:
                said.append(f"casebook: values masked in {touched:,} rows of {table.name}")
    return said + tidy(path)


def _cover(db: sa.Connection, table: sa.Table, names: tuple[str, ...], search: Search) -> int:
    """Mask the values in some columns of a table; gives how many rows."""
    key, touched = list(table.primary_key.columns), 0
    for row in db.execute(sa.select(*key, *(table.c[n].label(f"text {n}") for n in names))).all():
        texts = row[len(key):]
        new = [_without(text, search, entity=n == "entity") for n, text in zip(names, texts, strict=True)]
        if new != list(texts):
            db.execute(table.update().where(*(k == v for k, v in zip(key, row, strict=False))).values(dict(zip(names, new, strict=True))))
            touched += 1
    return touched


def tidy(path: Path) -> list[str]:
    """Leave nothing of deleted rows in the casebook's store; gives what could not be done."""
    if place.address(path) is not None:
        return place.vacuumed(path)
    if (path / place.FILE).exists():
        tidy_sqlite(path / place.FILE)
    return []


def audit(path: Path, search: Search, *, user: str, certificate: str) -> list[str]:
    """Have the audit forget the values; gives what was done."""
    values = set[str]().union(*(search.in_file(file)[0] for file in sorted(path.glob(f"{AUDIT}*"))))
    if not values:
        return []
    count = Audit(path / AUDIT).forget(values, person=Person(user), why="purge", certificate=certificate)
    return [f"audit: {count:,} fields replaced by their salted hashes"] if count else []


def intelligence(path: Path, said: Mapping[str, Any]) -> list[str]:
    """Delete the intelligence records that are kept no longer, and by an order those about the persons; gives what was done and who must be told."""
    if not (path / records.FILE).exists():
        return []
    held = records.Intelligence(path / records.FILE)
    gone = held.expunge([f"person:{p}" for p in said["persons"]]) if said.get("persons") else held.purge(now=datetime.fromisoformat(said["moment"]))
    count = len(gone.records)
    return [f"intelligence: {count} record{'' if count == 1 else 's'} deleted"] * bool(count) + [
        f"intelligence: tell {person}, {agency} that {record} is kept no longer" for record, person, agency in gone.told]


def tidy_sqlite(file: Path) -> None:
    """Leave nothing of deleted rows in an SQLite file, its log and its free pages."""
    db = sqlite3.connect(file, timeout=30, isolation_level=None)
    try:
        db.execute("pragma secure_delete = on")
        db.execute("pragma wal_checkpoint(truncate)")
        db.execute("vacuum")
        db.execute("pragma wal_checkpoint(truncate)")
    finally:
        db.close()


def _without(text: Any, search: Search, *, entity: bool = False) -> Any:
    if not isinstance(text, str):
        return text
    for value in sorted(search.in_bytes(text.encode("utf-8", "surrogatepass")), key=len, reverse=True):
        mask = f"{MASK[:-1]} {secrets.token_hex(4)})" if entity else MASK
        for form in {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}:
            text = re.sub(re.escape(form), mask, text, flags=re.IGNORECASE)
    return text


def _notebook(file: Path, search: Search) -> None:
    try:
        book = json.loads(file.read_text(encoding="utf-8"))
        for cell in book["cells"]:
            if cell.get("cell_type") == "code":
                cell["outputs"], cell["execution_count"] = [], None
        book.get("metadata", {}).pop("widgets", None)
        text = json.dumps(book, ensure_ascii=False, indent=1)
    except (ValueError, KeyError, TypeError, AttributeError):
        file.unlink()
        return
    _put(file, _without(text, search))


def _masked(file: Path, search: Search) -> bool:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    masked = _without(text, search)
    if search.in_bytes(masked.encode()):
        return False
    _put(file, masked)
    return True


def _put(file: Path, text: str) -> None:
    part = file.with_name(f".{file.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, file)


def _named(file: Path, path: Path, search: Search) -> str:
    """A file's name for the certificate, without a purged value that it may be named after."""
    return str(_without(str(file.relative_to(path)), search))


def _escaped(stem: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", stem)
