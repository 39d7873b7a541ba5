"""``python -m candlewick``.

Python puts the working folder first on the path for ``-m``, where a file ``market.py`` would stand for our package:
it is taken away again, unless our packages themselves are there (a clone).
"""

import sys
from pathlib import Path

_PACKAGES = Path(__file__).resolve().parents[1]
if not sys.flags.safe_path and Path(sys.path[0]).resolve() != _PACKAGES:
    del sys.path[0]

from candlewick.cli import main  # noqa: E402  # behind the path that it is found by

sys.exit(main())
