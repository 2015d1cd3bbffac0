"""agency.toml -> one frozen dataclass: an agency's places, time zone, offence groups, shifts, retention, roles and access.

The file is read by ``tomllib``; every key is checked, so a typing error is said at once and not found out in a briefing.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workbench.errors import BadInput, NotFound, did_you_mean
from workbench.geo import Polygon

FILE = "agency.toml"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
#: Sections that are kept as they stand and checked by the room that they are for.
SETTINGS = ("access", "accounts", "audit", "casebook", "roles", "server")
_SECTIONS = {
    "agency": {"name", "zone", "crs", "week_start", "day_start", "about", "demo_case"},
    "study_area": {"geojson", "bounds"},
    "map": {"streets", "beats", "water", "places"},
    "offence_groups": None,
    "shifts": None,
    "retention": None,
    **dict.fromkeys(SETTINGS),
}

#: Offence groups by NIBRS code, used where an agency names none.
DEFAULT_GROUPS: dict[str, tuple[str, ...]] = {
    "homicide": ("09A", "09B"),
    "robbery": ("120",),
    "aggravated assault": ("13A",),
    "simple assault": ("13B",),
    "burglary": ("220",),
    "vehicle theft": ("240",),
    "theft": ("23A", "23B", "23C", "23D", "23E", "23F", "23G", "23H"),
    "vandalism": ("290",),
    "drugs": ("35A", "35B"),
    "weapons": ("520",),
}


@dataclass(frozen=True)
class Shift:
    """One watch, local wall time; one that ends before it starts runs over midnight."""

    name: str
    start: time
    end: time


@dataclass(frozen=True)
class Agency:
    """One agency as its ``agency.toml`` describes it. Paths are relative to ``folder``.

    ``offence_groups`` maps a group to NIBRS codes ("220") or local wordings ("offence:BURGLARY"); ``retention`` maps a table to days or a
    span such as "21 days", beside ``jurisdiction`` and ``unverified`` (``oversight.retention``);
    ``settings`` are the sections of SETTINGS as they stand.
    """

    name: str
    zone: str
    folder: Path
    crs: str | None = None
    week_start: str = "monday"
    day_start: time = time()
    about: str = ""
    demo_case: str | None = None
    bounds: tuple[float, float, float, float] | None = None
    study_area_file: str | None = None
    maps: dict[str, str] = field(default_factory=dict)
    offence_groups: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(DEFAULT_GROUPS))
    shifts: tuple[Shift, ...] = ()
    retention: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def tz(self) -> ZoneInfo:
        """The agency's time zone."""
        return ZoneInfo(self.zone)

    def moment(self, value: str | date | datetime) -> datetime:
        """A time as UTC: an aware datetime as it is; a date, ``"2026-05-01"`` or ``"2026-05-01 18:30"`` in the agency's zone.

        A wall time that occurs twice (clocks go back) is the first of the two; one that never occurs is moved forward.

        Raises:
            BadInput: the text is not a date or time.
        """
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise BadInput(f"{value!r} is not a date or time; write '2026-05-01' or '2026-05-01 18:30'.") from None
        if not isinstance(value, datetime):
            if not isinstance(value, date):
                raise BadInput(f"{value!r} is not a date or time; give '2026-05-01', a date or a datetime.")
            value = datetime.combine(value, time())
        if value.tzinfo is None:
            value = value.replace(tzinfo=self.tz)
        return value.astimezone(UTC)

    def end_of_day(self, moment: datetime) -> datetime:
        """The local midnight that ends the local day of a moment, as UTC."""
        return self.moment(moment.astimezone(self.tz).date() + timedelta(days=1))

    def operational_day(self, moment: datetime) -> date:
        """The operational day of a moment: the local date on which it began, at ``day_start`` ("07:00": 03:00 belongs to the day before)."""
        local = moment.astimezone(self.tz)
        return local.date() if local.time() >= self.day_start else local.date() - timedelta(days=1)

    def week(self, moment: datetime) -> tuple[datetime, datetime]:
        """The CompStat week of a moment as UTC, begin (in it) and end (not in it): seven operational days from ``week_start`` on.

        It has 167 or 169 hours where clocks change in it.
        """
        day = self.operational_day(moment)
        first = day - timedelta(days=(day.weekday() - WEEKDAYS.index(self.week_start)) % 7)
        return self.moment(datetime.combine(first, self.day_start)), self.moment(datetime.combine(first + timedelta(days=7), self.day_start))

    def group(self, offence: str) -> tuple[str, ...]:
        """The codes of an offence group.

        Raises:
            NotFound: the agency has no such group; the message names the nearest.
        """
        for name, codes in self.offence_groups.items():
            if name.lower() == offence.strip().lower():
                return codes
        raise NotFound(f"{self.name} has no offence group {offence!r}.{did_you_mean(offence, self.offence_groups)} Groups are set in {FILE}.")

    def path(self, name: str) -> Path:
        """A file named in agency.toml.

        Raises:
            BadInput: it would lie outside the workspace.
        """
        full = (self.folder / name).resolve()
        if not full.is_relative_to(self.folder.resolve()):
            raise BadInput(f"{FILE} names {name!r}, which lies outside the workspace; copy the file into the workspace's map folder.")
        return full

    def features(self, kind: str) -> list[dict[str, Any]]:
        """The GeoJSON features of one of the maps ("streets", "beats", "water", "places"); empty when the agency has none.

        Raises:
            BadInput: the file named is missing or is no GeoJSON FeatureCollection.
        """
        if kind not in self.maps:
            return []
        return _features(self.path(self.maps[kind]))

    @cached_property
    def beats(self) -> dict[str, Polygon]:
        """Beat name -> area, from the beats map (property ``beat`` or ``name``)."""
        return {p.name: p for p in (_named(f, "beat_num", "beat", "name") for f in self.features("beats"))}

    @cached_property
    def districts(self) -> dict[str, tuple[str, ...]]:
        """District -> its beats, where the beats map says so (property ``district``)."""
        out: dict[str, list[str]] = {}
        for f in self.features("beats"):
            district = f.get("properties", {}).get("district")
            if district not in (None, ""):
                out.setdefault(str(district), []).append(_named(f, "beat_num", "beat", "name").name)
        return {k: tuple(v) for k, v in sorted(out.items())}

    @cached_property
    def study_area(self) -> Polygon | None:
        """The area models look at: the polygon or bounds named, else all beats together, else None (then the data's own extent)."""
        if self.study_area_file:
            rings = [r for f in _features(self.path(self.study_area_file)) for r in Polygon.from_geojson(f["geometry"]).rings]
            return Polygon(tuple(rings), "study area")
        if self.bounds:
            return Polygon.box(*self.bounds, name="study area")
        if self.beats:
            return Polygon(tuple(r for p in self.beats.values() for r in p.rings), "study area")
        return None

    def area(self, name: str) -> Polygon:
        """A beat, a district or the study area ("all") as a polygon.

        Raises:
            NotFound: no such area.
        """
        wanted = name.strip().lower()
        if wanted in ("all", "city", "study area") and self.study_area is not None:
            return self.study_area
        for beat, polygon in self.beats.items():
            if beat.lower() == wanted:
                return polygon
        for district, beats in self.districts.items():
            if district.lower() == wanted:
                return Polygon(tuple(r for b in beats for r in self.beats[b].rings), district)
        raise NotFound(f"{self.name} has no beat or district {name!r}.{did_you_mean(name, [*self.beats, *self.districts, 'all'])}")


