"""Public posts that were collected for a case of Fairwater, the made-up city; each record names the case and the order that allowed it."""

from workbench.loaders import Part, Source
from workbench.loaders.kit.expressions import column, keyed_hash, place, text, utc_time, yes_no

SOURCE = Source(
    name="sample_posts",
    title="Fairwater (made-up city): posts collected for a case",
    zone="America/Chicago",
    formats=("ndjson",),
    columns=("id", "user_id", "created_at", "platform", "text", "case", "basis"),
    optional=("photo", "lat", "lon"),
    parts=(
        Part("posts", {
            "post_id": text(column("id")),
            "platform": text(column("platform")),
            "author": keyed_hash(text(column("user_id"))),
            "posted_at": utc_time(column("created_at")),
            "text": text(column("text"), ("",)),
            "media": yes_no(column("photo")),
            "case_number": text(column("case")),
            "legal_basis": text(column("basis")),
            **place(column("lon"), column("lat")),
        }),
    ),
    notes=(
        "One JSON object a line; times are UTC.",
        "Authors are kept as a hash with this lake's own key; a post without a legal basis is rejected.",
    ),
)
