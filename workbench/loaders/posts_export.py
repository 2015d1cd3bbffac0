"""Public posts out of an export that was made for a case: text kept, authors only as a keyed hash, with the case and its legal basis."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, keyed_hash, member, place, said, text, yes_no
from workbench.loaders.kit.moments import any_time

_USER = column("user")
_AUTHOR = f"coalesce({text(column('author_id'))}, {text(member(_USER, '$.id'))}, {text(member(_USER, '$.screen_name'))}, {text(column('author'))})"
_PLATFORM = f"coalesce({text(column('platform'))}, {said('platform')})"
_MEDIA = text(column("media"))
_FLAG = yes_no(column("media"))

SOURCE = Source(
    name="posts_export",
    title="public posts collected for a case (exported CSV or JSON)",
    formats=("csv", "ndjson", "json", "excel"),
    delimiter="",
    encoding="",
    columns=("id", "time"),
    optional=("author_id", "author", "user", "text", "platform", "media", "lat", "lon", "place"),
    also={
        "id": ("post id", "post_id", "id_str", "status id", "tweet id", "message id", "item id"),
        "time": ("created_at", "created at", "posted at", "posted_at", "timestamp", "date", "datetime", "published"),
        "author_id": ("user id", "user_id", "author id", "account id", "from id", "owner id"),
        "author": ("username", "user name", "screen name", "handle", "account", "from"),
        "text": ("content", "body", "message", "caption", "full_text", "post"),
        "platform": ("source", "network", "site", "service"),
        "media": ("has media", "attachments", "media url", "photo", "video", "media_urls"),
        "lat": ("latitude", "y"), "lon": ("longitude", "lng", "long", "x"), "place": ("location", "place name", "address"),
    },
    asks={"case_number": "the case the posts were collected for", "legal_basis": "what allowed collecting them, e.g. the number of a warrant"},
    takes={"platform": "where they were posted, if the file does not say"},
    parts=(
        Part("posts", {
            "post_id": f"concat_ws(' / ', {_PLATFORM}, {text(column('id'))}, {said('case_number')})",
            "platform": _PLATFORM,
            "author": keyed_hash(_AUTHOR),
            "posted_at": any_time(column("time")),
            "text": text(column("text"), ("",)),
            "media": f"(case when {_MEDIA} is null then null when {_FLAG} is not null then {_FLAG} else {_MEDIA} not in ('[]', '{{}}') end)",
            "case_number": said("case_number"),
            "legal_basis": said("legal_basis"),
            "address": text(column("place")),
            **place(column("lon"), column("lat")),
        }, reject=((f"{text(column('id'))} is null", "no post_id"),)),
    ),
    notes=(
        "Only files that were exported are read; nothing is ever fetched from a platform.",
        "The case number and the legal basis must be said with the load; without them nothing is loaded.",
        "The author's id (else name) becomes a hash with this lake's own key: the same author is the same hash here and says nothing elsewhere.",
        "The raw text of rejected posts has that hash too, and none of the columns that are not taken.",
        "The text is kept as posted; names that people write in it stay in it.",
        "A post collected for two cases is two rows, each with its own basis.",
    ),
)