def read(folder: Path) -> Agency:
    """Read ``folder/agency.toml``.

    Raises:
        BadInput: not TOML, an unknown section or key, an unknown time zone, a shift or retention that makes no sense.
        NotFound: there is no such file.
    """
    file = folder / FILE
    if not file.is_file():
        raise NotFound(f"There is no {FILE} in {folder}; make a workspace with: workbench init {folder} --sample")
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise BadInput(f"{file} cannot be read as TOML: {e}.") from None
    for section, keys in data.items():
        if section not in _SECTIONS:
            raise BadInput(f"{FILE} has an unknown section [{section}].{did_you_mean(section, _SECTIONS)}")
        for key in keys if _SECTIONS[section] is not None else ():
            if key not in _SECTIONS[section]:  # type: ignore[operator]
                raise BadInput(f"{FILE} [{section}] has an unknown key {key!r}.{did_you_mean(key, _SECTIONS[section] or ())}")
    head = data.get("agency", {})
    for key, example in (("name", "Fairwater Police"), ("zone", "America/Chicago")):
        if not isinstance(head.get(key), str):
            raise BadInput(f'{FILE} [agency] needs {key} as a text, e.g. {key} = "{example}".')
    _zone(head["zone"])
    week_start = str(head.get("week_start", "monday")).lower()
    if week_start not in WEEKDAYS:
        raise BadInput(f"{FILE} week_start = {head['week_start']!r} is not a weekday.{did_you_mean(week_start, WEEKDAYS)}")
    area = data.get("study_area", {})
    groups = {str(k): tuple(str(c) for c in v) for k, v in data.get("offence_groups", {}).items()}
    return Agency(
        name=head["name"], zone=head["zone"], folder=folder, crs=head.get("crs"), week_start=week_start,
        day_start=_clock("day_start", head.get("day_start", "00:00")), about=head.get("about", ""),
        demo_case=head.get("demo_case"), bounds=_bounds(area.get("bounds")), study_area_file=area.get("geojson"),
        maps={k: str(v) for k, v in data.get("map", {}).items()}, offence_groups=groups or dict(DEFAULT_GROUPS),
        shifts=tuple(_shift(k, v) for k, v in data.get("shifts", {}).items()),
        retention={k: _kept(k, v) for k, v in data.get("retention", {}).items()},
        settings={k: dict(data[k]) for k in SETTINGS if isinstance(data.get(k), dict)},
    )


