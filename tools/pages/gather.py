"""Which documents make the site, and where their links lead there. Nothing is written here."""

import os
import re
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
FIRST = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Documents of the first folder, and what they are called on the site."""
_DOCS = PurePosixPath("docs")
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


class BrokenLinkError(Exception):
    """A link leads to nothing."""


def gather(root: Path) -> dict[str, bytes]:
    """Path on the site → content: the pages, and beside them the other files of docs/ as they are.

    Raises `BrokenLinkError` where a document names a file that is not there.
    """
    docs = [path for path in sorted((root / _DOCS).rglob("*")) if path.is_file()]
    places = {PurePosixPath(name): page for name, page in FIRST.items()}
    places |= {(own := PurePosixPath(path.relative_to(root))): str(own.relative_to(_DOCS)) for path in docs}
    return {
        page: _page(root, source, places) if source.suffix == ".md" else (root / source).read_bytes()
        for source, page in places.items()
    }


def _page(root: Path, source: PurePosixPath, places: dict[PurePosixPath, str]) -> bytes:
    def replaced(link: re.Match[str]) -> str:
        mark, text, address = link.groups()
        path, hash_, anchor = address.partition("#")
        if "://" in address or not path:
            return link[0]
        target = PurePosixPath(os.path.normpath(source.parent / path))
        if not (root / target).exists():
            raise BrokenLinkError(f"{source}: there is no {target}, which a link names")
        if target not in places:
            return text  # code is not on the site
        return f"{mark}[{text}]({_relative(places[target], places[source])}{hash_}{anchor})"

    return _LINK.sub(replaced, (root / source).read_text()).encode()


def _relative(target: str, page: str) -> str:
    return os.path.relpath(target, PurePosixPath(page).parent)
