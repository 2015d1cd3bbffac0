"""Peers side by side in one run: every module here has ``TITLE`` and ``run() -> list[dict]``; ``python -m benchmarks`` writes RESULTS.md.

A row is a dict: ``task`` (what is done), ``method`` (who does it), ``seconds`` (wall, a list of repetitions or one number) and, where known,
``cpu_seconds`` (the same way), ``memory_mb`` (peak resident memory) and ``note``. The first row of a task is the workbench; ratios are to it.
``benchmarks.process.measure`` runs a piece of Python in a process of its own and gives these figures. A module whose data is not there
returns ``[]``.
"""
