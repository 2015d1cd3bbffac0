"""i2 Analyst's Notebook Exchange (.anx): written with anxwritter, one card an evidence row; read back as far as things, links, cards and attributes go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from workbench.errors import BadInput
from workbench.models.links._inter_form import Bundle, Reader, clean, told
from workbench.models.links._inter_xml import Element, _typed, children, root, tag

_TYPES = {"person": "Person", "vehicle": "Vehicle", "phone": "Phone", "address": "Location", "incident": "Event"}
_BACK = {v: k for k, v in _TYPES.items()}
_STRENGTH, _AT = re.compile(r"(?:^|; )strength ([^;\s]+)"), re.compile(r"(?:^|; )at ([^;\s]+)")
_OWN = ("rows", "base_rate")


def anx(raw: Bundle) -> bytes:
    """A chart with an icon a thing and a line a link (line ends in texts become blanks); a link of a thing to itself, which a chart cannot hold, is left
    out and counted.

    Raises:
        BadInput: the writer of the format refuses the chart; its reason is given.
    """
    from anxwritter import ANXChart, Card, Settings, SummaryCfg
    from anxwritter.errors import ANXValidationError

    given = clean(raw)
    raw.notes[:] = given.notes
    about = given.about
    comments = "; ".join(f"{k}: {v}" for k, v in about.items())
    chart = ANXChart(settings=Settings(summary=SummaryCfg(title=about.get("title", "Links"), subject=about.get("case"), comments=comments,
                                                          keywords=about.get("caveat"))))
    types = _typed(given.nodes)
    for node in given.nodes:
        said = {k: types[k](v) for k, v in node.items() if k not in ("id", "label") and v is not None and v != ""}
        label = node["label"] if node.get("label") is not None else node["id"]
        chart.add_icon(id=node["id"], type=_TYPES.get(node.get("kind") or "", node.get("kind") or "Thing"), label=label, attributes=said)
    loops = 0
    for link in given.links:
        if link["source"] == link["target"]:
            loops += 1
            continue
        said = told(link)
        cards = []
        for row in link["evidence"]:
            when = row.get("at") or ""
            rest = [f"{k} {row[k]}" for k in ("at", "strength") if row.get(k) is not None]
            cards.append(Card(summary=row.get("text"), date=when[:10] or None, time=when[11:19] or None, description="; ".join(rest) or None,
                              source_ref=f"{row['table']}:{row.get('key') or ''}" if row.get("table") else None))
        chart.add_link(from_id=link["source"], to_id=link["target"], type=link["kind"] or "link", label=link["kind"] or "link", cards=cards,
                       attributes={f"link {k}": said[k] for k in _OWN if said[k] is not None})
    if loops:
        raw.notes.append(f"{loops} links tie a thing to itself and were left out: a chart cannot hold them.")
    try:
        text = chart.to_xml()
    except ANXValidationError as error:
        raise BadInput(f"No i2 chart can be made of these links: {error}") from None
    return text.encode()


def read_anx(data: bytes, reader: Reader) -> None:
    """Icons (and other entities) as things, links with their cards as evidence rows."""
    top = root(data, ".anx")
    if tag(top) != "Chart":
        raise BadInput(f"This is no .anx file: it begins with <{tag(top)}>.")
    ids: dict[str, str] = {}
    links: list[tuple[Element, Element]] = []
    for item in [e for e in top.iter() if tag(e) == "ChartItem"]:
        said = _attributes(item)
        entity = next((e for e in item.iter() if tag(e) == "Entity"), None)
        link = next(iter(children(item, "Link")), None)
        if link is not None:
            links.append((item, link))
        elif entity is not None:
            id = str(entity.get("Identity") or entity.get("EntityId") or "")
            kind = next((e.get("Type") for e in entity.iter() if tag(e).endswith("Style") and e.get("Type")), None)
            ids |= {name: id for name in (entity.get("EntityId"), item.get("Id")) if name}
            reader.thing(id, {"label": item.get("Label") or id, "kind": _BACK.get(kind or "", kind), **said})
    for block in [e for e in top.iter() if tag(e) == "Summary"]:
        for fact in [e for e in block.iter() if tag(e) == "Field"]:
            reader.about[fact.get("Type", "").removeprefix("SummaryField").lower()] = fact.get("Field", "")
    for item, link in links:
        ends = [ids.get(link.get(f"End{n}Id") or "") or ids.get(link.get(f"End{n}Reference") or "") for n in (1, 2)]
        if ends[0] is None or ends[1] is None:
            raise BadInput(f"A link of this chart ({item.get('Label') or item.get('Id')}) ends at a thing that is not in it.")
        style = next(iter(children(link, "LinkStyle")), None)
        kind = (None if style is None else style.get("Type")) or item.get("Label")
        reader.link(ends[0], ends[1], {"kind": kind, "evidence": [_statement(c) for c in link.iter() if tag(c) == "Card"],
                                       "description": item.get("Description"), "date": _moment(item)}, item.get("Id", ""))


def _attributes(item: Element) -> dict[str, Any]:
    return {a.get("AttributeClass", ""): a.get("Value") for a in item.iter() if tag(a) == "Attribute"}


def _moment(element: Element) -> str | None:
    """The time of a card or line: in UTC where the text of a card of ours says so, else as a wall time."""
    return element.get("DateTime") if element.get("DateSet") == "true" else None


def _statement(card: Element) -> Mapping[str, Any]:
    described, source = card.get("Text", card.get("Description", "")), card.get("SourceReference", "")
    at, strength = _AT.search(described), _STRENGTH.search(described)
    table, colon, key = source.partition(":")
    return {"table": table if colon else "imported", "key": key if colon else source, "at": at[1] if at else _moment(card), "text": card.get("Summary"),
            "strength": float(strength[1]) if strength else None}
