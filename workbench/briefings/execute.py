"""The process in which papermill executes a briefing: reads its order from standard input, tells the cell it is at on standard output.

It runs apart from the caller so that a Panel server or a notebook that asks for a briefing keeps its own event loop and environment,
and it ends with its caller: when standard input closes, so does the run.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import warnings
from typing import Any


def main() -> int:
    """Execute ``template.ipynb`` of the working directory into ``executed.ipynb``; returns the exit code."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_caller, daemon=True).start()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import papermill
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.exceptions import PapermillExecutionError

    class Telling(NBClientEngine):
        """papermill's own engine, telling each cell it begins."""

        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
            begin = nb_man.cell_start

            def tell(cell: Any, cell_index: int | None = None, **more: Any) -> Any:
                print(f"{cell_index}/{len(nb_man.nb.cells)}", flush=True)
                return begin(cell, cell_index, **more)

            nb_man.cell_start = tell
            return super().execute_managed_notebook(nb_man, kernel_name, **options)

    papermill_engines.register("telling", Telling)
    try:
        papermill.execute_notebook("template.ipynb", "executed.ipynb", order["parameters"], engine_name="telling", kernel_name=order["kernel"],
                                   language="python", progress_bar=False, cwd=order["home"])
    except PapermillExecutionError:
        return 3  # the executed notebook holds the error; the caller words it
    return 0


def _end_with_caller() -> None:
    sys.stdin.read()
    os._exit(4)


if __name__ == "__main__":
    sys.exit(main())
