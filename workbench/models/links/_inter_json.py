"""Cytoscape JSON, GeoJSON and FollowTheMoney JSON lines."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from workbench.errors import BadInput
from workbench.models.links._inter_form import NODES, Bundle, Reader, left_out, number, placed, told

#: Schemata of FollowTheMoney 4: it has none for a telephone, so that is an Asset, and the number stands at the persons tied to it too.
_SCHEMATA = {"person": "Person", "vehicle": "Vehicle", "address": "Address", "incident": "Event", "phone": "Asset"}
_BACK = {**{v.lower(): k for k, v in _SCHEMATA.items()}, "legalentity": "organisation", "company": "organisation", "organization": "organisation"}
_LABELLED = {"Vehicle": "registrationNumber", "Address": "full"}
_ENDS = (("subject", "object"), ("caller", "receiver"), ("owner", "asset"), ("person", "relative"), ("person", "associate"), ("director", "organization"),
         ("member", "organization"), ("employee", "employer"), ("holder", "asset"), ("payer", "beneficiary"), ("involved", "event"))
_FIT = re.compile(r"[0-9a-zA-Z]([0-9a-zA-Z.-]{0,120}[0-9a-zA-Z])?")


def parsed(data: bytes | str, what: str) -> Any:
    """JSON of a file.

    Raises:
        BadInput: it is none.
    """
    try:
        return json.loads(data.decode("utf-8-sig") if isinstance(data, bytes) else data)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"This is no {what} file that can be read: {error}.") from None


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def cytoscape(given: Bundle) -> bytes:
    """Cytoscape.js JSON: elements with data; the evidence of a link is a list, not a text."""
    nodes = [{"data": {k: v for k, v in n.items() if v is not None}} for n in given.nodes]
    edges = []
    for k, link in enumerate(given.links):
        said = {n: v for n, v in told(link).items() if v is not None and n != "evidence"}
        rows = [{n: v for n, v in e.items() if v is not None} for e in link["evidence"]]
        edges.append({"data": {"id": f"link{k}", "source": link["source"], "target": link["target"], **said, "evidence": rows}})
    whole = {"format_version": "1.0", "generated_by": "workbench", "target_cytoscapejs_version": "~2.1", "data": given.about,
             "elements": {"nodes": nodes, "edges": edges}}
    return _text(whole).encode()


def read_cytoscape(data: bytes, reader: Reader) -> None:
    """Cytoscape.js or Cytoscape desktop: elements as one list or by group."""
    whole = parsed(data, "Cytoscape JSON")
    elements = whole.get("elements") if isinstance(whole, dict) else whole
    grouped = [*(elements.get("nodes") or []), *(elements.get("edges") or [])] if isinstance(elements, dict) else None
    items = grouped if grouped is not None else elements if isinstance(elements, list) else []
    if not isinstance(elements, (dict, list)) or not all(isinstance(i, dict) and isinstance(i.get("data"), dict) for i in items):
        raise BadInput("This is no Cytoscape JSON: it has no elements, each with its data.")
    if isinstance(whole, dict) and isinstance(whole.get("data"), dict):
        reader.about |= {str(k): str(v) for k, v in whole["data"].items()}
    for item in items:
        said = item["data"]
        if "source" in said and "target" in said:
            reader.link(str(said["source"]), str(said["target"]), {k: v for k, v in said.items() if k not in ("source", "target")}, str(said.get("id", "")))
        elif "id" in said:
            reader.thing(str(said["id"]), {k: v for k, v in said.items() if k != "id"})
        else:
            raise BadInput("An element of this Cytoscape JSON has neither an id nor source and target.")


def geojson(given: Bundle) -> bytes:
    """GeoJSON (RFC 7946): points of things, lines of links whose ends both have a place; the rest is counted."""
    spots = {n["id"]: at for n in given.nodes if (at := placed(n))}
    features: list[dict[str, Any]] = [
        {"type": "Feature", "id": n["id"], "geometry": {"type": "Point", "coordinates": list(spots[n["id"]])},
         "properties": {k: v for k, v in n.items() if k not in ("lon", "lat") and v is not None}} for n in given.nodes if n["id"] in spots]
    drawn = [link for link in given.links if link["source"] in spots and link["target"] in spots]
    for link in drawn:
        said = {k: v for k, v in told(link).items() if v is not None}
        said["evidence"] = [{k: v for k, v in e.items() if v is not None} for e in link["evidence"]]
        features.append({"type": "Feature", "geometry": {"type": "LineString", "coordinates": [list(spots[link["source"]]), list(spots[link["target"]])]},
                         "properties": {"source": link["source"], "target": link["target"], **said}})
    note = left_out(given, spots, len(drawn), "GeoJSON")
    if note:
        given.notes.append(note)
    about = {**given.about, **({"left_out": note} if note else {})}
    return _text({"type": "FeatureCollection", "about": about, "features": features}).encode()


def ftm(given: Bundle) -> bytes:
    """FollowTheMoney entities, one a line: things, and an UnknownLink for every evidence row; times to the second."""
    ids = {n["id"]: _fit(n["id"]) for n in given.nodes}
    kinds = {n["id"]: n.get("kind") for n in given.nodes}
    labels = {n["id"]: n.get("label") for n in given.nodes}
    phones: dict[str, list[str]] = {}
    for link in given.links:
        for a, b in ((link["source"], link["target"]), (link["target"], link["source"])):
            if kinds.get(a) == "person" and kinds.get(b) == "phone" and labels.get(b):
                digits = re.sub(r"[^0-9]", "", str(labels[b]))
                if str(labels[b]).startswith("+") or 11 <= len(digits) <= 15:  # FollowTheMoney takes international numbers only
                    phones.setdefault(a, []).append(f"+{digits}")
    about = [f"{k}: {v}" for k, v in given.about.items()]
    lines = [_entity("workbench-about", "Note", {"name": ["About this file"], "description": about})]
    for node in given.nodes:
        form = _SCHEMATA.get(node.get("kind") or "", "Asset")
        label = node["label"] if node.get("label") is not None else None
        said: dict[str, list[Any]] = {"name": [label], "keywords": [f"record={node['id']}", f"kind={node.get('kind') or ''}"]}
        if form in _LABELLED:
            said[_LABELLED[form]] = [label]
        at = placed(node)
        if at and form == "Address":
            said |= {"longitude": [repr(at[0])], "latitude": [repr(at[1])]}
        elif at:
            said["keywords"].append(f"at={at[0]!r},{at[1]!r}")
        said["phone"] = list(dict.fromkeys(phones.get(node["id"], []))) if form == "Person" else []
        said["description"] = [f"{k}: {v}" for k, v in node.items() if k not in NODES and v is not None]
        lines.append(_entity(ids[node["id"]], form, said))
    n = 0
    for link in given.links:
        for row in link["evidence"]:
            extra = [f"{k}: {v}" for k, v in row.items() if k not in ("table", "key", "at", "text") and v is not None]
            lines.append(_entity(f"workbench-link-{n}", "UnknownLink", {
                "subject": [ids[link["source"]]], "object": [ids[link["target"]]], "role": [link["kind"]], "date": [(row.get("at") or "")[:19]],
                "description": [row.get("text")], "recordId": [f"{row['table']}:{row.get('key') or ''}"] if row.get("table") else [],
                "summary": extra, "status": ["lead, not a match"]}))
            n += 1
    return "".join(line + "\n" for line in lines).encode()


def _fit(id: str) -> str:
    """An id as FollowTheMoney takes it: letters, digits, points and dashes; a hash where that would lose something."""
    plain = id.replace(":", "-", 1)
    return plain if _FIT.fullmatch(plain) and not plain.startswith("workbench-") else f"id-{hashlib.sha1(id.encode(), usedforsecurity=False).hexdigest()}"


def _entity(id: str, form: str, said: Mapping[str, list[Any]]) -> str:
    properties = {k: kept for k, values in said.items() if (kept := [str(v) for v in values if v is not None and v != ""])}
    return _text({"id": id, "schema": form, "properties": properties})


def read_ftm(data: bytes, reader: Reader) -> None:
    """Entities: those that tie two others are links, every other one is a thing; an Interval of an unknown kind with two ends is a link too."""
    rows = [parsed(line, "FollowTheMoney") for line in data.decode("utf-8-sig", errors="strict").split("\n") if line.strip()]
    if not rows or not all(isinstance(r, dict) and "id" in r and "schema" in r and isinstance(r.get("properties"), dict) for r in rows):
        raise BadInput("This is no FollowTheMoney file: each line is an entity with id, schema and properties.")
    names: dict[str, str] = {}
    ties = []
    for row in rows:
        said = {k: v if isinstance(v, list) else [v] for k, v in row["properties"].items()}
        ends = next(((said[a][0], said[b][0]) for a, b in _ENDS if said.get(a) and said.get(b)), None)
        if row["id"] == "workbench-about":
            reader.about |= dict(_pair(v, ": ") for v in said.get("description", []))
        elif ends:
            ties.append((str(row["id"]), str(row["schema"]), ends, said))
        else:
            names[str(row["id"])] = _thing(row, said, reader)
    for key, form, (a, b), said in ties:
        table, _, record = str(next(iter(said.get("recordId", [])), "")).partition(":")
        date = str(next(iter(said.get("date", said.get("startDate", []))), ""))
        evidence: dict[str, Any] = {"at": f"{date}+00:00" if "T" in date and "+" not in date else (f"{date}T00:00:00+00:00" if len(date) == 10 else None),
                                    "text": next(iter(said.get("description", [])), None)}
        evidence |= {"table": table, "key": record} if table else {"table": "imported", "key": key}
        for value in said.get("summary", []):
            name, rest = _pair(str(value), ": ")
            if name == "strength":
                evidence["strength"] = number(rest)
            elif name == "base_rate":
                evidence["base_rate"] = rest
        role = next(iter(said.get("role", [])), None if form == "UnknownLink" else form)
        reader.link(names.get(str(a), str(a)), names.get(str(b), str(b)), {"kind": role, "evidence": [evidence]}, key)


def _thing(row: Mapping[str, Any], said: Mapping[str, list[Any]], reader: Reader) -> str:
    """Note a thing; gives the id it goes by here."""
    marks = dict(_pair(str(k), "=") for k in said.get("keywords", []) if "=" in str(k))
    form = str(row["schema"])
    id = marks.get("record", str(row["id"]))
    lon, lat = next(iter(said.get("longitude", [])), None), next(iter(said.get("latitude", [])), None)
    if "at" in marks:
        lon, _, lat = marks["at"].partition(",")
    kind = marks.get("kind", _BACK.get(form.lower(), form.lower())) or None
    label = next((said[k][0] for k in ("name", "full", "registrationNumber") if said.get(k)), None)
    reader.thing(id, {"kind": kind, "label": label, "lon": lon, "lat": lat})
    return id


def _pair(text: str, mark: str) -> tuple[str, str]:
    name, _, rest = text.partition(mark)
    return name, rest
