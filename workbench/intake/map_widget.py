"""The mapping of a strange export in a notebook: a line a canonical column to choose or write, the rows as they would load, the doubts, Save."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import schema
from workbench.errors import NotFound, WorkbenchError, did_you_mean
from workbench.intake.propose import Proposal, propose
from workbench.loaders.kit.mapped import PLACE
from workbench.views import tables

if TYPE_CHECKING:
    from workbench.agency import Agency

_NOTHING, _OWN = "(nothing)", "(as written)"
_WIDTHS = "minmax(96px, max-content) minmax(120px, 2fr) minmax(230px, 4fr) minmax(150px, 3fr)"
_COLOURS = {"sure": "#2e7d32", "likely": "#b26a00", "doubtful": "#c62828", "": "#888888"}


class MapWidget:
    """A proposal to look at and change; shown by Jupyter as an ipywidgets box (``box``).

    ``rows`` holds, for each canonical column, its drop-down ``choice`` and the text ``written``; changing one changes the proposal and the
    preview. ``name``, ``force`` and ``save`` write the mapping file; ``message`` says what came of it.
    """

    def __init__(self, proposal: Proposal, workspace: Path | None) -> None:
        import ipywidgets as w

        self.proposal, self.workspace = proposal, workspace
        self._quiet = False
        self.rows: dict[str, tuple[Any, Any, Any]] = {}
        shape = schema.table(proposal.table)
        names = [PLACE if c == "lon" else c for c in shape.columns if c not in ("lat", "place_basis", "geometry")]
        for column in names:
            self.rows[column] = self._row(column)
        self.name = w.Text(value=proposal.name, description="Name", layout=w.Layout(width="360px"))
        self.force = w.Checkbox(value=False, description="write over", indent=False, layout=w.Layout(width="110px"))
        self.save = w.Button(description="Save", button_style="primary", disabled=workspace is None, tooltip="write the mapping file")
        self.message, self.preview, self.doubts = w.HTML(), w.HTML(), w.HTML()
        self.save.on_click(self._save)
        reason = f" {html.escape(proposal.table_reason)}" if proposal.table_reason else ""
        head = w.HTML(
            f"<b>{html.escape(proposal.file.name)}</b> &rarr; {proposal.table} "
            f"<span style='opacity:.7'>({len(proposal.sample.columns)} columns, {proposal.sample.rows:,} rows looked at; "
            f"wall clocks of {html.escape(proposal.zone)}.{reason})</span>"
        )
        made = {c.column for c in proposal.columns}
        first = [c for c in names if c in made or c != PLACE and shape.columns[c].required]
        rest = [c for c in names if c not in first]
        more = w.Accordion([self._grid(rest)], selected_index=None)
        more.set_title(0, f"{len(rest)} columns that the export does not fill: {', '.join(rest)}")
        self.box = w.VBox(
            [
                head,
                self.doubts,
                self._grid(first),
                *([more] if rest else []),
                w.HTML("<b>The first rows as they would load</b>"),
                self.preview,
                w.HBox([self.name, self.force, self.save]),
                self.message,
            ]
        )
        self.show()

    def set(self, column: str, expression: str) -> MapWidget:
        """Write one line from code, as if it had been typed into the widget; "" leaves the column empty. Returns self.

        Raises:
            NotFound: the table has no such column. BadInput: the expression is not one; the message says why.
        """
        if column not in self.rows:
            raise NotFound(f"There is no line for {column!r} in {self.proposal.table}.{did_you_mean(column, self.rows)}")
        self.proposal.with_column(column, expression)
        self.rows[column][1].value = expression
        return self

    def _grid(self, columns: list[str]) -> Any:
        """A line a canonical column; all lines share their columns, so that nothing is pushed aside by a long reason."""
        import ipywidgets as w

        shape = schema.table(self.proposal.table)
        cells: list[Any] = []
        for c in columns:
            cells += [w.HTML(f"<span title='{html.escape(_help(shape, c), quote=True)}'>{c}</span>"), *self.rows[c]]
        return w.GridBox(cells, layout=w.Layout(grid_template_columns=_WIDTHS, grid_gap="2px 8px", align_items="center", width="auto"))

    def _row(self, column: str) -> tuple[Any, Any, Any]:
        import ipywidgets as w

        had = next((c for c in self.proposal.columns if c.column == column), None)
        choices = list(self.proposal.choices(column))
        raw = " + ".join(had.raw) if had is not None else ""
        fits = had is not None and self.proposal.choices(column).get(raw) == had.expression
        choice = w.Dropdown(options=[_NOTHING, *choices, _OWN], value=raw if fits else _OWN if had is not None else _NOTHING, layout=w.Layout(width="auto"))
        written = w.Text(value=had.expression if had is not None else "", continuous_update=False, layout=w.Layout(width="auto"))
        why = w.HTML(_why(had.confidence, had.reason) if had is not None else "")
        choice.observe(lambda change: self._chosen(column, str(change["new"])), names="value")
        written.observe(lambda change: self._written(column, str(change["new"])), names="value")
        return choice, written, why

    def _chosen(self, column: str, raw: str) -> None:
        if self._quiet or raw == _OWN:
            return
        self.rows[column][1].value = "" if raw == _NOTHING else self.proposal.choices(column)[raw]

    def _written(self, column: str, written: str) -> None:
        choice, _, why = self.rows[column]
        try:
            self.proposal = self.proposal.with_column(column, written)
        except WorkbenchError as error:
            why.value = _why("doubtful", str(error))
            return
        fitting = next((raw for raw, e in self.proposal.choices(column).items() if e == written), None)
        self._quiet = True
        choice.value = fitting or (_OWN if written.strip() else _NOTHING)
        self._quiet = False
        why.value = _why("sure", "set by hand") if written.strip() else ""
        self.show()

    def show(self) -> None:
        """Draw the rows as they would load, and the doubts, afresh."""
        marked = "".join(f"<li>{html.escape(d)}</li>" for d in self.proposal.doubts)
        colour = _COLOURS["doubtful"]
        self.doubts.value = (
            f"<div style='border-left:3px solid {colour};padding:2px 10px;margin:6px 0'>Doubts:<ol style='margin:0'>{marked}</ol></div>" if marked else ""
        )
        try:
            found = self.proposal.preview(6, sample=200)
        except WorkbenchError as error:
            self.preview.value = f"<p style='color:{colour}'>It cannot be loaded yet: {html.escape(str(error))}</p>"
            return
        filled = [c for c in found.rows.columns if c != "line" and found.rows[c].null_count() < found.rows.height]
        refused = "; ".join(f"{html.escape(r)} ({n:,})" for r, n in found.rejected.items())
        said = f"<p>{sum(found.rejected.values()):,} of {found.read:,} rejected{': ' + refused if refused else ''}.</p>"
        self.preview.value = tables.html(found.rows, rows=6, zone=self.proposal.zone, columns=filled) + said

    def _save(self, _button: Any) -> None:
        from dataclasses import replace

        if self.workspace is None:
            return
        self.proposal = replace(self.proposal, name=self.name.value.strip())
        try:
            self.proposal.source()
            file = self.proposal.save(self.workspace, force=self.force.value)
        except WorkbenchError as error:
            self.message.value = _why("doubtful", str(error))
            return
        self.message.value = (
            f"Wrote {html.escape(str(file.relative_to(self.workspace)))}. Load with: <code>workbench load {html.escape(self.proposal.name)} "
            f"{html.escape(self.proposal.file.name)}</code>"
        )

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.box._repr_mimebundle_(**options)


def map_file(
    path: str | Path, table: str | None = None, *, workspace: Path | None = None, agency: Agency | None = None, zone: str | None = None, name: str | None = None
) -> MapWidget:
    """The widget for a file: a proposal that can be changed line by line and saved into a workspace.

    Args: as ``propose``; ``workspace``: the folder that Save writes into; without it nothing can be saved.

    Raises:
        BadInput: the file cannot be read. CannotTell: no table fits.
    """
    return MapWidget(propose(path, table, agency=agency, zone=zone, name=name), workspace)


def _why(confidence: str, reason: str) -> str:
    colour = _COLOURS.get(confidence, _COLOURS[""])
    return (
        f"<div style='line-height:1.35;padding:3px 0'><span style='color:{colour};font-weight:600'>{html.escape(confidence)}</span>"
        f"<span style='opacity:.8'>: {html.escape(reason)}</span></div>"
    )


def _help(shape: schema.Table, column: str) -> str:
    return "position: degrees(...), planar(...), point(...)" if column == PLACE else shape.columns[column].help
