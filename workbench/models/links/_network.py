"""A network as compact arrays: things as numbers, each pair of tied things one edge, each edge with the statements (evidence rows) that make it.

Everything that is asked of a whole graph (paths, neighbourhoods, communities, brokers) runs on these arrays; networkx objects come out of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from workbench import schema
from workbench.errors import BadInput, NotFound, did_you_mean, finite
from workbench.models.codes import numbered
from workbench.models.links import _arrays, _meet
from workbench.models.links._meet import Found
from workbench.models.window import Moment, moment
from workbench.results import Prepared

Ints = np.ndarray[Any, np.dtype[np.int64]]
Codes = np.ndarray[Any, np.dtype[np.int32]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.uint8]]
_ALL: Flags = np.zeros(0, dtype=np.uint8)


class Network(Prepared):
    """Who is tied to whom, undirected, without loops; made by ``Network.of`` or ``workbench.models.links.paths.prepare``.

    Attributes (n things, m edges, h = 2 m, s statements used):
        ids: the things' names in order, shape (n,); texts, or whole numbers where the frame had those.
        first: i8, shape (n + 1,); others, edge: i4, shape (h,): the neighbours of thing i, in order, are ``others[first[i]:first[i + 1]]``, tied to it by the
            edges ``edge[first[i]:first[i + 1]]``.
        low: i8, shape (n + 1,); high: i4, shape (m,): edges are numbered in order of (lower end, upper end); those whose lower end is i are
            ``low[i]:low[i + 1]``, their upper ends ``high``.
        stated: i8, shape (m + 1,); rows: i4, shape (s,): the statements of edge e are the rows ``rows[stated[e]:stated[e + 1]]`` of ``frame``.
        loops, nameless: rows left out since they tie a thing to itself, or name no thing at an end.
    """

    maker = "workbench.models.links.paths:prepare"

    def __init__(self, frame: pl.DataFrame, ids: pl.Series, source: Codes, target: Codes) -> None:
        n = len(ids)
        if len(source) >= 1 << 30:
            raise BadInput(f"{len(source):,} statements are more than one network holds (1,073,741,823); filter them by kind or time first.")
        self.frame, self.ids = frame, ids
        self.nameless = int(np.count_nonzero((source < 0) | (target < 0)))
        low, by_low, kept = _sorted(n, source, target)
        self.loops = len(source) - kept - self.nameless
        up, down = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        m = _arrays.merged(low, by_low, up, down)
        self.low = np.concatenate([[0], np.cumsum(up)])
        self.first = np.concatenate([[0], np.cumsum(up + down)])
        self.high, self.stated, self.rows = np.empty(m, dtype=np.int32), np.empty(m + 1, dtype=np.int64), np.empty(kept, dtype=np.int32)
        self.others, self.edge = np.empty(2 * m, dtype=np.int32), np.empty(2 * m, dtype=np.int32)
        _arrays.filled(low, by_low, self.first, down, self.first.copy(), self.high, self.stated, self.rows, self.others, self.edge)

    @classmethod
    def of(cls, edges: pl.DataFrame | Network) -> Network:
        """The network of a frame with one row a statement.

        Args:
            edges: columns source and target (texts, or whole numbers from 0 on); optional kind (text), at (UTC), strength (0 to 1) and weight (over 0).
                Statements of one pair, in either direction, become one edge. A network comes back as it is.

        Raises:
            BadInput: a column is missing or of another type, or a strength is not within 0 to 1.

        Cost: O(n + rows); 5 M rows of numbers in about 0.4 s, of texts in about 2 s.
        """
        if isinstance(edges, Network):
            return edges
        schema.require(edges, "source", "target", what="The edges frame")
        for column in ("strength", "weight"):
            _within(edges, column)
        if edges.schema.get("kind", pl.String()) not in (pl.String, pl.Null, pl.Categorical, pl.Enum):
            raise BadInput(f"The column kind holds {edges.schema['kind']}; texts are needed, e.g. 'associate'.")
        a, b = edges["source"], edges["target"]
        if a.dtype.is_integer() and b.dtype.is_integer():
            ids, source, target = _numbers(a, b)
        elif {a.dtype, b.dtype} <= {pl.String(), pl.Null()}:
            ids, source, target = _texts(a.cast(pl.String), b.cast(pl.String))
        else:
            raise BadInput(f"The columns source and target are {a.dtype} and {b.dtype}; both must be texts, or both whole numbers.")
        return cls(edges, ids, source, target)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def edges(self) -> int:
        """How many pairs are tied."""
        return len(self.high)

    @cached_property
    def degree(self) -> Ints:
        """How many others each thing is tied to, shape (n,)."""
        return np.diff(self.first)

    @cached_property
    def types(self) -> Codes:
        """What stands before the colon in each name ("person:P1"), as a number, shape (n,); 0 for all where names have none or there are over 16."""
        if self.ids.dtype != pl.String or not len(self):
            return np.zeros(len(self), dtype=np.int32)
        kinds = self.ids.str.extract(r"^([^:]+):", 1).fill_null("")
        known = kinds.unique().sort()
        if len(known) > 16:
            return np.zeros(len(self), dtype=np.int32)
        return np.asarray(kinds.cast(pl.Enum(known)).to_physical().cast(pl.Int32).to_numpy(), dtype=np.int32)

    @cached_property
    def ends(self) -> tuple[Codes, Codes]:
        """Lower and upper end of each edge, shape (m,) each."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.low)), self.high

    def code(self, thing: Any) -> int:
        """The number of a thing. O(log n).

        Raises:
            NotFound: nothing in the network is called so.
        """
        right = isinstance(thing, str) == (self.ids.dtype == pl.String)
        i = int(self.ids.search_sorted(thing)) if right and len(self.ids) and thing is not None else len(self.ids)
        if i == len(self.ids) or self.ids[i] != thing:
            near = self.ids[max(0, i - 200):i + 200].to_list() if right else self.ids.head(12).to_list()
            raise NotFound(f"Nothing in the network is called {thing!r}." + did_you_mean(str(thing), map(str, near)))
        return i

    def named(self, codes: Any) -> list[Any]:
        """The names of numbered things."""
        found: list[Any] = self.ids.gather(np.asarray(codes, dtype=np.uint32)).to_list()
        return found

    def neighbours(self, thing: Any) -> list[Any]:
        """The names of those tied to a thing, in order.

        Raises:
            NotFound: nothing is called so.
        """
        i = self.code(thing)
        return self.named(self.others[self.first[i]:self.first[i + 1]])

    def between(self, a: int, b: int) -> int:
        """The edge of two numbered things, -1 where they are not tied. O(log degree)."""
        low, high = min(a, b), max(a, b)
        start, end = int(self.low[low]), int(self.low[low + 1])
        e = start + int(np.searchsorted(self.high[start:end], high))
        return e if e < end and self.high[e] == high else -1

    def statements(self, edges: Any) -> Ints:
        """Row numbers of ``frame`` of all statements of the edges, edge after edge."""
        wanted = np.asarray(edges, dtype=np.int64)
        start, many = self.stated[wanted], self.stated[wanted + 1] - self.stated[wanted]
        at = np.repeat(start - np.concatenate([[0], np.cumsum(many)[:-1]]), many) + np.arange(int(many.sum())) if len(wanted) else np.zeros(0, np.int64)
        out: Ints = self.rows[at].astype(np.int64)
        return out

    def passing(self, *, kinds: Iterable[str] | None = None, since: Moment | None = None, until: Moment | None = None, strength: float | None = None) -> Flags:
        """1 for each edge with at least one statement of the kinds, at or after ``since`` and before ``until``, of at least the strength; empty = no filter.

        A statement without a time fits no filter by time, one without a strength counts as 1.

        Raises:
            BadInput: the frame has no such column, or knows no such kind.

        Cost: O(statements) at the first asking of a filter (15 ms for 5 M), which is then kept.
        """
        if kinds is None and since is None and until is None and strength is None:
            return _ALL
        asked = () if kinds is None else (kinds,) if isinstance(kinds, str) else tuple(kinds)
        for kind in asked:
            if not isinstance(kind, str):
                raise BadInput(f"kinds={list(asked)!r} does not do; give texts, e.g. ['associate'].")
        listed = None if kinds is None else tuple(sorted(set(asked)))
        if strength is not None:
            finite(strength=strength)
        first, last = None if since is None else moment(since, "since"), None if until is None else moment(until, "until")
        key = (listed, first, last, strength)
        if key not in self._filters:
            if len(self._filters) >= 8:
                self._filters.pop(next(iter(self._filters)))
            self._filters[key] = self._filter(listed, first, last, strength)
        return self._filters[key]

    @cached_property
    def held(self) -> dict[Any, Any]:
        """What questions keep here, so that it is made once."""
        return {}

    @cached_property
    def _filters(self) -> dict[Any, Flags]:
        return {}

    def _filter(self, kinds: tuple[str, ...] | None, since: datetime | None, until: datetime | None, strength: float | None) -> Flags:
        asked = {"kind": kinds, "at": since or until, "strength": strength}
        for column in [c for c, value in asked.items() if value is not None and c not in self.frame.columns]:
            raise BadInput(f"The edges frame has no column {column!r}, so it cannot be filtered by it.")
        tests = []
        if kinds is not None:
            known = self.frame["kind"].unique().drop_nulls().to_list()
            for kind in kinds:
                if kind not in known:
                    raise BadInput(f"No statement is of the kind {kind!r}.{did_you_mean(kind, known)}")
            tests.append(pl.col("kind").is_in(kinds))
        frame = schema.utc(self.frame.select("at"), ["at"]) if since or until else pl.DataFrame()
        if since is not None and until is not None and since >= until:
            raise BadInput(f"since={since:%Y-%m-%d %H:%M} is not before until={until:%Y-%m-%d %H:%M}; give the earlier time as since.")
        if strength is not None and not 0 <= strength <= 1:
            raise BadInput(f"strength={strength!r} does not do; give 0 to 1, the least a statement must have.")
        tests += [pl.col("at") >= since] if since is not None else []
        tests += [pl.col("at") < until] if until is not None else []
        tests += [pl.col("strength").fill_null(1.0) >= strength] if strength is not None else []
        columns = [c for c in ("kind", "strength") if asked[c] is not None]
        joined = self.frame.select(columns).with_columns(frame.get_columns()) if columns else frame
        okay = joined.select(ok=pl.all_horizontal(tests).fill_null(False))["ok"].to_numpy().astype(np.uint8)
        out = np.zeros(self.edges, dtype=np.uint8)
        _arrays.one_of(self.stated, self.rows, okay, out)
        return out

    @cached_property
    def strengths(self) -> Floats:
        """Strength of each edge: of its strongest statement (1 where none is recorded), shape (m,)."""
        if "strength" not in self.frame.columns or not self.edges:
            return np.ones(self.edges)
        each = self.frame["strength"].cast(pl.Float64).fill_null(1.0).to_numpy()[self.rows]
        return np.asarray(np.maximum.reduceat(each, self.stated[:-1]), dtype=np.float64)

    @cached_property
    def weights(self) -> Floats:
        """Weight of each edge: the sum of its statements' column weight; 1 where there is no such column. Shape (m,)."""
        if "weight" not in self.frame.columns or not self.edges:
            return np.ones(self.edges)
        each = self.frame["weight"].cast(pl.Float64).fill_null(1.0).to_numpy()[self.rows]
        return np.asarray(np.add.reduceat(each, self.stated[:-1]), dtype=np.float64)

    def ego(self, thing: Any, hops: int = 2, *, max_degree: int | None = None, okay: Flags = _ALL) -> pl.DataFrame:
        """Who is within so many steps of a thing.

        Args:
            max_degree: a thing tied to more others than this is shown but not followed, unless it is the one asked about.
            okay: edges that may be used, from ``passing``.

        Returns: id, hop, degree (how many others it is tied to in all), followed; in order of hop and id. A 2-hop neighbourhood takes about a millisecond.

        Raises:
            NotFound: nothing is called so. BadInput: hops is no whole number of at least 0.
        """
        if isinstance(hops, bool) or not isinstance(hops, int) or hops < 0:
            raise BadInput(f"hops={hops!r} does not do; give a whole number of at least 0.")
        centre = self.code(thing)
        ball = _meet.Ball(self, centre, okay, limit(max_degree))
        while ball.depth < hops and ball.open:
            ball.grow()
        reached = ball.reached()
        hop = ball.hop[reached]
        order = np.lexsort((reached, hop))
        reached, hop = reached[order], hop[order]
        many = self.degree[reached]
        return pl.DataFrame({"id": self.ids.gather(reached.astype(np.uint32)), "hop": hop.astype(np.int64), "degree": many,
                             "followed": (many <= limit(max_degree)) | (reached == centre)})

    def paths(self, a: Any, b: Any, *, hops: int = 4, kinds: Iterable[str] | None = None, since: Moment | None = None, until: Moment | None = None,
              strength: float | None = None, most: int | None = None, max_degree: int | None = None) -> Found:
        """All simple paths of at most ``hops`` steps between two things, shortest first, then strongest, then by name.

        Args:
            hops: 1 to 6. kinds, since, until, strength: only edges with such a statement, see ``passing``.
            most: only the first so many come back; ``count`` still says how many there are.
            max_degree: paths do not lead through things tied to more others than this (they may begin or end there).

        Raises:
            NotFound: nothing is called so. BadInput: an option is out of range, or both ends are the same.

        Cost: the steps from both ends to the middle, and the paths found; up to 4 hops among 5 M edges takes milliseconds.
        """
        return self.routes(self.code(a), self.code(b), hops, self.passing(kinds=kinds, since=since, until=until, strength=strength), most, max_degree)

    def routes(self, a: int, b: int, hops: int, okay: Flags = _ALL, most: int | None = None, max_degree: int | None = None) -> Found:
        """As ``paths``, for numbered things and edges that may be used."""
        if isinstance(hops, bool) or not isinstance(hops, int) or not 1 <= hops <= 6:
            raise BadInput(f"hops={hops!r} does not do; give 1 to 6 (almost everybody is tied to everybody by more).")
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise BadInput(f"most={most!r} does not do; give a whole number of at least 1, or None for all.")
        if a == b:
            raise BadInput(f"Both ends are {self.ids[a]!r}; give two different things.")
        return _meet.found(self, a, b, hops, okay, limit(max_degree), most)

    def to_networkx(self, codes: Sequence[int] | Ints | None = None) -> Any:
        """A networkx.Graph; nodes are the names, edges carry weight (of the column weight, else 1) and statements (how many).

        Args:
            codes: only these numbered things and the edges among them.
        """
        import networkx as nx

        graph: Any = nx.Graph()
        chosen = np.arange(len(self)) if codes is None else np.unique(np.asarray(codes, dtype=np.int64))
        inside = np.zeros(len(self), dtype=bool)
        inside[chosen] = True
        low, high = self.ends
        used = np.flatnonzero(inside[low] & inside[high])
        graph.add_nodes_from(self.named(chosen))
        many = np.diff(self.stated)[used].tolist()
        said = zip(self.named(low[used]), self.named(high[used]), self.weights[used].tolist(), many, strict=True)
        graph.add_edges_from((a, b, {"weight": w, "statements": s}) for a, b, w, s in said)
        return graph


