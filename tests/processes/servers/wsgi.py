"""The shop for WSGI servers; with SHOP_EMITS_EARLY it reports an event while it is loaded."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

if "SHOP_EMITS_EARLY" in os.environ:
    from django_moloco_rmp import track
    from tests.processes.goods import LAMP, SHOPPER

    track("HOME", LAMP, shopper=SHOPPER)
