"""The rules of the house, kept as tests: rooms, sizes, names, docs that are true, and nothing that reaches off the machine."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOP = {
    ".ci", ".gitignore", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "benchmarks", "data", "docs", "js", "notebooks", "pyproject.toml",
    "requirements-test.lock", "requirements.lock", "templates", "tests", "workbench",
}
MADE_HERE = {".git", ".venv", "build", "dist", "demo", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".import_linter_cache",
             ".hypothesis", ".ipynb_checkpoints"}
TEXT = {".py", ".md", ".toml", ".ipynb", ".js", ".mjs", ".css", ".html", ".typ", ".json", ".geojson", ".lock", ".txt", ".csv", ".svg", ""}
HEAVY = {"panel", "papermill", "statsmodels", "numba", "bokeh", "altair", "ipyleaflet", "nbconvert", "jupyterlab", "pandas", "sklearn", "scipy", "matplotlib"}


@cache
def files() -> tuple[Path, ...]:
    """What belongs to the project: what git tracks or would track; without git, everything but what is made here."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0 and (ROOT / ".git").exists():
        found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        found = [p for p in ROOT.rglob("*") if p.is_file() and not MADE_HERE & set(p.relative_to(ROOT).parts) and p.suffix != ".pyc"]
    return tuple(sorted(p for p in found if p.is_file()))


def named(*suffixes: str, under: str = "") -> list[Path]:
    return [p for p in files() if p.suffix in suffixes and p.relative_to(ROOT).as_posix().startswith(under)]


