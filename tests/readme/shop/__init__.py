"""The shop that the README's blocks belong to."""

from __future__ import annotations
