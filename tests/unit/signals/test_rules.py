"""The file of rules: the defaults printed are read back, and what is wrong is told."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from candlewick.commands.signals import read_rules
from market.errors import MalformedError
from processors.signals.kinds.table import AGAINST_THE_DAY_BEFORE, WITHIN_THE_DAY
from processors.signals.rules import SignalRules, as_toml, rules_of
from runtime.errors import UsageError


def test_what_is_printed_is_read_back() -> None:
    rules = rules_of({"spread": {"fees_bps": {"kraken": 26}}, "correlation": {"pairs": [["a:B-C", "d:E-F"]]}})
    assert rules_of(tomllib.loads(as_toml(rules))) == rules
    assert rules_of(tomllib.loads(as_toml(SignalRules()))) == SignalRules() == rules_of({})
    assert rules.spread.fees_bps == {"kraken": 26}
    assert rules.spread.enter == SignalRules().spread.enter


def test_each_kind_has_its_rules() -> None:
    kinds = [kind.name for kind in (*AGAINST_THE_DAY_BEFORE, *WITHIN_THE_DAY)]
    assert set(kinds) == set(SignalRules.__struct_fields__) - {"barrier_s"}
    assert len(kinds) == len(set(kinds))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"stale": {"enter": "5"}}, r"Expected `float`, got `str` - at `\$.stale.enter`"),
        ({"stale": {"entre": 5}}, "unknown field `entre`"),
        ({"spreads": {}}, "unknown field `spreads`"),
        ({"stale": {"leave": 11}}, "stale: leave, enter, warning and critical have to be in rising order"),
        ({"correlation": {"pairs": [["a:B", "a:B"]]}}, "a:B is paired with itself"),
        ({"correlation": {"pairs": [["a:B", ""]]}}, "exchange"),
        ({"correlation_matrix": {"top": 1000}}, "<= 40"),
        ({"price_outlier": {"min_exchanges": 2}}, ">= 3"),
    ],
)
def test_what_is_wrong_is_told(given: dict[str, Any], said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        rules_of(given)


def test_a_wrong_file_is_wrong_usage(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    with pytest.raises(UsageError, match=r"cannot read .*rules.toml: No such file"):
        read_rules(path)
    path.write_text("[stale")
    with pytest.raises(UsageError, match=r"rules.toml: Expected ']'"):
        read_rules(path)
    path.write_text("[stale]\nenter = 'x'")
    with pytest.raises(UsageError, match=r"rules.toml: Expected `float`"):
        read_rules(path)
    path.write_text("[stale]\nenter = 15")
    assert read_rules(path).stale.enter == 15
