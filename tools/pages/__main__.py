"""Gather the pages of the site in build/pages: ``python -m pages``; `make docs` builds the site of them."""

import shutil
import sys
from pathlib import Path

from pages.gather import ROOT, BrokenLinkError, gather

TARGET = ROOT / "build" / "pages"


def _write(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    for name, content in gather(ROOT).items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


try:
    _write(TARGET)
except BrokenLinkError as error:
    sys.exit(str(error))
