"""What the city is told of: closed roads, events, and public alerts (CAP). Each file with a few rows that are wrong on purpose."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import polars as pl

from . import dirt
from .blocks import Blocks
from .dirt import Count, Soiler
from .places import PLACES
from .plane import SEED, degrees, ellipse

_TIME = "%Y-%m-%d %H:%M"
_REASONS = (("utility works", 2, 9), ("resurfacing", 5, 21), ("water main", 1, 3), ("street fair", 0, 1), ("collision", 0, 0), ("flooding", 1, 4),
            ("house move", 0, 0))
_KINDS = {
    "stadium": (("GAME", "Home game", 3.0), ("CONCERT", "Open air concert", 4.0)),
    "city hall": (("RALLY", "Rally on the steps", 2.0), ("MEETING", "Council meeting", 2.5)),
    "school": (("SCHOOL", "Open house", 2.0), ("ALARM", "Fire alarm, no fire", 0.5)), "hospital": (("DIVERSION", "Emergency room on diversion", 6.0),),
    "mall": (("SALE", "Late opening", 5.0), ("ALARM", "Panic alarm, false", 0.3)), "rail station": (("DELAY", "Trains held", 1.0),),
}


def closures(path: Path, blocks: Blocks) -> Count:
    """Closed roads of the last year: 60 rows, and some twice, ending before they begin, or without their begin."""
    rng = np.random.default_rng([SEED, 101])
    rows = []
    for k, at in enumerate(rng.choice(len(blocks), 60, replace=False)):
        row, (reason, least, most) = blocks.table.row(int(at), named=True), _REASONS[int(rng.integers(len(_REASONS)))]
        start = datetime(2025, 7, 1, 6) + timedelta(hours=int(rng.integers(0, 364 * 24)))
        end = start + timedelta(days=int(rng.integers(least, most + 1)), hours=int(rng.integers(2, 11)))
        full = bool(rng.random() < 0.4)
        words = row["full"].split()[1:]
        rows.append({
            "Closure": f"CL{k + 1:04d}", "Road": " ".join(words), "Limits": row["block"], "Closed From": start.strftime(_TIME),
            "Closed Until": end.strftime(_TIME) if rng.random() < 0.93 else None, "Reason": reason, "Full": "Y" if full else "N",
            "Direction": None if full else str(rng.choice(["NB", "SB", "EB", "WB"])), "Latitude": row["lat"], "Longitude": row["lon"],
        })
    frame = pl.DataFrame(rows)
    soiler = Soiler(frame.columns, [])
    soiler.spoils = [(40, dirt.same, "duplicate"), (36, soiler.put("Closed Until", "2001-01-01 00:00", "Closure"), "rejected"),
                     (50, soiler.put("Closed From", "", "Closure"), "rejected")]
    _csv(path, soiler, frame)
    return soiler.count


def events(path: Path) -> Count:
    """What goes on at known places in three months: 90 rows, and some twice, without a kind, or with a time that cannot be."""
    rng = np.random.default_rng([SEED, 102])
    spots = [p for p in PLACES if p.kind in _KINDS]
    rows = []
    for k in range(90):
        place = spots[int(rng.integers(len(spots)))]
        kind, title, hours = _KINDS[place.kind][int(rng.integers(len(_KINDS[place.kind])))]
        start = datetime(2026, 4, 1) + timedelta(days=int(rng.integers(0, 90)), hours=int(rng.integers(8, 21)), minutes=15 * int(rng.integers(4)))
        lon, lat = degrees(place.xy[None])[0]
        expected = f" About {int(rng.integers(3, 90)) * 100} people expected." if kind in ("GAME", "CONCERT", "RALLY") else ""
        rows.append({
            "Event ID": f"EV{k + 1:04d}", "Begins": start.strftime(_TIME), "Ends": (start + timedelta(hours=hours)).strftime(_TIME), "Kind": kind,
            "Title": title, "Text": f"{title} at {place.name}.{expected}", "Location": place.name, "Latitude": float(lat), "Longitude": float(lon),
        })
    frame = pl.DataFrame(rows)
    soiler = Soiler(frame.columns, [])
    soiler.spoils = [(70, dirt.same, "duplicate"), (60, soiler.put("Kind", "", "Event ID"), "rejected"),
                     (80, soiler.put("Begins", "2026-02-30 25:00", "Event ID"), "rejected")]
    _csv(path, soiler, frame)
    return soiler.count


def _csv(path: Path, soiler: Soiler, frame: pl.DataFrame) -> None:
    body = frame.write_csv(include_header=False).splitlines()
    path.write_text("\n".join([",".join(frame.columns), *soiler.rows(body)]) + "\n", encoding="utf-8")


#: Alert, sent, status, kind of message, alerts referred to, event, severity, urgency, certainty, headline, hours it holds, area (words, x, y, radius).
_ALERTS = (
    ("FW-2026-001", "2026-04-17T15:10:00-05:00", "Actual", "Alert", (), "Tornado Watch", "Severe", "Expected", "Possible",
     "Tornado watch until 10 pm", 7, ("All of Fairwater", 0, 0, 7600)),
    ("FW-2026-002", "2026-04-17T18:42:00-05:00", "Actual", "Update", (0,), "Tornado Warning", "Extreme", "Immediate", "Observed",
     "Tornado warning for the west side until 7.30 pm", 1, ("West of Orchard Road", -4300, 800, 2600)),
    ("FW-2026-003", "2026-04-17T19:35:00-05:00", "Actual", "Cancel", (0, 1), "Tornado Warning", "Extreme", "Past", "Observed",
     "Tornado warning cancelled", 0, ("West of Orchard Road", -4300, 800, 2600)),
    ("FW-2026-004", "2026-05-06T10:00:00-05:00", "Test", "Alert", (), "Required Monthly Test", "Minor", "Past", "Unlikely",
     "Monthly test of the sirens", 0, ("All of Fairwater", 0, 0, 7600)),
    ("FW-2026-005", "2026-06-03T22:05:00-05:00", "Actual", "Alert", (), "Flood Advisory", "Moderate", "Expected", "Likely",
     "High water on the Sorrel River", 36, ("River drives and Island Reserve", 3450, -1930, 900)),
    ("FW-2026-006", "2026-06-12T17:20:00-05:00", "Actual", "Alert", (), "Hazardous Materials Warning", "Severe", "Immediate", "Observed",
     "Ammonia leak at River Cold Storage: stay indoors", 5, ("800 m around River Cold Storage", 1250, -1780, 800)),
)
_FORM = """  <alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">
    <identifier>{id}</identifier><sender>alerts.fairwater.example</sender><sent>{sent}</sent><status>{status}</status><msgType>{kind}</msgType>
    <scope>Public</scope>{references}
    <info>
      <language>en-US</language><category>{category}</category><event>{event}</event><urgency>{urgency}</urgency><severity>{severity}</severity>
      <certainty>{certainty}</certainty><effective>{sent}</effective><expires>{expires}</expires>
      <headline>{headline}</headline><description>{headline}. This is a made-up alert of a made-up city.</description>
      <area><areaDesc>{area}</areaDesc><polygon>{polygon}</polygon></area>
    </info>
  </alert>"""


def alerts(path: Path) -> Count:
    """Six alerts: a watch that is updated and cancelled, a test, a flood, a leak."""
    text = []
    for id, sent, status, kind, refs, event, severity, urgency, certainty, headline, hours, (area, x, y, radius) in _ALERTS:
        told = " ".join(f"alerts.fairwater.example,{_ALERTS[r][0]},{_ALERTS[r][1]}" for r in refs)
        expires = (datetime.fromisoformat(sent) + timedelta(hours=hours)).isoformat()
        polygon = " ".join(f"{lat},{lon}" for lon, lat in degrees(ellipse(x, y, radius, radius * 0.8, n=12)))
        text.append(_FORM.format(
            id=id, sent=sent, status=status, kind=kind, references=f"<references>{told}</references>" if told else "", event=event, severity=severity,
            category="Safety" if "Test" in event or "Hazard" in event else "Met", urgency=urgency, certainty=certainty, expires=expires,
            headline=escape(headline), area=escape(area), polygon=polygon))
    path.write_text('<?xml version="1.0" encoding="UTF-8"?>\n<alerts>\n' + "\n".join(text) + "\n</alerts>\n", encoding="utf-8")
    return Count(added=len(_ALERTS) - 2, updated=2)