def template(name: str, zone: str, *, bounds: tuple[float, float, float, float] | None = None, beats: str | None = None, user: str = "") -> str:
    """The text of a new agency.toml, commented, ready to be edited; ``user`` becomes its supervisor and administrator."""
    _zone(zone)
    q = json.dumps
    lines = [
        "# What the workbench knows of your agency. Edit and save; every command reads it afresh.", "",
        "[agency]", f"name = {q(name)}", f"zone = {q(zone)}          # IANA time zone of your wall clocks",
        'week_start = "monday"             # first day of the CompStat week', 'day_start = "00:00"                # when an operational day begins',
        '# crs = "EPSG:26971"               # a projected CRS in metres; without it a local plane is used', "",
        "[study_area]                        # without it: all beats together, else where your incidents lie",
        f"bounds = {list(bounds)}   # west, south, east, north" if bounds else "# bounds = [-87.95, 41.64, -87.52, 42.03]   # west, south, east, north", "",
        "[map]                               # GeoJSON files inside the workspace, drawn under every map",
        f"beats = {q(beats)}" if beats else '# beats = "map/beats.geojson"', '# streets = "map/streets.geojson"', '# water = "map/water.geojson"', "",
        "[offence_groups]                    # NIBRS codes, or your own wording as \"offence:BURGLARY\"",
        *(f"{q(k)} = {q(list(v))}" for k, v in DEFAULT_GROUPS.items()), "",
        "[shifts]", 'day = "07:00-15:00"', 'evening = "15:00-23:00"', 'night = "23:00-07:00"', "",
        "[retention]                         # days, or a span such as \"3 minutes\"; docs/retention.md",
        '# jurisdiction = "US-NC"            # the stricter of its law and yours counts', "reads = 90", "",
        "[access]                            # who may see what: workbench access; built-in roles can be changed under [roles]",
        'default_role = "analyst"            # of everybody who is not named here: no plates, no persons',
        f'{"" if user else "# "}people = {{ {q(user or "anna")} = ["supervisor", "administrator", "auditor"] }}', "",
    ]
    return "\n".join(lines)


def _zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise BadInput(f"Time zone {name!r} is not known; write an IANA name such as 'America/Chicago'.") from None


def _bounds(value: Any) -> tuple[float, float, float, float] | None:
    if value is None:
        return None
    if not (isinstance(value, list) and len(value) == 4 and all(isinstance(v, (int, float)) for v in value) and value[0] < value[2] and value[1] < value[3]):
        raise BadInput(f"{FILE} study_area bounds = {value!r}; write [west, south, east, north] in degrees, e.g. [-87.95, 41.64, -87.52, 42.03].")
    return float(value[0]), float(value[1]), float(value[2]), float(value[3])


def _shift(name: str, value: Any) -> Shift:
    found = re.fullmatch(r"(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})", str(value))
    try:
        start, end = (datetime.strptime(g, "%H:%M").time() for g in found.groups()) if found else (None, None)
    except ValueError:
        start = end = None
    if start is None or end is None:
        raise BadInput(f"{FILE} shift {name} = {value!r}; write it as \"07:00-15:00\".")
    return Shift(name, start, end)


def _clock(name: str, value: Any) -> time:
    try:
        return datetime.strptime(str(value), "%H:%M").time()
    except ValueError:
        raise BadInput(f'{FILE} {name} = {value!r} is not a time of day; write {name} = "07:00".') from None


def _kept(name: str, value: Any) -> Any:
    if isinstance(value, bool) and name == "unverified" or isinstance(value, str) and value.strip():
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise BadInput(f'{FILE} retention {name} = {value!r}; write days, e.g. {name} = 90, or a span such as "3 minutes".')
    return value


def _features(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        raise BadInput(f"{FILE} names {file.name}, but {file} is not there.")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise BadInput(f"{file} cannot be read as GeoJSON: {e}.") from None
    if not isinstance(data, dict) or data.get("type") != "FeatureCollection":
        raise BadInput(f"{file} is not a GeoJSON FeatureCollection.")
    return [f for f in data.get("features", []) if f.get("geometry")]


def _named(feature: dict[str, Any], *keys: str) -> Polygon:
    properties = {str(k).lower(): v for k, v in (feature.get("properties") or {}).items()}
    name = next((str(properties[k]) for k in keys if properties.get(k) not in (None, "")), "")
    return Polygon.from_geojson(feature["geometry"], name)
