"""What may stand in the audit: values as JSON, and never a password, token or key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

LEFT_OUT = "(left out)"
_NAMES = re.compile(r"(?i)(^|[_\-. ])(password|passwd|pwd|passphrase|pass|token|secret|api_?key|private_?key|authorization|credentials?|cookie|key)s?$")
_TEXTS = (
    (re.compile(r"(?i)\b([a-z][a-z0-9+.\-]*:/{1,3}[^\s:/@]*):\S*@"), r"\1:" + LEFT_OUT + "@"),
    (re.compile(r"(?i)\b(password|passwd|pwd|passphrase|token|secret|api_?key|access_key|private_key)(\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s&;,\"']+)"),
     r"\1\2" + LEFT_OUT),
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/\-]{8,}=*"), r"\1 " + LEFT_OUT),
)


def text(value: str) -> str:
    """A text without the password of a database URL, ``password=...``, ``token=...`` and the like."""
    for pattern, instead in _TEXTS:
        value = pattern.sub(instead, value)
    return value


def detail(values: Mapping[str, Any]) -> str:
    """The detail of an entry as JSON with sorted keys; values under a name such as password, token, secret or key are left out, at any depth."""
    return json.dumps(_clean(values), sort_keys=True, default=lambda v: text(str(v)), ensure_ascii=False)


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {text(str(k)): LEFT_OUT if _secret(str(k), v) else _clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(v) for v in (sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)]
    return text(value) if isinstance(value, str) else value


def _secret(name: str, value: Any) -> bool:
    """The key of a record, which is a list of its values, and a number of keys are no secrets."""
    if name in ("key", "keys") and not isinstance(value, (str, bytes)):
        return False
    return bool(_NAMES.search(name)) and value not in (None, "") and not isinstance(value, bool)