def _sorted(n: int, source: Codes, target: Codes) -> tuple[Ints, Ints, int]:
    """Statements by lower end (from ``low``), those of one in order of (upper end, row), which are one number each; how many tie two things."""
    low, name_bits, row_bits = np.zeros(n + 1, dtype=np.int64), max(1, int(n).bit_length()), max(1, len(source).bit_length())
    if 2 * name_bits + row_bits <= 64:
        keys = np.empty(len(source), dtype=np.uint64)
        kept = int(_arrays.packed(source, target, name_bits, row_bits, keys))
        keys = keys[:kept]
        keys.sort()
        _arrays.unpacked(keys, kept, name_bits, row_bits, low)
        np.cumsum(low, out=low)
        return low, keys.view(np.int64), kept
    return _counted(n, source, target)


def _counted(n: int, source: Codes, target: Codes) -> tuple[Ints, Ints, int]:
    """The same by counting twice, where two names and a row do not fit into one number."""
    low, high = np.zeros(n + 1, dtype=np.int64), np.zeros(n + 1, dtype=np.int64)
    kept = int(_arrays.tally(source, target, low, high))
    np.cumsum(low, out=low)
    np.cumsum(high, out=high)
    by_high, by_low = np.empty(kept, dtype=np.int64), np.empty(kept, dtype=np.int64)
    _arrays.scatter(source, target, high, by_high)
    _arrays.second(high, by_high, low.copy(), by_low)
    return low, by_low, kept


