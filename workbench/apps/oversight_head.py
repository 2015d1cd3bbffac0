"""The head of the oversight page: is the chain whole, how much was asked and refused, and what comes up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import panel_material_ui as pmui
import polars as pl

from workbench.apps import page
from workbench.apps.page import careful, text
from workbench.casebook import place
from workbench.errors import WorkbenchError
from workbench.oversight import certificate, entries, holds, intelligence, purge, retention, review, roots
from workbench.session import Workbench

#: Days ahead in which the end of a hold and the review of an intelligence record are told.
AHEAD = 30
CSS = (Path(__file__).parent / "oversight.css").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Tile:
    """One figure with what it counts, a line below it, and whether it asks for a look ("warn"), is bad ("bad"), good ("good") or neither ("")."""

    label: str
    figure: str
    below: str
    mood: str = ""

    def markup(self) -> str:
        """The tile, escaped."""
        return (f'<div class="tile {self.mood}"><p class=eyebrow>{text(self.label)}</p><p class=figure>{text(self.figure)}</p>'
                f"<p class=small>{text(self.below)}</p></div>")


def asked(workbench: Workbench, now: datetime) -> list[Tile]:
    """Accesses, refusals, break-glass accesses and open items."""
    said = entries.figures(workbench.audit, now, workbench.agency.tz)
    waiting = review.queue(workbench.audit)
    glass = waiting.filter(pl.col("kind") == "break-glass").height
    oldest = waiting["made_at"].min()
    since = f"oldest since {page.local(datetime.fromisoformat(str(oldest)), workbench, '%-d %b %Y')}" if oldest else "nothing waits"
    return [
        Tile("Accesses today", f"{said.today:,}", f"{said.week:,} in 7 days, by {said.people:,} {'person' if said.people == 1 else 'people'}"),
        Tile("Refused today", f"{said.refused_today:,}", f"{said.refused_week:,} in 7 days"),
        Tile("Break-glass, 7 days", f"{said.glass_week:,}", f"entries, {said.glass_today:,} of them today; {glass:,} open to review", "warn" if glass else ""),
        Tile("Waiting for review", f"{waiting.height:,}", since, "warn" if waiting.height else "good"),
    ]


def kept(workbench: Workbench, now: datetime) -> list[Tile]:
    """The last purge, what goes tomorrow, holds that end and intelligence reviews that are due. Asks the lake."""
    return [_last_purge(workbench), _tomorrow(workbench, now), _holds(workbench, now), _reviews(workbench, now)]


def _last_purge(workbench: Workbench) -> Tile:
    done = purge.certificates(workbench.path)
    names = sorted((workbench.path / certificate.FOLDER).glob("*.json"))
    if done.is_empty():
        return Tile("Last purge", "none" if not names else f"{len(names)}", "No certificate yet." if not names else "certificates, of no row")
    last = done.filter(pl.col("certificate_id") == done["certificate_id"][-1])
    good, _ = certificate.verify(workbench.path, str(last["certificate_id"][0]))
    rows = int(last["rows"].sum())
    return Tile("Last purge", page.local(last["at"][0], workbench, "%-d %b %Y"),
                f"{rows:,} {'row' if rows == 1 else 'rows'}; certificate {last['certificate_id'][0]}" + ("" if good else " DOES NOT VERIFY"),
                "" if good else "bad")


def _tomorrow(workbench: Workbench, now: datetime) -> Tile:
    limits = retention.policy(workbench.agency).table_limits()
    if not limits:
        return Tile("Gone tomorrow", "I cannot tell", "No limit is set: [retention] in agency.toml is empty.", "warn")
    due = retention.due(workbench.path, now, days=1.0, sample=0)
    goes, held = int(due["goes"].sum()), int(due["held"].sum())
    return Tile("Gone tomorrow", f"{goes:,} {'row' if goes == 1 else 'rows'}", f"if the purge runs; {held:,} held back by holds" if goes or held
                else f"Nothing is beyond its limit ({len(limits)} set).")


def _holds(workbench: Workbench, now: datetime) -> Tile:
    if not place.there(workbench.path):
        return Tile("Holds", "0", "There is no casebook yet.")
    force = holds.listed(workbench.path, now).filter(pl.col("state") == "in force")
    soon = force.filter(pl.col("ends_at") <= now + timedelta(days=AHEAD)).sort("ends_at")
    if soon.is_empty():
        return Tile("Holds in force", f"{force.height:,}", f"None ends within {AHEAD} days.")
    first = soon.row(0, named=True)
    return Tile(f"Holds ending in {AHEAD} days", f"{soon.height:,} of {force.height:,}", f"first: {first['matter']} on "
                f"{page.local(first['ends_at'], workbench, '%-d %b %Y')}", "warn")


def _reviews(workbench: Workbench, now: datetime) -> Tile:
    file = workbench.path / "intelligence.db"
    if not file.exists():
        return Tile("Intelligence reviews", "none kept", "No intelligence record is kept here.")
    due = intelligence.Intelligence(file).due(days=AHEAD, now=now)
    late = due.filter(pl.col("review_by") < now.date()).height
    return Tile("Intelligence reviews", f"{due.height:,}", f"due within {AHEAD} days; {late:,} late", "warn" if due.height else "")


def root_sentence(workbench: Workbench) -> tuple[str, bool]:
    """The last signed root, for people: number, date, fingerprint; or that there is none. And whether there is one."""
    held = roots.held_roots(workbench.audit)
    if not held:
        return ("No root is signed yet, so I cannot tell whether somebody who can write the file computed the whole chain anew. The first entry of the next "
                "day signs one; workbench audit root does it at once.", False)
    last = held[-1]
    made = page.local(datetime.fromisoformat(last["made_at"]), workbench, "%-d %B %Y, %H:%M")
    return (f"Root {last['root']}, signed {made}, covers the entries up to {last['last_seq']:,}. Key {roots.fingerprint(last['key'])}; last hash "
            f"{last['last_hash'][:16]}.", True)


class Head:
    """The card above the tabs. ``check`` runs beside the page and says what it found."""

    def __init__(self, workbench: Workbench) -> None:
        self.workbench = workbench
        self.message = page.Message()
        self.verdict = page.html_pane("<p class=sentence>Checking the chain.</p>", stylesheets=[CSS])
        self.bar = pmui.LinearProgress(active=True, variant="indeterminate", color="primary", sizing_mode="stretch_width", margin=(4, 0, 0, 0))
        self.root = page.html_pane("", stylesheets=[CSS])
        self.again = pmui.Button(label="Verify again", variant="outlined", size="small", margin=0)
        self.again.on_click(lambda _: self.check())
        self.use = page.html_pane(_empty(4), stylesheets=[CSS])
        self.held = page.html_pane(_empty(4), stylesheets=[CSS])
        top = page.grid(page.column(self.verdict, self.bar, gap=4), self.again, wide="minmax(0, 1fr) auto", narrow="minmax(0, 1fr) auto", align="start")
        self.view = page.card("", top, self.root, self.message.pane, self.use, self.held)

    def figures(self) -> None:
        """Count anew what was asked and what waits."""
        with careful(self.message):
            self.use.object = _tiles(asked(self.workbench, datetime.now(UTC)))

    def upkeep(self) -> None:
        """Look anew at what was purged, what is due and what ends."""
        with careful(self.message):
            self.held.object = _tiles(kept(self.workbench, datetime.now(UTC)))

    def check(self) -> None:
        """Verify the chain, now; written to the audit."""
        self.bar.visible, self.again.disabled = True, True
        self.verdict.object = "<p class=sentence>Checking the chain, entry by entry.</p>"
        try:
            with self.workbench.deed("audit verify", "entries") as outcome:
                good, sentence = self.workbench.audit.verify()
                outcome["fit"] = good
            now = page.local(datetime.now(UTC), self.workbench, "%H:%M:%S")
            sentence = sentence.partition(". ")[0].rstrip(".") + "." if good else sentence  # its roots are told below
            mark, said = ("good", "The audit is whole") if good else ("bad", "The audit does not fit")
            self.verdict.object = f'<p class=sentence><span class="mark {mark}">{said}</span> as of {now}. {text(sentence)}</p>'
            told, there = root_sentence(self.workbench)
            note = " <b>Note it elsewhere</b>, where nobody who can write this workspace can change it." if there else ""
            self.root.object = f"<p class=small>{text(told)}{note}</p>"
        except WorkbenchError as error:
            self.verdict.object = f'<p class=sentence><span class="mark bad">I cannot tell</span> whether the audit is whole. {text(str(error))}</p>'
        finally:
            self.bar.visible, self.again.disabled = False, False


def _tiles(tiles: list[Tile]) -> str:
    return f"<div class=tiles>{''.join(t.markup() for t in tiles)}</div>"


def _empty(number: int) -> str:
    return f"<div class=tiles>{'<div class=tile><p class=eyebrow>&nbsp;</p><p class=figure>&nbsp;</p><p class=small>&nbsp;</p></div>' * number}</div>"


__all__ = ["AHEAD", "CSS", "Head", "Tile", "asked", "kept", "root_sentence"]
