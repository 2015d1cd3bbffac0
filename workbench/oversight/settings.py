"""The section [audit] of agency.toml, checked: where the signing key lies, where roots are copied to, what is people's own, how much is sampled."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import BadInput, did_you_mean

_KEYS = ("key", "roots_copy", "own", "sample", "repeats", "vague")


@dataclass(frozen=True)
class Settings:
    """What agency.toml says about the audit.

    ``key`` is the file of the private key, or ``env:NAME`` for a variable that holds it; ``roots_copy`` a second place for signed roots;
    ``own`` maps a user to plates and names of their own (and of people close to them); ``sample`` is the share of each user's accesses
    drawn for review (0 to 1, at least one a user a week); ``repeats`` how often one target may be asked for in 30 days before it is
    said; ``vague`` further reasons that mean nothing.
    """

    key: str
    public: Path
    roots_copy: Path | None = None
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sample: float = 0.02
    repeats: int = 5
    vague: tuple[str, ...] = ()


def read(folder: Path) -> Settings:
    """The settings of a workspace; the defaults where it has no agency.toml.

    Raises:
        BadInput: the section has a key or value that cannot be used.
    """
    file = folder / "agency.toml"
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise BadInput(f"{file.name} cannot be read: {e}.") from None
    return of(data.get("audit", {}), folder)


def of(section: Any, folder: Path) -> Settings:
    """The same, from the section as it stands (``agency.settings["audit"]``).

    Raises:
        BadInput: as ``read``.
    """
    if not isinstance(section, Mapping):
        raise BadInput(f"agency.toml audit = {section!r}; write a section [audit].")
    for name in section:
        if name not in _KEYS:
            raise BadInput(f"agency.toml [audit] has an unknown key {name!r}.{did_you_mean(name, _KEYS)}")
    key, copy, own = section.get("key", "keys/audit.key"), section.get("roots_copy"), section.get("own", {})
    if not isinstance(key, str) or not key:
        raise BadInput(f"agency.toml [audit] key = {key!r}; write the path of the private key, or \"env:NAME\".")
    if copy is not None and (not isinstance(copy, str) or not copy):
        raise BadInput(f"agency.toml [audit] roots_copy = {copy!r}; write a file or folder, e.g. \"worm/audit-roots.ndjson\".")
    if not isinstance(own, Mapping) or not all(isinstance(v, list) and all(isinstance(t, str) for t in v) for v in own.values()):
        raise BadInput("agency.toml [audit] own: write { ann = [\"ABC1234\", \"Doe, Ann\"] }.")
    share, repeats, vague = section.get("sample", 0.02), section.get("repeats", 5), section.get("vague", [])
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise BadInput(f"agency.toml [audit] sample = {share!r}; write a share from 0 to 1, e.g. 0.02.")
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 2:
        raise BadInput(f"agency.toml [audit] repeats = {repeats!r}; write a whole number from 2 on, e.g. 5.")
    if not isinstance(vague, list) or not all(isinstance(v, str) for v in vague):
        raise BadInput(f"agency.toml [audit] vague = {vague!r}; write [\"checking\", \"look up\"].")
    private = key if key.startswith("env:") else str(folder / key)
    public = folder / "keys" / "audit.pub" if key.startswith("env:") else (folder / key).with_suffix(".pub")
    return Settings(private, public, None if copy is None else _place(folder / copy), {str(k): tuple(v) for k, v in own.items()},
                    float(share), repeats, tuple(vague))


def _place(path: Path) -> Path:
    return path if path.suffix else path / "audit-roots.ndjson"