def limit(max_degree: int | None) -> int:
    """The largest degree that is followed.

    Raises:
        BadInput: it is no whole number of at least 1.
    """
    if max_degree is None:
        return int(np.iinfo(np.int64).max)
    if isinstance(max_degree, bool) or not isinstance(max_degree, int) or max_degree < 1:
        raise BadInput(f"A hub limit of {max_degree!r} does not do; give a whole number of at least 1, or None to follow everything.")
    return max_degree


def _within(edges: pl.DataFrame, column: str) -> None:
    if column not in edges.columns or edges[column].dtype == pl.Null:
        return
    if not edges[column].dtype.is_numeric():
        raise BadInput(f"The column {column} holds {edges[column].dtype}; numbers are needed.")
    low, high = (float(str(v)) if v is not None else None for v in (edges[column].min(), edges[column].max()))
    bad: Any = edges[column].is_nan().any() if edges[column].dtype.is_float() else False
    if column == "strength" and low is not None and high is not None and (bad or low < 0 or high > 1):
        raise BadInput(f"Strengths run from {low} to {high}; they must be 0 to 1.")
    if column == "weight" and low is not None and high is not None and (bad or low <= 0 or not np.isfinite(high)):
        raise BadInput(f"Weights run from {low} to {high}; they must be over 0.")


