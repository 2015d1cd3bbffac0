"""GraphML, GEXF and KML: written by hand with every character escaped, read by defusedxml (no document types, no entities, nothing fetched)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from workbench.errors import BadInput
from workbench.models.links._inter_form import LINK, Bundle, Reader, clean, left_out, placed, told

#: An element as defusedxml gives it (of the standard library, which is not imported here).
Element: TypeAlias = Any
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})
_GRAPHML = "http://graphml.graphdrawing.org/xmlns"
_GEXF = "http://gexf.net/1.3"
_LINK_TYPES = {"rows": int, "strength": float}


def escaped(value: Any) -> str:
    """A value as it may stand in an attribute or between tags."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value).translate(_ESCAPED)


def root(data: bytes, what: str) -> Element:
    """The root element of a document.

    Raises:
        BadInput: it is no XML, or brings a document type or entities with it.
    """
    from defusedxml import DefusedXmlException, ElementTree

    try:
        found: Element = ElementTree.fromstring(data, forbid_dtd=True)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, DefusedXmlException):
            raise BadInput(f"This {what} file brings a document type or entities with it ({type(error).__name__}); such files are not read.") from None
        raise BadInput(f"This is no {what} file that can be read: {error}.") from None
    return found


def tag(element: Element) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def children(element: Element, name: str) -> list[Element]:
    """Elements of a name right below."""
    return [c for c in element if tag(c) == name]


def _typed(nodes: Iterable[Mapping[str, Any]]) -> dict[str, type]:
    """Attributes of things with the one type that holds all their values."""
    out: dict[str, type] = {}
    for node in nodes:
        for name, value in node.items():
            if name == "id" or value is None:
                continue
            have, new = out.get(name), type(value)
            if new is int and abs(value) >= 2**63:
                new = str
            out[name] = new if have in (None, new) else float if {have, new} == {int, float} else str
    return {k: v if v in (int, float, bool) else str for k, v in out.items()}


def _columns(given: Bundle) -> tuple[list[tuple[str, type]], list[tuple[str, type]]]:
    return list(_typed(given.nodes).items()), [(name, _LINK_TYPES.get(name, str)) for name in LINK]


def graphml(raw: Bundle) -> bytes:
    """GraphML 1.0; several links between two things are several edges."""
    given = clean(raw)
    raw.notes[:] = given.notes
    kinds = {int: "long", float: "double", bool: "boolean", str: "string"}
    of_nodes, of_links = _columns(given)
    out = [_HEAD, f'<graphml xmlns="{_GRAPHML}">\n']
    for what, columns, letter in (("graph", [(k, str) for k in given.about], "g"), ("node", of_nodes, "n"), ("edge", of_links, "e")):
        out += [f'<key id="{letter}{i}" for="{what}" attr.name="{escaped(name)}" attr.type="{kinds[kind]}"/>\n' for i, (name, kind) in enumerate(columns)]
    out.append('<graph id="links" edgedefault="undirected">\n')
    out += [f'<data key="g{i}">{escaped(v)}</data>\n' for i, v in enumerate(given.about.values())]
    for node in given.nodes:
        data = "".join(f'<data key="n{i}">{escaped(node[name])}</data>' for i, (name, _) in enumerate(of_nodes) if node.get(name) is not None)
        out.append(f'<node id="{escaped(node["id"])}">{data}</node>\n')
    for k, link in enumerate(given.links):
        said = told(link)
        data = "".join(f'<data key="e{i}">{escaped(said[name])}</data>' for i, (name, _) in enumerate(of_links) if said[name] is not None)
        out.append(f'<edge id="link{k}" source="{escaped(link["source"])}" target="{escaped(link["target"])}">{data}</edge>\n')
    return "".join([*out, "</graph>\n</graphml>\n"]).encode()


def _as(kind: str, text: str) -> Any:
    """A text of a file as its declared type; as it stands where it is none of it."""
    try:
        if kind in ("int", "long", "integer", "short", "byte"):
            return int(text)
        if kind in ("double", "float"):
            return float(text)
    except ValueError:
        return text
    return text.strip().lower() in ("true", "1") if kind == "boolean" else text


