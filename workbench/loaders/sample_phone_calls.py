"""Call-detail records of Fairwater, the made-up city."""

from workbench.loaders import Part, Source
from workbench.loaders.call_detail_records import seconds, telephone
from workbench.loaders.kit.expressions import column, local_time, number, place, text

SOURCE = Source(
    name="sample_phone_calls",
    title="Fairwater (made-up city): call-detail records",
    zone="America/Chicago",
    columns=("Record", "Calling Number", "Called Number", "Start", "Duration", "Service", "Cell Site", "Azimuth", "Site Latitude", "Site Longitude"),
    parts=(
        Part("phone_calls", {
            "call_id": text(column("Record")),
            "caller": telephone(column("Calling Number")),
            "called": telephone(column("Called Number")),
            "started_at": local_time(column("Start"), "%Y-%m-%d %H:%M:%S"),
            "seconds": seconds(column("Duration")),
            "kind": f"(map {{'VOICE': 'voice', 'SMS': 'text', 'DATA': 'data'}})[{text(column('Service'))}]",
            "cell": text(column("Cell Site")),
            "azimuth": number(column("Azimuth"), 0, 360),
            **place(column("Site Longitude"), column("Site Latitude")),
        }),
    ),
    notes=("The position is that of the cell site, not of the telephone.", "Numbers become +1 and ten digits, durations seconds."),
)
