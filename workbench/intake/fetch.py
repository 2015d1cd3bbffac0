"""``workbench fetch``: a web feed read page by page into one file of the workspace's ``in`` folder, as often interrupted as may be.

The pages' records go into a ``.part`` file, and after each page a state file beside it says how far the part is good, so that a process killed at any
moment loses the page under way and nothing else. When all is there the part becomes an NDJSON file. Pages overlap by one record where the
server counts records (Socrata, offset), so that records which come or go meanwhile are noticed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin, urlsplit

from workbench.errors import BadInput, NotFound, did_you_mean
from workbench.intake import highwater, pages
from workbench.intake.web import Answer, Broken, Web, checked, shown
from workbench.loaders import FORMATS, PACKED

#: Rows asked for a page, and bytes that one fetch may bring.
PAGE, MOST_BYTES = 5000, 50 << 30
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Wanted:
    """What is to be fetched.

    Args:
        url: where; further query parameters may stand in it.
        paging: socrata, offset, page, cursor, next, or none (one document, kept as it is); "" = socrata for .../resource/..., cursor or
            next where ``next`` is given, else none.
        page: rows asked for a page.
        order: of Socrata; default ":id".
        where: condition of Socrata.
        since: only rows whose column stands at or above the mark kept from the last time, less the overlap.
        overlap: see ``highwater.before``.
        key: members by which a row is known again at a page's border; default the members of ``order`` that rows have.
        records: member path of the records in a page's JSON; "" = it is the list.
        next: member path of the next link or cursor; "" with paging "next" = the Link header.
        names: what the server calls limit, offset, page, cursor, since, where these differ from the usual.
        most: rows after which to stop, 0 = all.
        source: that the file is for, which tells marks of one feed apart.
    """

    url: str
    paging: str = ""
    page: int = PAGE
    order: str = ""
    where: str = ""
    since: str = ""
    overlap: timedelta | int | None = None
    key: tuple[str, ...] = ()
    records: str = ""
    next: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    most: int = 0
    source: str = ""

    @property
    def kind(self) -> str:
        """The paging, told where it is not said.

        Raises:
            BadInput: there is none of that name.
        """
        if self.paging and self.paging not in pages.NAMES:
            raise BadInput(f"There is no paging {self.paging!r}.{did_you_mean(self.paging, pages.NAMES)}")
        if self.paging:
            return self.paging
        if "/resource/" in urlsplit(self.url).path:
            return "socrata"
        return ("next" if re.search(r"next|url|link|href", self.next, re.I) else "cursor") if self.next else "none"

    @property
    def feed(self) -> str:
        """The name of its mark."""
        return "|".join((self.source, shown(self.url), self.where, self.since))

    def called(self, name: str) -> str:
        """What the server calls a parameter."""
        return self.names.get(name, pages.NAMES[self.kind].get(name, name))


@dataclass
class Fetched:
    """What came. ``again`` counts rows that a page repeated from the one before, ``mark`` is the highest value of the ``since`` column.

    Of a ``document`` that is kept as it is neither rows nor pages are counted.
    """

    file: Path
    rows: int = 0
    pages: int = 0
    again: int = 0
    retried: int = 0
    resumed: bool = False
    mark: Any = None
    document: bool = False

    def sentence(self) -> str:
        """One line for people."""
        if self.document:
            return f"{self.file.name}: {self.file.stat().st_size:,} bytes fetched{', going on where it had stopped' if self.resumed else ''}."
        more = (", going on where it had stopped" if self.resumed else "") + (f"; {self.again:,} came twice and were kept once" if self.again else "")
        tried = f"; {self.retried} times tried again" if self.retried else ""
        return f"{self.file.name}: {self.rows:,} rows fetched in {self.pages:,} page{'' if self.pages == 1 else 's'}{more}{tried}."


@dataclass
class _State:
    """How far a fetch is: everything up to ``bytes`` of the part is good, and ``where`` is where the next page begins."""

    wanted: str
    pages: int = 0
    rows: int = 0
    bytes: int = 0
    again: int = 0
    where: str = ""
    at: int = 0
    mark: Any = None
    begin: Any = None
    numeric: bool = False
    etag: str = ""
    seen: dict[str, Any] = field(default_factory=dict)


class Fetch:
    """One fetch into a folder.

    Args:
        wanted: what.
        folder: the workspace's ``in`` folder; made if it is not there.
        web: the reader.
    """

    def __init__(self, wanted: Wanted, folder: Path, web: Web) -> None:
        self._wanted, self._folder, self._web = wanted, folder, web
        self._progress: Progress | None = None
        if wanted.page < 1:
            raise BadInput(f"--page {wanted.page} is no number of rows; write e.g. --page {PAGE}")
        if wanted.since and wanted.kind != "socrata" and "since" not in wanted.names:
            raise BadInput("--since needs to know what this server calls the parameter: --name since=updated_after")
        stem = re.sub(r"[^\w.-]+", "-", PurePosixPath(checked(wanted.url).path).name.split(".")[0]).strip("-.") or "feed"
        said = json.dumps(asdict(wanted) | {"overlap": str(wanted.overlap)}, sort_keys=True)
        self._same = hashlib.sha256(said.encode()).hexdigest()[:12]
        self._stem = f"{wanted.source or stem}-{self._same[:6]}"
        self._part, self._note = folder / f"{self._stem}.part", folder / f"{self._stem}.part.json"
        self._seen = pages.Seen()
        self._state = _State(self._same)

    def run(self, *, again: bool = False, progress: Progress | None = None) -> Fetched:
        """Fetch, going on where an earlier run of the same command stopped; with ``again`` from the beginning.

        Args:
            again: begin anew.
            progress: called with pages and rows so far.

        Raises:
            BadInput: the feed cannot be used: another host, changed columns, no such member.
            WorkbenchError: it could not be had after all tries; what came is kept, and the next run goes on.
        """
        self._progress = progress
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            resumed = not again and self._resume()
            if not resumed:
                self._part.unlink(missing_ok=True)
                self._state = _State(self._same, begin=highwater.mark(self._folder, self._wanted.feed) if self._wanted.since else None)
            if self._wanted.kind == "none":
                return self._whole(resumed)
            retried = self._web.retried
            with open(os.open(self._part, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as out:
                out.truncate(self._state.bytes)
                out.seek(self._state.bytes)
                capped = False
                for rows in self._pages():
                    capped = self._keep(out, rows)
                    if capped:
                        break
            file = self._folder / f"{self._stem}-{datetime.now(UTC):%Y%m%dT%H%M%S}.ndjson"
            os.replace(self._part, file)
            self._note.unlink(missing_ok=True)
            s = self._state
            return Fetched(file, s.rows, s.pages, s.again, self._web.retried - retried, resumed, None if capped else s.mark)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with open(self._folder / f".{self._stem}.lock", "w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise BadInput("The same is being fetched by another process; wait until it is done.") from error
            yield

    def _resume(self) -> bool:
        try:
            held = _State(**json.loads(self._note.read_text(encoding="utf-8")))
            good = held.wanted == self._same and self._part.stat().st_size >= held.bytes
        except (FileNotFoundError, ValueError, TypeError):
            return False
        if good:
            self._state, self._seen = held, pages.Seen(**held.seen)
        return good

    def _whole(self, resumed: bool) -> Fetched:
        """One document, as it is."""

        def noted(etag: str) -> None:
            self._state.etag = etag
            highwater.write(self._note, asdict(self._state))

        answer = self._web.download(self._wanted.url, self._part, self._state.etag if resumed else "", noted)
        file = self._folder / f"{self._stem}-{datetime.now(UTC):%Y%m%dT%H%M%S}{_suffix(answer)}"
        os.replace(self._part, file)
        self._note.unlink(missing_ok=True)
        return Fetched(file, resumed=resumed, document=True)

    def _keep(self, out: Any, rows: list[pages.Row]) -> bool:
        """Write a page's rows and note how far the part is good; True when there are as many as were asked for."""
        s, w = self._state, self._wanted
        capped = bool(w.most) and s.rows + len(rows) >= w.most
        rows = rows[: w.most - s.rows] if capped else rows
        out.write("".join(f"{r.line}\n" for r in rows).encode("utf-8", "surrogateescape"))
        if out.tell() > MOST_BYTES:
            raise BadInput(f"The feed has more than {MOST_BYTES / 1e9:,.0f} GB; narrow it with --where.")
        out.flush()
        os.fsync(out.fileno())
        for row in rows:
            value = _number(row.members.get(w.since), s.numeric) if w.since else None
            if value is not None and not highwater.ahead(value) and (s.mark is None or highwater.later(value, s.mark)):
                s.mark = value
        s.pages, s.rows, s.bytes = s.pages + 1, s.rows + len(rows), out.tell()
        s.seen = asdict(self._seen)
        highwater.write(self._note, asdict(s))
        if self._progress:
            self._progress(s.pages, s.rows)
        return capped

    # ------------------------------------------------------------------ the ways of paging

    def _pages(self) -> Iterator[list[pages.Row]]:
        kind = self._wanted.kind
        if kind in ("socrata", "offset"):
            yield from self._counted()
        elif kind == "page":
            yield from self._numbered()
        else:
            yield from self._linked()

    def _get(self, url: str) -> tuple[Answer, pages.Page]:
        held: list[pages.Page] = []
        doubtful: set[bytes] = set()

        def check(answer: Answer) -> None:
            held.append(pages.told(answer, self._wanted.records))
            digest = hashlib.sha256(answer.body).digest()
            if pages.unsure(answer) and digest not in doubtful:
                doubtful.add(digest)
                raise Broken("the answer may be cut off: it does not end with a line end, and the server does not say its length")

        answer = self._web.get(url, check)
        self._seen.check(held[-1], self._state.pages + 1)
        return answer, held[-1]

    def _first(self) -> str:
        """The address with everything but the place of the page."""
        w, values = self._wanted, dict[str, str | int]()
        if w.kind not in ("next", "none"):
            values[w.called("limit")] = w.page
        begin = None if self._state.begin is None else highwater.before(self._state.begin, w.overlap)
        if w.kind == "socrata":
            clauses = [c for c in (w.where or pages.query(w.url, "$where"), _soql(w.since, begin)) if c]
            values["$order"] = w.order or pages.query(w.url, "$order") or ":id"
            if clauses:
                values["$where"] = " AND ".join(f"({c})" for c in clauses) if len(clauses) > 1 else clauses[0]
        elif begin is not None:
            values[w.called("since")] = str(begin)
        return pages.with_query(w.url, **values)

    def _key(self, page: pages.Page) -> tuple[str, ...]:
        w = self._wanted
        asked = w.key or tuple(re.sub(r"\s+(asc|desc)$", "", p.strip(), flags=re.I) for p in (w.order or ":id").split(","))
        lacking = next((k for k in asked for r in page.rows[:1] if k not in r.members), None)
        if w.key and lacking:
            raise BadInput(f"The rows have no member {lacking!r} to know them by.{did_you_mean(lacking, page.rows[0].members)}")
        return () if lacking else asked

    def _take(self, page: pages.Page, overlap: int) -> list[pages.Row] | None:
        """The new rows of a page; None when it does not join on to the one before."""
        key = self._key(page)
        rows = self._seen.fresh(page, key, overlap)
        if rows is not None:
            self._state.again += max(0, len(page.rows) - len(rows) - overlap)
            self._seen.remember(page, key)
            self._state.numeric = page.types.get(self._wanted.since) == "number"
        return rows

    def _counted(self) -> Iterator[list[pages.Row]]:
        """By offset. Each page begins at the last row of the one before; one that does not hold it shows that rows went away, and it is gone back."""
        s, w, base = self._state, self._wanted, self._first()
        while True:
            for back in sorted({1, max(1, len(self._seen.last) // 2), max(1, len(self._seen.last))}):
                overlap = min(back, s.at)
                _, page = self._get(pages.with_query(base, **{w.called("offset"): s.at - overlap}) if s.at else base)
                rows = self._take(page, overlap)
                if rows is not None:
                    break
            if rows is None:
                raise BadInput("The feed changed while it was fetched: the rows that came last are not in it any more. Begin anew with --again; "
                               "an order by a key that stays, such as --order :id, makes it safer.")
            if not rows and len(page.rows) <= overlap:
                return
            s.at += len(page.rows) - overlap
            yield rows

    def _numbered(self) -> Iterator[list[pages.Row]]:
        """By page number, until a page is empty, not there, or the one before once more."""
        s, w, base = self._state, self._wanted, self._first()
        first, idle = int(pages.query(w.url, w.called("page")) or 1), 0
        while idle < 2:
            before = self._seen.last
            try:
                _, page = self._get(pages.with_query(base, **{w.called("page"): first + s.at}))
            except NotFound:
                if s.pages:
                    return
                raise
            rows = self._take(page, 0) or []
            if not page.rows or not rows and self._seen.last == before:
                return
            idle = 0 if rows else idle + 1
            s.at += 1
            yield rows

    def _linked(self) -> Iterator[list[pages.Row]]:
        s, w, base = self._state, self._wanted, self._first()
        cursor = w.kind == "cursor"
        while s.where != "end":
            url = base if not s.where else pages.with_query(base, **{w.called("cursor"): s.where}) if cursor else s.where
            answer, page = self._get(url)
            rows = self._take(page, 0) or []
            after = pages.following(answer, page, w.next)
            after = after if cursor or not after else urljoin(answer.url, after)
            if after and after in (s.where, url):
                raise BadInput(f"The feed names the same next page again after page {s.pages + 1}; it would go on without end.")
            s.where = after or "end"
            yield rows


def _soql(column: str, begin: Any) -> str:
    if begin is None:
        return ""
    return f"{column} >= {begin}" if isinstance(begin, (int, float)) else f"{column} >= '{str(begin).replace(chr(39), chr(39) * 2)}'"


def _number(value: Any, numeric: bool) -> Any:
    """A value of a column that the feed declares as numbers but writes as text."""
    if not numeric or not isinstance(value, str):
        return value
    try:
        return int(value) if re.fullmatch(r"-?\d+", value) else float(value)
    except ValueError:
        return None


def _suffix(answer: Answer) -> str:
    """The suffix of a document: as its address has it, else by what the server says it is."""
    name = PurePosixPath(urlsplit(answer.url).path).name.lower()
    known = sorted((s + p for suffixes in FORMATS.values() for s in suffixes for p in PACKED), key=len, reverse=True)
    kinds = {"csv": ".csv", "geo+json": ".geojson", "ndjson": ".ndjson", "json": ".json", "xml": ".xml", "spreadsheetml": ".xlsx"}
    kind = answer.headers.get("content-type", "").lower()
    return next((s for s in known if name.endswith(s)), "") or next((s for k, s in kinds.items() if k in kind), PurePosixPath(name).suffix or ".txt")