def read_graphml(data: bytes, reader: Reader) -> None:
    """Any GraphML: attributes by name, defaults too; nested graphs are read flat, hyperedges counted."""
    top = root(data, "GraphML")
    if tag(top) != "graphml":
        raise BadInput(f"This is no GraphML file: it begins with <{tag(top)}>.")
    keys: dict[str, tuple[str, str]] = {}
    defaults: dict[str, dict[str, Any]] = {}
    for key in children(top, "key"):
        keys[key.get("id", "")] = (str(key.get("attr.name") or key.get("id") or ""), key.get("attr.type", "string"))
        default = next((c.text or "" for c in children(key, "default")), None)
        if default is not None:
            defaults.setdefault(key.get("for", "all"), {})[keys[key.get("id", "")][0]] = _as(keys[key.get("id", "")][1], default)

    def said(element: Element, what: str) -> dict[str, Any]:
        out = {**defaults.get("all", {}), **defaults.get(what, {})}
        for datum in children(element, "data"):
            name, kind = keys.get(datum.get("key", ""), (datum.get("key", ""), "string"))
            out[name] = _as(kind, "".join(datum.itertext()))
        return out

    hyper = 0
    for element in top.iter():
        name = tag(element)
        if name == "graph":
            reader.about |= {k: str(v) for k, v in said(element, "graph").items()}
        elif name == "node":
            reader.thing(_id(element, "id", "node"), said(element, "node"))
        elif name == "edge":
            reader.link(_id(element, "source", "edge"), _id(element, "target", "edge"), said(element, "edge"), element.get("id", ""))
        hyper += name == "hyperedge"
    if hyper:
        reader.notes.append(f"{hyper} hyperedges tie more than two things and were left out.")


def _id(element: Element, name: str, what: str) -> str:
    value = element.get(name)
    if value is None:
        raise BadInput(f"A {what} of this file has no {name}; it cannot be placed in the graph.")
    return value


def gexf(raw: Bundle) -> bytes:
    """GEXF 1.3, as Gephi opens it."""
    given = clean(raw)
    raw.notes[:] = given.notes
    kinds = {int: "long", float: "double", bool: "boolean", str: "string"}
    of_nodes, of_links = _columns(given)
    about = "; ".join(f"{k}: {v}" for k, v in given.about.items())
    out = [_HEAD, f'<gexf xmlns="{_GEXF}" version="1.3">\n<meta><creator>workbench</creator><description>{escaped(about)}</description></meta>\n',
           '<graph defaultedgetype="undirected">\n']
    for what, columns in (("node", of_nodes), ("edge", of_links)):
        rows = "".join(f'<attribute id="{i}" title="{escaped(name)}" type="{kinds[kind]}"/>\n' for i, (name, kind) in enumerate(columns))
        out.append(f'<attributes class="{what}">\n{rows}</attributes>\n')
    out.append("<nodes>\n")
    for node in given.nodes:
        out.append(f'<node id="{escaped(node["id"])}" label="{escaped(node["label"] if node.get("label") is not None else node["id"])}">'
                   + _values(node, of_nodes) + "</node>\n")
    out.append("</nodes>\n<edges>\n")
    for k, link in enumerate(given.links):
        said = told(link)
        weight = f' weight="{said["rows"]}"'
        out.append(f'<edge id="link{k}" source="{escaped(link["source"])}" target="{escaped(link["target"])}" label="{escaped(link["kind"] or "")}"{weight}>'
                   + _values(said, of_links) + "</edge>\n")
    return "".join([*out, "</edges>\n</graph>\n</gexf>\n"]).encode()


def _values(row: Mapping[str, Any], columns: list[tuple[str, type]]) -> str:
    found = "".join(f'<attvalue for="{i}" value="{escaped(row[name])}"/>' for i, (name, _) in enumerate(columns) if row.get(name) is not None)
    return f"<attvalues>{found}</attvalues>" if found else ""


