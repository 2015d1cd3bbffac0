"""An investigative analytics workbench for real-time crime centres.

>>> import workbench as wb
>>> city = wb.open_workbench("city", case="2026-0142", purpose="investigation", reason="who was near the scenes")   # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.geo import Grid
    from workbench.session import Workbench, open_workbench

__all__ = ["Grid", "Workbench", "open_workbench"]


def __getattr__(name: str) -> Any:
    if name == "Grid":
        from workbench.geo import Grid

        return Grid
    if name in ("Workbench", "open_workbench"):
        from workbench import session

        return getattr(session, name)
    raise AttributeError(f"module 'workbench' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*__all__, "errors"]
