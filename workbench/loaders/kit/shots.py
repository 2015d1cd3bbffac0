"""What gunshot systems call what they heard."""

from __future__ import annotations

from workbench.loaders.kit.expressions import text


def shot_kind(expr: str) -> str:
    """single, multiple or fireworks where the words say just that, else the words in lower case with blanks for underscores."""
    words = f"regexp_replace(lower({text(expr)}), '[_\\s]+', ' ', 'g')"
    kinds = " ".join(f"when regexp_matches({words}, '^{kind}( gun ?shots?)?$') then '{kind}'" for kind in ("multiple", "single"))
    return f"(case {kinds} when regexp_matches({words}, '^fire ?works?$') then 'fireworks' else {words} end)"
