"""Mutants quote the source: what they quote has to stand there, or they would change nothing."""

from pathlib import Path

import mutants
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", mutants.MUTANTS | mutants.IMPORT_MUTANTS)
def test_what_a_mutant_quotes_stands_once_in_the_source(name: str) -> None:
    for edit in (mutants.MUTANTS | mutants.IMPORT_MUTANTS)[name]:
        source = (ROOT / f"{edit.module.replace('.', '/')}.py").read_text()
        assert source.count(edit.old) == 1, edit
