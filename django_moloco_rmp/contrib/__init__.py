"""What works together with other packages; each part needs an extra of this one."""

from __future__ import annotations
