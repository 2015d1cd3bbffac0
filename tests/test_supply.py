"""What the workbench is made of, looked at without a network: packages, licences, scripts of others, and calls that must not be there."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = sorted((ROOT / "workbench").rglob("*.py"))
#: Calls and modules that run text as code, or read objects that can.
BANNED_MODULES = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "telnetlib", "ftplib", "xmlrpc"})
BANNED_CALLS = frozenset({"eval", "exec", "compile", "__import__", "os.system", "os.popen", "tempfile.mktemp", "numpy.load", "np.load"})
#: Modules that can make requests off the machine, and the files that may use them.
NET: dict[str, set[str]] = {
    "urllib3": {"intake/web.py", "oversight/oidc.py"},
    "requests": set(), "httpx": set(), "aiohttp": set(), "smtplib": set(), "http.client": set(), "urllib.request": {"intake/web.py"},
}
#: Modules that parse XML, and where: expat alone with document types refused, everything else through defusedxml.
XML = {"xml.parsers": {"lake/forms/markup.py"}}


def _trees() -> Iterator[tuple[str, ast.AST]]:
    for file in CODE:
        yield file.relative_to(ROOT / "workbench").as_posix(), ast.parse(file.read_text(encoding="utf-8"))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{a.name}" for a in node.names)


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def test_nothing_is_unpickled_evaluated_or_handed_to_a_shell() -> None:
    for file, tree in _trees():
        for name in _imported(tree):
            assert name.split(".")[0] not in BANNED_MODULES, f"{file} imports {name}"
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                assert _called(node) not in BANNED_CALLS, f"{file}, line {node.lineno}: {_called(node)}"
                for k in node.keywords:
                    shell = k.arg == "shell" and not (isinstance(k.value, ast.Constant) and k.value.value is False)
                    assert not shell and k.arg != "allow_pickle", f"{file}, line {node.lineno}: {k.arg}="
                    assert not (k.arg == "verify" and isinstance(k.value, ast.Constant) and k.value.value is False), f"{file}, line {node.lineno}"


def test_only_fetch_and_the_agencys_own_sign_in_can_make_requests_off_the_machine() -> None:
    for file, tree in _trees():
        for name in _imported(tree):
            for module, allowed in NET.items():
                if name == module or name.startswith(f"{module}."):
                    assert file in allowed, f"{file} imports {name}"


def test_xml_is_read_by_defusedxml_or_with_document_types_refused() -> None:
    for file, tree in _trees():
        for name in _imported(tree):
            if name.split(".")[0] in ("xml", "lxml"):
                assert any(name.startswith(m) and file in where for m, where in XML.items()), f"{file} imports {name}"
    assert "StartDoctypeDeclHandler" in (ROOT / "workbench/lake/forms/markup.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-test.lock"])
def test_every_package_of_a_lock_is_pinned_with_its_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) > 50
    for line in lines:
        assert re.match(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==[^\s;]+", line), line[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line[:80]
        assert "http://" not in line and "https://" not in line and "@ " not in line, line[:80]


#: LGPL packages that are used as they are, by import, and can be exchanged for another build: psycopg (database driver).
LESSER = frozenset({"psycopg", "psycopg-binary", "chardet", "paramiko"})


def test_no_installed_package_of_the_lock_is_under_a_licence_that_binds_the_product() -> None:
    seen = 0
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        found = re.match(r"([A-Za-z0-9._-]+)==", line)
        if not found:
            continue
        try:
            about = metadata.metadata(found[1])
        except metadata.PackageNotFoundError:
            continue
        seen += 1
        kinds = [c for c in about.get_all("Classifier") or () if "License ::" in c]
        said = " ".join([about.get("License-Expression") or "", (about.get("License") or "")[:200], *kinds])
        binding = re.search(r"\bA?GPL|GNU (Affero )?General Public", said) and not re.search(r"\bor\b|\bOR\b", about.get("License-Expression") or "")
        assert not binding, f"{found[1]}: {said}"
        if re.search(r"LGPL|Lesser", said):
            assert found[1].lower() in LESSER, f"{found[1]}: {said}"
    assert seen > 50


def test_the_rules_of_bandit_are_switched_on() -> None:
    import tomllib

    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in ruff["select"]
    assert set(ruff["ignore"]) == {"S608", "S603", "S607", "S311"}, "what is switched off for all is a decision: see docs/security.md"


def test_vendored_scripts_carry_a_licence_and_call_no_other_machine() -> None:
    static = ROOT / "workbench" / "views" / "static"
    licences = (static / "LICENSES.txt").read_text(encoding="utf-8")
    assert "MIT" in licences or "BSD" in licences
    for file in static.glob("*.js"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"""(fetch|import|importScripts|WebSocket|EventSource|sendBeacon)\s*\(\s*["'`](https?:)?//""", text), file.name
        assert not re.search(r"\beval\s*\(|new Function\s*\(", text), file.name


def test_the_built_scripts_are_those_that_were_recorded_and_each_package_in_them_is_locked_by_its_hash() -> None:
    static = ROOT / "workbench" / "views" / "static"
    sums = dict(reversed(line.split()) for line in (static / "SHA256SUMS").read_text(encoding="utf-8").splitlines())
    assert set(sums) == {p.name for p in static.iterdir() if p.is_file()} - {"SHA256SUMS"}
    for name, recorded in sums.items():
        assert hashlib.sha256((static / name).read_bytes()).hexdigest() == recorded, f"{name} is not what `make js` built; build it anew"
    locked = json.loads((ROOT / "js" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert len(locked) > 3 and all("integrity" in about for name, about in locked.items() if name), "a package without its hash"


def test_no_page_or_template_names_another_machine() -> None:
    kinds = (".html", ".css", ".js", ".svg", ".typ")
    served = [p for f in ("workbench/apps", "workbench/views", "templates") for p in (ROOT / f).rglob("*") if p.suffix in kinds]
    assert len(served) > 4
    for file in served:
        text = re.sub(r"http://www\.w3\.org/\S+", "", file.read_text(encoding="utf-8"))
        assert not re.search(r"""(?:src|href|action|@import|url\()\s*=?\s*["'(]?\s*(?:https?:)?//(?!\S*leafletjs\.com)""", text), file.name


def test_the_threat_model_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page))
    assert len(named) > 20
    for file, test in sorted(named):
        assert (ROOT / file).is_file() and re.search(rf"^def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.M), f"{file}::{test}"
