"""Growing a graph from its centre, step by step, and stopping where it would become everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from workbench.errors import BadInput
from workbench.models.links._facts import Facts
from workbench.models.links._scenes import Near, near

_SCENES = 60  # incidents compared with reads at most, those nearest to the centre first


@dataclass(frozen=True)
class How:
    hops: int
    window: Any
    metres: float
    minutes: float
    plates: int
    hub: int
    max_nodes: int


@dataclass(frozen=True, eq=False)
class Grown:
    """hop: id -> steps from the centre; hubs: id -> number of ties; ties: edges' evidence rows; near: plates at the scenes; cut: nodes left out;
    skipped: scenes not compared; picked: some scenes are there because a plate of the centre was read near."""

    hop: dict[str, int]
    hubs: dict[str, int]
    ties: pl.DataFrame
    near: Near
    cut: int
    skipped: int
    picked: bool


def checked(hops: int, window: Any, metres: float, minutes: float, plates: int, hub: int, max_nodes: int) -> How:
    if not 1 <= hops <= 6:
        raise BadInput(f"hops={hops!r} does not do; give 1 to 6 (2 shows who shares what, more soon shows everybody).")
    if metres <= 0 or minutes <= 0 or max_nodes < 2 or hub < 1 or plates < 0:
        raise BadInput(
            f"metres={metres!r}, minutes={minutes!r}, hub={hub!r} must be over 0, plates={plates!r} at least 0 and max_nodes={max_nodes!r} at least 2."
        )
    return How(hops, window, metres, minutes, plates, hub, max_nodes)


def grow(facts: Facts, tied: pl.DataFrame, centres: list[str], how: How) -> Grown:
    """Take in what is tied to the frontier, step by step; the scenes compared with reads are the incidents nearest to the centre."""
    both = pl.concat([tied.select("source", "target"), tied.select(source="target", target="source")]).unique()
    degree = both.group_by("source").len("ties")
    hop: dict[str, int] = dict.fromkeys(centres, 0)
    hubs: dict[str, int] = {}
    cut, frontier = 0, list(centres)
    picked = _scenes_near(facts, centres, how)
    scenes = _core(facts, hop)
    seen = near(facts.reads, scenes.head(_SCENES), metres=how.metres, minutes=how.minutes, window=how.window)
    for step in range(1, how.hops + 1):
        here = pl.DataFrame({"source": frontier}, schema={"source": pl.String()})
        busy = degree.join(here, on="source", how="semi").filter((pl.col("ties") > how.hub) & ~pl.col("source").is_in(centres))
        hubs |= dict(busy.sort("source").iter_rows())
        found = both.join(here, on="source", how="semi").join(busy, on="source", how="anti")
        order = found.join(degree.rename({"source": "target"}), on="target", how="left").sort("ties", "target", descending=[True, False])
        new = [i for i in order["target"].unique(maintain_order=True).to_list() if i not in hop]
        if len(scenes):
            new += [v for v in _notable(seen, degree, step, how) if v not in hop and v not in new]
        if step == 1:
            new += [i for i in picked if i not in hop and i not in new]
        room = how.max_nodes - len(hop)
        cut += max(0, len(new) - room)
        frontier = new[:room]
        hop |= dict.fromkeys(frontier, step)
        if scenes.is_empty():
            scenes = _core(facts, hop)
            if len(scenes):
                seen = near(facts.reads, scenes.head(_SCENES), metres=how.metres, minutes=how.minutes, window=how.window)
    ids = pl.DataFrame({"source": list(hop)}, schema={"source": pl.String()})
    kept = tied.join(ids, on="source", how="semi").join(ids.rename({"source": "target"}), on="target", how="semi")
    return Grown(hop, hubs, kept, seen, cut, max(0, len(scenes) - _SCENES), bool(picked))


def _core(facts: Facts, hop: dict[str, int]) -> pl.DataFrame:
    """The incidents fewest steps from the centre, the latest first."""
    steps = {i: h for i, h in hop.items() if i.startswith("incident:")}
    nearest = [i[9:] for i, h in steps.items() if h == min(steps.values())]
    return facts.incidents.filter(pl.col("incident_id").is_in(nearest)).sort("started_at", "incident_id", descending=[True, False])


def _notable(seen: Near, known: pl.DataFrame, step: int, how: How) -> list[str]:
    """Plates to take in: near two or more scenes, with at most one as surprising expected by chance; on the first step also the least expected that are
    on record or were near two or more.
    """
    several = pl.col("near") >= 2
    strong = seen.odds.filter(several & (pl.col("by_chance") <= 1.0)).head(20)["plate"].to_list()
    on_record = pl.format("vehicle:{}", "plate").is_in(known["source"].implode())
    few = seen.odds.filter(several | on_record).head(how.plates)["plate"].to_list() if step == 1 else []
    return [f"vehicle:{p}" for p in dict.fromkeys([*strong, *few])]


def _scenes_near(facts: Facts, centres: list[str], how: How) -> list[str]:
    """For a plate in the centre: incidents it was read near, the least expected by its habits first."""
    wanted = [c[8:] for c in centres if c.startswith("vehicle:")]
    own = facts.reads.filter(pl.col("plate").is_in(wanted)) if wanted else facts.reads.head(0)
    if own.is_empty() or facts.incidents.is_empty():
        return []
    first, last = own["read_at"].min(), own["read_at"].max()
    margin = pl.duration(minutes=how.minutes)
    end = pl.max_horizontal("started_at", pl.coalesce("ended_at", "started_at"))
    then = facts.incidents.filter((pl.col("started_at") - margin <= last) & (end + margin >= first))
    met = (
        then.select("incident_id", "started_at", "lon", "lat", end=end)
        .join(own.select("read_at", _lon="lon", _lat="lat"), how="cross")
        .filter(
            (pl.col("started_at") - margin <= pl.col("read_at"))
            & (pl.col("end") + margin >= pl.col("read_at"))
            & ((pl.col("lat") - pl.col("_lat")).abs() <= how.metres / 110_000)
        )
    )
    then = then.join(met, on="incident_id", how="semi").sort("started_at", "incident_id", descending=[True, False]).head(_SCENES)
    if then.is_empty():
        return []
    seen = near(facts.reads, then, metres=how.metres, minutes=how.minutes, window=how.window)
    least = seen.by_scene.filter(pl.col("plate").is_in(wanted)).unique("incident_id", keep="first", maintain_order=True).filter(pl.col("p") < 0.2).head(8)
    return [f"incident:{i}" for i in least["incident_id"].to_list()]
