"""What is put into a source's expressions when a load begins: the time zone, what was said, the code lists beside the file, the lake's secret."""

from __future__ import annotations

import csv
import fnmatch
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from workbench.engines.duckdb import literal
from workbench.errors import BadInput, did_you_mean
from workbench.loaders import Source
from workbench.loaders.kit.expressions import SALT, ZONE

_SECRET = "_secret"  # noqa: S105 - the name of a file
_HOLE = re.compile(r"\{(said|beside):([^{}]*)\}")


@dataclass(frozen=True)
class Filling:
    """One load's own values. Call it with SQL that has holes in it.

    Args:
        source: the source.
        file: the file that is loaded; code lists are looked for beside it.
        zone: time zone of its wall clocks.
        said: what was said with the load.
        root: the lake's folder, which holds its secret.
    """

    source: Source
    file: Path
    zone: str
    said: Mapping[str, str] = field(default_factory=dict)
    root: Path | None = None

    def __call__(self, sql: str) -> str:
        """The SQL without holes."""
        sql = sql.replace(ZONE, self.zone.replace("'", "''"))
        if SALT in sql:
            sql = sql.replace(SALT, self._secret)
        return _HOLE.sub(self._fill, sql)

    def _fill(self, hole: re.Match[str]) -> str:
        if hole[1] == "said":
            value = self.said.get(hole[2])
            return "cast(null as varchar)" if value is None else literal(value)
        name, key, value = hole[2].split(":")
        rows = self._lists.get(name, [])
        if rows and not {key, value} <= set(rows[0]):
            lacking = next(c for c in (key, value) if c not in rows[0])
            raise BadInput(f"The code list {self.source.beside[name]} beside {self.file.name} has no column {lacking!r}.{did_you_mean(lacking, rows[0])}")
        pairs = {r[key].strip(): r[value].strip() for r in rows if r[key] and r[value]}
        shown = ", ".join(f"{literal(k)}: {literal(v)}" for k, v in pairs.items())
        return f"map {{{shown}}}" if pairs else "map([]::varchar[], []::varchar[])"

    @cached_property
    def _lists(self) -> dict[str, list[dict[str, str]]]:
        found = {}
        for name, pattern in self.source.beside.items():
            matches = sorted(p for p in self.file.parent.iterdir() if fnmatch.fnmatch(p.name.lower(), pattern.lower())) if self.file.parent.is_dir() else []
            if matches:
                with matches[0].open(encoding="utf-8-sig", errors="replace", newline="") as stream:
                    found[name] = list(csv.DictReader(stream))
        return found

    @cached_property
    def _secret(self) -> str:
        if self.root is None:
            raise BadInput(f"{self.source.name} hashes what it reads with a lake's secret; it can only be read into a lake.")
        path = self.root / _SECRET
        if not path.exists():
            part = self.root / f".{_SECRET}.{os.getpid()}"
            part.write_text(secrets.token_hex(32), encoding="ascii")
            part.chmod(0o600)
            try:
                os.link(part, path)
            except FileExistsError:
                pass
            finally:
                part.unlink()
        return path.read_text(encoding="ascii")
