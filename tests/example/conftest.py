from __future__ import annotations

import sys

from tests.example.demo import EXAMPLE

# Last, so that its modules hide nobody else's.
sys.path.append(str(EXAMPLE))