def _numbers(a: pl.Series, b: pl.Series) -> tuple[pl.Series, Codes, Codes]:
    """Names that are whole numbers: near 0 they are looked up in a table, otherwise sorted."""
    lows, highs = [s.min() for s in (a, b)], [s.max() for s in (a, b)]
    low = min((int(str(v)) for v in lows if v is not None), default=0)
    high = max((int(str(v)) for v in highs if v is not None), default=-1)
    if low < 0 or high > 4 * len(a) + 1000:
        both = pl.concat([a.cast(pl.Int64), b.cast(pl.Int64)])
        names = both.drop_nulls().unique().sort()
        held = names.to_numpy()
        codes = np.where(both.is_null().to_numpy(), -1, np.searchsorted(held, both.fill_null(0).to_numpy())).astype(np.int32)
        return names, codes[:len(a)].copy(), codes[len(a):].copy()
    source, target = (s.cast(pl.Int32).fill_null(-1).to_numpy() for s in (a, b))
    source, target = np.ascontiguousarray(source), np.ascontiguousarray(target)
    there = np.zeros(high + 1, dtype=np.int32)
    _arrays.mark(source, target, there)
    ids = np.flatnonzero(there)
    if len(ids) <= high:
        new = (np.cumsum(there, dtype=np.int32) - np.int32(1)).astype(np.int32)
        source, target = source.copy(), target.copy()
        _arrays.renumber(source, new)
        _arrays.renumber(target, new)
    return pl.Series("id", ids.astype(np.int64)), source, target


def _texts(a: pl.Series, b: pl.Series) -> tuple[pl.Series, Codes, Codes]:
    names = pl.concat([a.unique(), b.unique()]).drop_nulls().unique().sort().alias("id")
    source, target = numbered(names, a, b)
    return names, source, target