def read_gexf(data: bytes, reader: Reader) -> None:
    """GEXF 1.1 to 1.3; what changes over time in it is read as it stands in the first place."""
    top = root(data, "GEXF")
    if tag(top) != "gexf":
        raise BadInput(f"This is no GEXF file: it begins with <{tag(top)}>.")
    names: dict[str, dict[str, tuple[str, str]]] = {"node": {}, "edge": {}}
    for block in [e for e in top.iter() if tag(e) == "attributes"]:
        for column in children(block, "attribute"):
            of = names.setdefault(block.get("class", "node"), {})
            of[column.get("id", "")] = (str(column.get("title") or column.get("id") or ""), column.get("type", "string"))

    def said(element: Element, what: str) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for values in children(element, "attvalues"):
            for value in children(values, "attvalue"):
                name, kind = names[what].get(value.get("for") or value.get("id") or "", (value.get("for") or "", "string"))
                out.setdefault(name, _as(kind, value.get("value", "")))
        return out

    for element in top.iter():
        if tag(element) == "description":
            reader.about["description"] = "".join(element.itertext())
        elif tag(element) == "node":
            own = said(element, "node")
            label = element.get("label")
            if label is not None and "label" not in own and (label != element.get("id") or not own):
                own["label"] = label
            reader.thing(_id(element, "id", "node"), own)
        elif tag(element) == "edge":
            own = said(element, "edge")
            extra = {k: element.get(k) for k in ("label", "weight", "kind", "start") if element.get(k) and not own}
            reader.link(_id(element, "source", "edge"), _id(element, "target", "edge"), {**extra, **own}, element.get("id", ""))


def kml(raw: Bundle) -> bytes:
    """KML 2.2: a point for each thing with a place, a line for each link between two such; the rest is counted."""
    given = clean(raw)
    raw.notes[:] = given.notes
    spots = {n["id"]: at for n in given.nodes if (at := placed(n))}
    drawn = [link for link in given.links if link["source"] in spots and link["target"] in spots]
    note = left_out(given, spots, len(drawn), "KML")
    if note:
        raw.notes.append(note)
    about = "; ".join([*(f"{k}: {v}" for k, v in given.about.items()), *([note] if note else [])])
    out = [_HEAD, f'<kml xmlns="http://www.opengis.net/kml/2.2">\n<Document><name>{escaped(given.about.get("title", "Links"))}</name>'
           f"<description>{escaped(about)}</description>\n<Folder><name>Things</name>\n"]
    for node in given.nodes:
        if node["id"] in spots:
            lon, lat = spots[node["id"]]
            name = node["label"] if node.get("label") is not None else node["id"]
            out.append(f"<Placemark><name>{escaped(name)}</name>{_data(node)}<Point><coordinates>{lon!r},{lat!r}</coordinates></Point></Placemark>\n")
    out.append("</Folder>\n<Folder><name>Links</name>\n")
    for link in drawn:
        said = told(link)
        span = "".join(f"<{w}>{escaped(said[k])}</{w}>" for w, k in (("begin", "first_at"), ("end", "last_at")) if said[k])
        ends = " ".join(f"{spots[link[e]][0]!r},{spots[link[e]][1]!r}" for e in ("source", "target"))
        out.append(f"<Placemark><name>{escaped(link['kind'] or 'link')}</name>" + (f"<TimeSpan>{span}</TimeSpan>" if span else "")
                   + _data({"source": link["source"], "target": link["target"], **said})
                   + f"<LineString><coordinates>{ends}</coordinates></LineString></Placemark>\n")
    return "".join([*out, "</Folder>\n</Document>\n</kml>\n"]).encode()


def _data(row: Mapping[str, Any]) -> str:
    rows = "".join(f'<Data name="{escaped(k)}"><value>{escaped(v)}</value></Data>' for k, v in row.items() if v is not None)
    return f"<ExtendedData>{rows}</ExtendedData>"
