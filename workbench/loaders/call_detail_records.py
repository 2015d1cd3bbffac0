"""Call-detail records as carriers export them (CSV): who called or texted whom, when, how long, by which cell."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import Reading, column, number, place, stable_id, text
from workbench.loaders.kit.moments import any_time, held, stamp

_WHEN = stamp(column("time"), column("date"))
#: First letters of a direction that say the other party called.
_INCOMING = "(mt|inc|inbound|in$|term|received|from|eingehend|entrant)"


def telephone(expr: str) -> str:
    """SQL of a number as phones have it: + and the digits of its international form where that can be told, else its digits; null for a withheld one.

    Ten digits, or 1 and ten, are taken for North America (+1); 00 and 011 in front stand for +; what stands behind @ ; or / is left out.
    """
    bare = f"regexp_replace(trim({expr}), '^(tel:|sips?:)|[@;/].*$', '', 'g')"
    digits = f"regexp_replace({bare}, '[^0-9]', '', 'g')"
    return (f"(case when {digits} = '' or {digits} is null then null when starts_with({bare}, '+') then '+' || {digits} "
            f"when length({digits}) = 10 and regexp_matches({digits}, '^[2-9]') then '+1' || {digits} "
            f"when length({digits}) = 11 and starts_with({digits}, '1') then '+' || {digits} "
            f"when regexp_matches({digits}, '^011[1-9][0-9]{{6}}') then '+' || {digits}[4:] "
            f"when regexp_matches({digits}, '^00[1-9][0-9]{{6}}') then '+' || {digits}[3:] else {digits} end)")


def seconds(expr: str) -> Reading:
    """SQL of a duration in seconds: 75, 75 s, 1:15, 0:01:15, 1m 15s, 1h, PT1M15S."""
    t = f"lower(replace(trim({expr}), ' ', ''))"
    part = {u: f"coalesce(try_cast(regexp_extract({t}, '([0-9.]+){u}', 1) as double), 0)" for u in ("h", "m", "s")}
    units = "^(pt)?([0-9.]+h(ours?|rs?)?)?([0-9.]+m(in(utes?|s)?)?)?([0-9.]+s(ec(onds?|s)?)?)?$"
    return Reading.of(
        f"(case when regexp_full_match({t}, '[0-9]+([.][0-9]+)?') then try_cast({t} as double) "
        f"when regexp_full_match({t}, '[0-9]+:[0-9]{{1,2}}') then 60 * try_cast(split_part({t}, ':', 1) as double) "
        f"+ try_cast(split_part({t}, ':', 2) as double) "
        f"when regexp_full_match({t}, '[0-9]+:[0-9]{{1,2}}:[0-9]{{1,2}}([.][0-9]+)?') then 3600 * try_cast(split_part({t}, ':', 1) as double) "
        f"+ 60 * try_cast(split_part({t}, ':', 2) as double) + try_cast(split_part({t}, ':', 3) as double) "
        f"when regexp_matches({t}, '{units}') and regexp_matches({t}, '[0-9]') then 3600 * {part['h']} + 60 * {part['m']} + {part['s']} end)", text(expr))


def _kind(expr: str) -> str:
    word = f"lower({text(expr)})"
    return (f"(case when {word} is null then null when regexp_matches({word}, 'sms|mms|text|mess') then 'text' "
            f"when regexp_matches({word}, 'data|gprs|internet|packet|web') then 'data' "
            f"when regexp_matches({word}, 'voice|call|^mo|^mt|speech|tel|volte') then 'voice' else {word} end)")


_TARGET, _OTHER = telephone(column("target")), telephone(column("other"))
_INWARD = f"regexp_matches(lower(coalesce({text(column('direction'))}, '')), '^{_INCOMING}')"
_CALLER = held(f"coalesce({telephone(column('caller'))}, case when {_INWARD} then {_OTHER} else {_TARGET} end)")
_CALLED = held(f"coalesce({telephone(column('called'))}, case when {_INWARD} then {_TARGET} else {_OTHER} end)")
_SECONDS = seconds(column("seconds"))
_MINUTES = number(column("minutes"), 0, 100_000)

SOURCE = Source(
    name="call_detail_records",
    title="call-detail records of a carrier (CSV)",
    formats=("csv", "excel", "parquet", "ndjson"),
    delimiter="",
    encoding="",
    columns=(),
    optional=("id", "caller", "called", "target", "other", "direction", "time", "date", "seconds", "minutes", "kind", "cell", "azimuth", "address", "lat",
              "lon"),
    also={
        "id": ("record id", "record", "record number", "cdr id", "call id", "call_id", "call reference", "item"),
        "caller": ("calling number", "calling party", "calling party number", "calling nbr", "a number", "a party", "originating number", "from number",
                   "orig number", "msisdn a"),
        "called": ("called number", "called party", "called party number", "called nbr", "b number", "b party", "terminating number", "dialed number",
                   "dialled",
                   "dialed digits", "destination number", "to number", "term number", "msisdn b"),
        "target": ("target number", "subject number", "subscriber number", "msisdn", "mobile number"),
        "other": ("other party", "other number", "contact number", "party number", "remote number"),
        "direction": ("call direction", "inbound outbound", "in out", "mo mt"),
        "time": ("start time", "call time", "started at", "started_at", "start", "start date time", "call start", "datetime", "connection time", "seizure time",
                 "timestamp", "item time"),
        "date": ("call date", "start date", "connection date", "seizure date", "item date"),
        "seconds": ("duration", "duration seconds", "duration sec", "call duration", "elapsed time", "et", "duration (s)", "duration hh:mm:ss"),
        "minutes": ("duration minutes", "duration (min)", "duration min"),
        "kind": ("service", "service type", "call type", "record type", "usage type", "event type", "type"),
        "cell": ("cell site", "cell id", "cell", "tower", "tower id", "first cell", "first cell id", "originating cell", "cgi", "ecgi", "site id", "lac cid"),
        "azimuth": ("sector azimuth", "first azimuth", "bearing", "cell azimuth"),
        "address": ("tower address", "site address", "cell address", "first cell address"),
        "lat": ("latitude", "site latitude", "tower latitude", "cell latitude", "first latitude", "y"),
        "lon": ("longitude", "site longitude", "tower longitude", "cell longitude", "first longitude", "lng", "long", "x"),
    },
    parts=(
        Part("phone_calls", {
            "call_id": f"coalesce({text(column('id'))}, {stable_id(_CALLER, _CALLED, _WHEN, text(column('seconds')), text(column('kind')))})",
            "caller": _CALLER,
            "called": _CALLED,
            "started_at": any_time(_WHEN),
            "seconds": Reading.of(f"coalesce({_SECONDS}, 60 * {_MINUTES})", f"coalesce({text(column('seconds'))}, {text(column('minutes'))})"),
            "kind": _kind(column("kind")),
            "cell": text(column("cell")),
            "azimuth": number(column("azimuth"), 0, 360),
            "address": text(column("address")),
            **place(column("lon"), column("lat")),
        }, reject=(('"@caller" is null and "@called" is null', "no number of either party"),)),
    ),
    notes=(
        "Caller and called party may have a column each, or stand as target, other party and direction.",
        "Ten digits are taken for a North American number (+1); 00 and 011 in front stand for +; other national numbers keep their digits.",
        "A duration may be seconds, m:s, h:m:s, 1m 15s or PT1M15S; a column that says minutes is minutes.",
        "The position is that of the cell site, not of the telephone, which may be kilometres away.",
        "Wall times are of the time zone said with the load; many carriers export UTC: look at the letter that came with the file.",
        "Who held the telephone is not in the records.",
    ),
)
