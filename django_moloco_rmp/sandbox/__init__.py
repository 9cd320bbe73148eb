"""
A stand-in for the vendor's User Event API, to develop and test against on one's own machine.

Started by ``python -m django_moloco_rmp.sandbox`` or ``manage.py moloco_sandbox``, or in a test by
:class:`SandboxServer`. Plain Python: it needs neither Django nor any other package.
"""

from __future__ import annotations

from django_moloco_rmp.sandbox.inbox import Received
from django_moloco_rmp.sandbox.server import SandboxServer

__all__ = ["Received", "SandboxServer"]