def told(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(text(path), str(path))


def imports(node: ast.AST) -> list[str]:
    """The modules that a node imports by their full name."""
    if isinstance(node, ast.Import):
        return [a.name for a in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def modules() -> list[Path]:
    return named(".py", under="workbench/")


def project() -> dict[str, object]:
    return tomllib.loads(text(ROOT / "pyproject.toml"))


def run(*command: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **more)


# --- the checkers -----------------------------------------------------------------------------------------------------------------


def test_ruff_finds_nothing() -> None:
    done = run(sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", ".")
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_finds_nothing() -> None:
    done = run(sys.executable, "-m", "mypy", "--no-error-summary")
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_go_one_way_through_the_rooms() -> None:
    done = run(sys.executable, "-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True, no_logo=True))")
    assert done.returncode == 0, done.stdout + done.stderr


# --- shape ------------------------------------------------------------------------------------------------------------------------


def test_the_top_of_the_checkout_holds_only_what_the_house_names() -> None:
    assert {p.relative_to(ROOT).parts[0] for p in files()} == TOP


def test_no_module_is_longer_than_a_person_reads_at_once() -> None:
    long = {told(p): n for p in named(".py", ".mjs") if not told(p).startswith("tests/") and (n := text(p).count("\n")) > 400}
    assert not long


def test_no_function_is_longer_than_sixty_lines_docstring_aside() -> None:
    def body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
        first = node.body[0]
        docstring = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(node) is not None else 0
        return (node.end_lineno or 0) - node.lineno + 1 - docstring

    long = {f"{told(p)}:{node.name}": n for p in named(".py") for node in ast.walk(tree(p))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and (n := body(node)) > 60}
    assert not long


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    assert not [told(p) for p in named(".py") if re.fullmatch(r"_?(utils?|helpers?|common|misc|tools)", p.stem)]


def test_every_room_is_a_package_with_a_docstring_that_says_what_it_is() -> None:
    folders = {p.parent for p in modules()}
    assert not [told(f) for f in folders if not (f / "__init__.py").is_file()]
    assert not [told(p) for p in modules() if not ast.get_docstring(tree(p))]


def test_nothing_is_left_to_be_done_in_a_comment() -> None:
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|NotImplemented" r"Error)\b")
    ours = named(".py", ".md", ".mjs", ".toml", ".ipynb", ".typ")
    assert not [f"{told(p)}:{i}" for p in ours for i, line in enumerate(text(p).splitlines(), 1) if marks.search(line)]


# --- functions --------------------------------------------------------------------------------------------------------------------


def public(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Public functions, classes and their public methods, with a name to say; a module whose own name is private has none."""
    if path.stem.startswith("_") and path.stem != "__init__":
        return
    for node in tree(path).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield f"{told(path)}:{node.name}", node
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inner.name.startswith("_"):
                        yield f"{told(path)}:{node.name}.{inner.name}", inner


def test_every_public_function_and_class_says_what_it_is() -> None:
    assert not [name for path in modules() for name, node in public(path) if not ast.get_docstring(node)]


def test_every_public_function_is_typed() -> None:
    bare = []
    for path in modules():
        for name, node in public(path):
            if isinstance(node, ast.ClassDef):
                continue
            given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs + [a for a in (node.args.vararg, node.args.kwarg) if a]
            if node.returns is None or [a for a in given if a.annotation is None and a.arg not in ("self", "cls")]:
                bare.append(name)
    assert not bare


def test_no_assert_is_meant_for_users() -> None:
    assert not [f"{told(p)}:{n.lineno}" for p in modules() for n in ast.walk(tree(p)) if isinstance(n, ast.Assert)]


def test_errors_are_never_swallowed_whole() -> None:
    bare = [f"{told(p)}:{n.lineno}" for p in modules() for n in ast.walk(tree(p)) if isinstance(n, ast.ExceptHandler) and n.type is None]
    assert not bare


def test_a_model_opens_no_file_database_clock_or_global_chance() -> None:
    banned = {"duckdb", "deltalake", "sqlalchemy", "sqlite3", "random", "time"}
    calls = re.compile(r"open|(datetime|date)\.(now|today|utcnow)|(np|numpy)\.random\.(?!default_rng|Generator|SeedSequence).*")
    found = []
    for path in named(".py", under="workbench/models/"):
        for node in ast.walk(tree(path)):
            found += [f"{told(path)}:{node.lineno} imports {name}" for name in imports(node) if name.split(".")[0] in banned]
            if isinstance(node, ast.Call) and calls.fullmatch(ast.unparse(node.func)):
                found.append(f"{told(path)}:{node.lineno} calls {ast.unparse(node.func)}")
    assert not found


# --- one file each ----------------------------------------------------------------------------------------------------------------


def questions() -> list[Path]:
    return [p for p in named(".py", under="workbench/models/") if len(p.relative_to(ROOT).parts) == 4 and not p.stem.startswith("_")]


def test_every_model_opens_with_the_question_it_answers() -> None:
    assert questions()
    without = [told(p) for p in questions() if not re.match(r"[^.!?]+\?", ast.get_docstring(tree(p)) or "")]
    assert not without


def test_every_source_is_found_by_its_folder_and_carries_its_quirks() -> None:
    from workbench import loaders

    found = loaders.names()
    assert set(found) >= {"chicago_crimes", "san_antonio_calls", "seattle_reads", "sample_incidents", "sample_calls", "sample_reads", "sample_people"}
    modules = [p.stem for p in named(".py", under="workbench/loaders/") if p.parent.name == "loaders" and p.stem != "__init__"]
    assert sorted(modules) == found, "each module of the folder is one source; what sources are written with lies in kit/"
    for name in found:
        source = loaders.find(name)
        assert source.name == name and source.title and source.parts


def test_every_app_is_a_function_of_a_workbench_with_a_title_and_a_question() -> None:
    from workbench import apps

    found = apps.names()
    assert set(found) >= {"hotspots", "case_link"}
    for name in found:
        path = ROOT / "workbench" / "apps" / f"{name}.py"
        defined = {n.name for n in tree(path).body if isinstance(n, ast.FunctionDef)}
        bound = {t.id for n in tree(path).body if isinstance(n, (ast.Assign, ast.AnnAssign)) for t in (n.targets if isinstance(n, ast.Assign) else [n.target])
                 if isinstance(t, ast.Name)}
        assert "app" in defined and {"TITLE", "QUESTION"} <= bound, name


def cells(path: Path) -> list[dict[str, object]]:
    return json.loads(text(path))["cells"]


@pytest.mark.parametrize("folder", ["notebooks", "templates"])
def test_notebooks_hold_no_logic_and_no_outputs(folder: str) -> None:
    found = named(".ipynb", under=f"{folder}/")
    assert found
    for path in found:
        for cell in cells(path):
            if cell["cell_type"] != "code":
                continue
            assert not cell["outputs"] and cell["execution_count"] is None, f"{told(path)} holds outputs"
            source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            for node in ast.walk(ast.parse(source)):
                logic = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.If, ast.Lambda))
                assert not logic, f"{told(path)} holds logic: {ast.unparse(node)[:80]}"


def test_notebooks_are_numbered_by_reading_order_and_begin_with_words() -> None:
    found = named(".ipynb", under="notebooks/")
    assert [p.name[:2] for p in found] == [f"{i:02}" for i in range(1, len(found) + 1)]
    for path in found:
        assert cells(path)[0]["cell_type"] == "markdown", told(path)


def test_every_briefing_has_a_cell_of_parameters_with_a_help_each() -> None:
    for path in named(".ipynb", under="templates/"):
        with_tag = [c for c in cells(path) if "parameters" in c["metadata"].get("tags", ())]
        assert len(with_tag) == 1, told(path)
        source = with_tag[0]["source"] if isinstance(with_tag[0]["source"], str) else "".join(with_tag[0]["source"])
        for line in filter(None, map(str.strip, source.splitlines())):
            assert line.startswith("#") or re.fullmatch(r"\w+: [^=]+ = .+  # .+", line), f"{told(path)}: {line}"


# --- light to start, closed to the network ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [
    "import workbench; workbench.__all__", "from workbench import cli; cli.main(['--help'])", "from workbench import cli; cli.main(['brief', '--help'])",
])
def test_help_is_said_without_anything_heavy_being_imported(code: str) -> None:
    watch = f"import sys, atexit; atexit.register(lambda: sys.stderr.write('LOADED ' + ' '.join(sorted({HEAVY!r} & set(sys.modules))) + '.'))\n"
    done = run(sys.executable, "-c", watch + code)
    assert done.returncode == 0 and done.stderr.rstrip().endswith("LOADED ."), done.stderr


def test_the_front_door_shows_only_a_handful_of_names() -> None:
    import workbench

    assert set(workbench.__all__) == {"Grid", "Workbench", "open_workbench"}


def test_no_page_asks_another_host_for_anything() -> None:
    asks = re.compile(
        r"""<(?:script|img|iframe|link|source|object|embed)\b[^>]*\b(?:src|href|data)\s*=\s*["']?\s*(?:https?:)?//"""
        r"""|@import\s+(?:url\()?["']?(?:https?:)?//|url\(\s*["']?(?:https?:)?//|\b(?:fetch|importScripts|import)\(\s*["'`](?:https?:)?//"""
        r"""|new\s+(?:WebSocket|EventSource|Worker)\(\s*["'`](?:https?|wss?)://""", re.I)
    rooms = ("workbench/", "templates/", "notebooks/", "js/")
    pages = [p for room in rooms for p in named(".py", ".ipynb", ".js", ".mjs", ".css", ".html", ".typ", ".svg", under=room)]
    assert not [f"{told(p)}: {m.group()[:90]}" for p in pages for m in asks.finditer(text(p))]


def test_nothing_tells_of_the_machine_it_was_made_on() -> None:
    folders = ("/wo" "rk/", "/tmp" "/env", "/ro" "ot/", "/ho" "me/", "/op" "t/", "/Us" "ers/")
    parts = (*folders, "py" "pi.org", "pythonho" "sted", "registry.npm" "js", "deb.deb" "ian")
    found = [f"{told(p)}: {part}" for p in files() if p.suffix in TEXT and p.stat().st_size < 3_000_000 for part in parts if part in text(p)]
    assert not found


def test_vendored_javascript_has_its_licence_beside_it() -> None:
    static = ROOT / "workbench" / "views" / "static"
    assert named(".js", under="workbench/views/static/")
    licences = [p for p in static.iterdir() if "licen" in p.name.lower()]
    said = "\n".join(text(p) for p in licences).lower()
    for library in json.loads(text(ROOT / "js" / "package.json"))["dependencies"]:
        assert library in said, f"the licence of {library} is not in workbench/views/static"


def test_the_samples_and_every_other_file_stay_small() -> None:
    assert sum(p.stat().st_size for p in files() if told(p).startswith("data/samples/")) < 6_000_000
    assert not [told(p) for p in files() if p.stat().st_size > 3_000_000]


# --- what is installed ------------------------------------------------------------------------------------------------------------


def requirement(line: str) -> str:
    return re.split(r"[<>=!~;\[ ]", line, maxsplit=1)[0].lower().replace("_", "-")


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", text(ROOT / lock), re.M))


def test_the_locks_hold_what_pyproject_asks_for_and_agree() -> None:
    from packaging.requirements import Requirement

    spec = project()
    wanted = {"requirements.lock": spec["project"]["dependencies"],
              "requirements-test.lock": [*spec["project"]["dependencies"], *chain(*spec["project"]["optional-dependencies"].values())]}
    for lock, lines in wanted.items():
        pinned = pins(lock)
        for line in [*lines, *spec["dependency-groups"]["build"]]:
            asked = Requirement(line)
            assert requirement(line) in pinned and asked.specifier.contains(pinned[requirement(line)]), f"{lock}: {line}; run `make lock`"
    run_lock, test_lock = pins("requirements.lock"), pins("requirements-test.lock")
    assert run_lock.items() <= test_lock.items()


def test_every_package_imported_is_asked_for_and_every_one_asked_for_is_used() -> None:
    spec = project()["project"]
    owners = importlib.metadata.packages_distributions()

    def outside_of(paths: list[Path]) -> set[str]:
        imported = {name.split(".")[0] for path in paths for node in ast.walk(tree(path)) for name in imports(node)}
        ours = {"workbench", "benchmarks", "city", "tests", *(p.stem for p in paths if p.stem.startswith("test_"))}
        owned = {n: sorted({requirement(o) for o in owners.get(n, [n])}) for n in imported - set(sys.stdlib_module_names) - ours}
        return {requirement(n) if requirement(n) in dists else dists[0] for n, dists in owned.items()}

    outside = outside_of(modules())
    extras = {requirement(line) for line in chain(*spec["optional-dependencies"].values())}
    asked = {requirement(line) for line in spec["dependencies"]}
    wanted = {requirement(line) for line in spec["optional-dependencies"]["boosting"]}  # a model that says so where it is missing
    assert outside - asked == wanted, "imported in workbench/ but neither in pyproject's dependencies nor in the extra of a model"
    without_import = {
        "ipykernel": "the kernel that notebooks and briefings run in",
        "jupyterlab": "started as a program by `workbench lab`",
        "pyarrow": "polars and duckdb hand frames to each other through it",
        "psycopg": "SQLAlchemy reaches PostgreSQL records systems through it",
        "tzdata": "time zones on machines that have none",
        "ipywidgets": "shows the maps and link charts in JupyterLab",
    }
    assert asked - outside - set(without_import) == set(), "in pyproject's dependencies but not imported in workbench/"
    assert outside_of(named(".py", under="tests/") + named(".py", under="benchmarks/")) - asked - extras == set(), "imported in tests but in no extra"


# --- docs that are true -----------------------------------------------------------------------------------------------------------

DOCS = ["README.md", "CHANGELOG.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]


def prose(name: str) -> str:
    return text(ROOT / name)


def fenced(page: str) -> str:
    return "\n".join(re.findall(r"^```\w*\n(.*?)^```", page, re.M | re.S))


@pytest.mark.parametrize("name", DOCS)
def test_every_page_exists_and_its_links_lead_somewhere(name: str) -> None:
    page = prose(name)
    assert page.startswith("# ") and len(page) > 300
    for target in re.findall(r"\]\(([^)\s]+)\)", page):
        if re.match(r"https?://|mailto:", target):
            continue
        file, _, anchor = target.partition("#")
        full = (ROOT / name).parent / file if file else ROOT / name
        assert full.exists(), f"{name} links to {target}"
        if anchor:
            heads = {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in re.findall(r"^#+ (.+)$", text(full), re.M)}
            assert anchor in heads, f"{name} links to {target}"


@cache
def commands() -> frozenset[str]:
    shown = run(sys.executable, "-m", "workbench.cli", "--help").stdout
    return frozenset(re.findall(r"^    ([a-z][a-z-]+)(?: |$)", shown, re.M))


def test_every_command_that_the_docs_show_exists() -> None:
    assert len(commands()) >= 8
    targets = set(re.findall(r"^([a-z]+(?:-[a-z]+)?):", prose("Makefile"), re.M))
    for name in DOCS:
        shown = fenced(prose(name)) + "\n" + "\n".join(re.findall(r"`([^`\n]+)`", prose(name)))
        for command in re.findall(r"^(?:\$ )?workbench ([a-z][a-z-]*)", shown, re.M):
            assert command in commands(), f"{name} shows `workbench {command}`"
        for target in re.findall(r"^(?:\$ )?make ([a-z]+)\b", shown, re.M):
            assert target in targets, f"{name} shows `make {target}`"


def test_every_command_and_every_make_target_is_documented() -> None:
    everything = "".join(prose(n) for n in DOCS)
    assert not [c for c in commands() if f"workbench {c}" not in everything]
    targets = set(re.findall(r"^([a-z]+):", prose("Makefile"), re.M)) - {"env", "help"}
    assert not [t for t in targets if f"make {t}" not in everything or f'"make {t} ' not in prose("Makefile")]


def test_every_python_line_shown_in_the_readme_and_how_to_names_what_exists() -> None:
    import importlib

    for name in ("README.md", "docs/how-to.md"):
        for block in re.findall(r"^```python\n(.*?)^```", prose(name), re.M | re.S):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workbench"):
                    for alias in node.names:
                        room = importlib.import_module(node.module or "")
                        assert hasattr(room, alias.name) or importlib.import_module(f"{node.module}.{alias.name}"), f"{name}: {node.module}.{alias.name}"


def test_the_changelog_tells_of_this_version() -> None:
    assert f"## {project()['project']['version']}" in prose("CHANGELOG.md")


def test_the_limits_page_says_what_matters_most() -> None:
    page = prose("docs/limits.md").lower()
    for said in ("file access", "not about persons", "unverified", "interval", "memory", "several processes"):
        assert said in page, said
