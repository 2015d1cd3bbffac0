"""What a case keeps: rows copied to its evidence through the gate, and looked at again."""

from __future__ import annotations

from typing import Any

import polars as pl

from workbench.errors import AccessRefused, NotFound
from workbench.oversight import evidence
from workbench.schema import table
from workbench.session.knowing import Knowing


class Attaching(Knowing):
    """Case evidence of the case that is bound."""

    def attach(self, name: str, *keys: Any, why: str) -> list[int]:
        """Copy rows to the evidence of the case bound: every edition with its file and SHA-256, kept under the case's own retention.

        Args:
            name: the table.
            keys: of the rows; a key of several columns is a tuple.
            why: what the rows show, in a sentence.

        Returns:
            The evidence ids, one a key; a row that was attached as it stands keeps its id.

        Raises:
            AccessRefused: no case is bound, or the role does not see these rows whole. NotFound: no such row. BadInput: ``why`` says too little.
        """
        table(name)
        with self.deed("attach", name, key=[str(k) for k in keys], why=why) as outcome:
            self._bound()
            self._need([name])
            decision = self.decide(name)
            if decision.masked or decision.hidden:
                raise AccessRefused(f"Evidence is a copy of whole rows, and the role {self.role} sees {name} without "
                                    f"{', '.join(decision.masked or decision.hidden)}; somebody who sees them whole can attach them.")
            wanted = [k if isinstance(k, tuple) else (k,) for k in keys]
            for key in wanted:
                if self.lake.history(name, key, self.versions).is_empty():
                    raise NotFound(f"There is no row {' '.join(map(str, key))!r} of {name} that the role {self.role} sees.")
            made = evidence.attach(self.path, str(self.case), name, wanted, why, self.user)
            outcome["evidence"] = made
        return made

    def evidence(self) -> pl.DataFrame:
        """The evidence of the case bound, with ``sound`` (it is as it was attached) and ``state`` of the fact (in the lake; changed since; purged; sealed).

        Returns evidence_id, table_name, row_key, row_json (null where sealed, or where the role does not see the table whole), why, attached_by,
        attached_at, sound, state, certificate_id.

        Raises:
            AccessRefused: no case is bound.
        """
        with self.deed("view", "evidence") as outcome:
            self._bound()
            held = evidence.of(self.path, str(self.case)).drop("case_number", "sha256", "sealed_by", strict=False)
            shut = [t for t in held["table_name"].unique().to_list() if not (d := self.decide(t)).allowed or d.masked or d.hidden]
            seen = held.with_columns(pl.when(pl.col("table_name").is_in(shut)).then(None).otherwise(pl.col("row_json")).alias("row_json"))
            checked = evidence.verify(self.path, str(self.case)).select("evidence_id", "sound", "state", "certificate_id")
            outcome["rows"] = held.height
        return seen.join(checked, on="evidence_id", how="left", maintain_order="left")

    def _bound(self) -> None:
        if not (self.case and self.purpose and self.reason):
            raise AccessRefused(self.policy.asking(("Case evidence",)))
        self.require("cases")
