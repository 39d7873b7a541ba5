"""What documents name is there, each word stands once, and the site builds without a network."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from market.timeframe import Timeframe
from pages.gather import FIRST, ROOT, BrokenLinkError, gather
from runtime.figures import FIGURES, metric_name
from sinks.redis.keys import TRADES_KEPT, candles_kept
from sinks.rolling_policy import FILE_RECORDS, SLOT_MS

DOCUMENTS = [*(ROOT / name for name in FIRST), *sorted((ROOT / "docs").glob("*.md")), ROOT / "bench" / "README.md"]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
ROOMS = "market|runtime|producers|processors|sinks|serving|deploy|candlewick|tests|bench|tools|docs|examples"
OLD_WORDS = re.compile(r"\b(lanes?|horizons?|stretch(es)?|accept-cut)\b", re.IGNORECASE)
CURRENT = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]


def rows(page: str) -> list[list[str]]:
    """The cells of every row of the page's tables, their headings left out."""
    lines = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| word", "| quest"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_each_word_of_the_glossary_stands_once_with_its_meaning_and_a_file() -> None:
    words = [row for row in rows(GLOSSARY) if row[0].startswith("**")]
    names = [name for row in words for name in re.findall(r"\*\*(.+?)\*\*", row[0])]
    assert len(names) == len(set(names)) > 60
    for row in words:
        assert len(row) == 4, row
        assert row[1], row
        (file,) = re.findall(r"^`(.+)`$", row[3])
        assert (ROOT / file).is_file(), row


@pytest.mark.parametrize("path", CURRENT, ids=lambda path: path.name)
def test_a_document_names_only_files_that_are_there_and_no_old_word(path: Path) -> None:
    text = path.read_text()
    named = re.findall(rf"`((?:{ROOMS})/[\w./-]+\.(?:py|sql|lua|json|md|yaml|csv))`", text)
    assert not [file for file in named if not (ROOT / file).exists()]
    assert not OLD_WORDS.search(text)


def test_the_page_on_stores_says_how_much_is_kept() -> None:
    page = (ROOT / "docs" / "stores.md").read_text()
    kept = f"{candles_kept(Timeframe.M1):,} of `1m`, {candles_kept(Timeframe.H1):,} of each longer timeframe"
    assert kept in page
    assert f"the latest {TRADES_KEPT:,} trades" in page
    assert f"after {FILE_RECORDS:,} records of a partition" in page
    assert f"another {SLOT_MS // 60_000}-minute slot" in page


def test_the_page_on_stores_tells_what_a_trade_takes_as_it_was_measured() -> None:
    told = rows((ROOT / "docs" / "stores.md").read_text().partition("## What a trade takes")[2])
    measured: dict[str, list[str]] = {}
    for figure in json.loads((ROOT / "bench" / "results" / "storage.json").read_text())["figures"]:
        measured.setdefault(figure["name"].partition(": ")[0], []).append(f"{figure['median']:.1f}")
    assert {form: sizes for form, *sizes in told[1:]} == measured, "put the table in that bench_storage.py prints"


def test_the_page_on_operations_names_only_metrics_that_there_are() -> None:
    named = set(re.findall(r"`(candlewick_\w+)", (ROOT / "docs" / "operations.md").read_text()))
    known = {metric_name(figure) for figure in FIGURES}
    assert named - known == {
        "candlewick_build_info", "candlewick_http_requests_total", "candlewick_http_request_seconds",
        "candlewick_http_refusals_total", "candlewick_audit_lost_total", "candlewick_analysis_tokens_total",
        "candlewick_analysis_answers_total",
    }  # fmt: skip


def test_links_lead_to_pages_of_the_site_or_are_left_out() -> None:
    pages = {name: content.decode() for name, content in gather(ROOT).items() if name.endswith(".md")}
    assert "](architecture.md#what-a-status-proves)" in pages["index.md"]
    assert "](architecture.md#the-candle-engine)" in pages["engine.md"]
    assert "[docs/asyncapi.yaml](asyncapi.yaml)" in pages["index.md"]


def test_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    for name in FIRST:
        (tmp_path / name).write_text("[code](market/candle.py)" if name == "README.md" else "")
    (tmp_path / "docs").mkdir()
    with pytest.raises(BrokenLinkError, match=r"README.md: there is no market/candle.py"):
        gather(tmp_path)
    (tmp_path / "market").mkdir()
    (tmp_path / "market" / "candle.py").touch()
    assert gather(tmp_path)["index.md"] == b"code"


def test_the_site_builds_without_warnings_has_every_page_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    config = (ROOT / "zensical.toml").read_text().replace("build/", "")
    (tmp_path / "zensical.toml").write_text(config)
    pages = gather(ROOT)
    for name, content in pages.items():
        (tmp_path / "pages" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pages" / name).write_bytes(content)
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=tmp_path, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    in_menu = set(re.findall(r'= "([\w-]+\.md)"', config))
    assert {name for name in pages if name.endswith(".md")} == in_menu
    for name in in_menu:
        html = (tmp_path / "site" / name).with_suffix(".html").read_text()
        assert not re.findall(r'<(?:script|img)[^>]+src="?(?:https?:)?//', html), name
        assert not re.findall(r'<link[^>]+rel="?(?:stylesheet|preconnect)"?[^>]+href="?(?:https?:)?//', html), name
        assert 'class="mermaid"' not in html, "the theme would fetch mermaid from the network"


def test_the_page_on_clients_names_the_versions_that_are_run() -> None:
    folder = ROOT / "tests" / "clients"
    pins = "".join((folder / name).read_text() for name in ("python-binance-ccxt.txt", "freqtrade.txt")).lower()
    page = (ROOT / "docs" / "clients.md").read_text().replace("\n", " ")
    told = re.findall(r"(python-binance|ccxt|freqtrade) ([0-9.]+[0-9])", page)
    assert len(told) == 3
    for name, version in told:
        assert f"{name.replace('-', '_')}=={version}\n" in pins.replace("-", "_")
