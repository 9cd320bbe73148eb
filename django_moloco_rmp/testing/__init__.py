"""
For a shop's own tests: see what was reported (:func:`capture_events`, :func:`assert_event`), and
have it sent to a stand-in for the vendor's server (:func:`drain`, :class:`SandboxServer`).

With pytest, the fixture ``moloco_events`` is ``capture_events()`` around the whole test.
"""

from __future__ import annotations

from django_moloco_rmp.sandbox import SandboxServer
from django_moloco_rmp.settlement import Tally
from django_moloco_rmp.testing.assertions import assert_event
from django_moloco_rmp.testing.capture import CapturedEvents, Dropped, capture_events
from django_moloco_rmp.testing.draining import drain

__all__ = [
    "CapturedEvents",
    "Dropped",
    "SandboxServer",
    "Tally",
    "assert_event",
    "capture_events",
    "drain",
]
