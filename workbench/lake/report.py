"""What came of a load, in numbers and in a sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LoadReport:
    """Counts of one load. ``read`` = ``added`` + ``updated`` + ``duplicate`` + ``rejected``, always.

    Args:
        source: the source.
        file: the path as it was given.
        read: records in the file.
        added: records with a key the lake did not hold.
        updated: records that differ from the edition the lake held.
        duplicate: records the lake held exactly so.
        rejected: records kept in ``rejects`` with a reason.
        seconds: how long it took.
        batch_id: the batch; of the first load where ``already``.
        already: the same bytes had been loaded before, so nothing was added.
        rejects_by_reason: reason -> records.
        first_loaded: when that was, UTC, where ``already``.
        dropped: table -> geocoded positions that this load's editions came without; ``workbench geocode`` sets them again.
        left_out: table -> rows, counted in ``added``, that were not kept, because rows of their age were purged.
    """

    source: str
    file: str
    read: int
    added: int
    updated: int
    duplicate: int
    rejected: int
    seconds: float
    batch_id: str
    already: bool = False
    rejects_by_reason: dict[str, int] = field(default_factory=dict)
    first_loaded: str = ""
    dropped: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """source, file, read, added, updated, duplicate, rejected, seconds."""
        return {k: getattr(self, k) for k in ("source", "file", "read", "added", "updated", "duplicate", "rejected", "seconds")}

    def sentence(self) -> str:
        """One line for people."""
        name = Path(self.file).name
        if self.already:
            return (f"{name}: nothing to add, the same file was loaded on {self.first_loaded} UTC (batch {self.batch_id}): "
                    f"{self.duplicate:,} of its {self.read:,} records are held, {self.rejected:,} are in the rejects.")
        text = (f"{name}: {self.read:,} records read in {self.seconds:.1f} s: {self.added - sum(self.left_out.values()):,} new, {self.updated:,} updated, "
                f"{self.duplicate:,} held already, {self.rejected:,} rejected.")
        for table, count in self.left_out.items():
            text += f" {count:,} of {table} {'was' if count == 1 else 'were'} older than what was purged and {'was' if count == 1 else 'were'} not kept."
        if self.rejects_by_reason:
            ranked = sorted(self.rejects_by_reason.items(), key=lambda pair: (-pair[1], pair[0]))
            told = [f"{count:,} × {reason}" for reason, count in ranked[:3]]
            if len(ranked) > 3:
                told.append(f"{sum(count for _, count in ranked[3:]):,} for other reasons")
            text += f" Rejected: {'; '.join(told)}."
        for table, count in self.dropped.items():
            text += (f" {count:,} updated row{'' if count == 1 else 's'} of {table} came without the position that was geocoded for the address; set "
                     f"{'it' if count == 1 else 'them'} again with: workbench geocode {table} --again")
        return text
