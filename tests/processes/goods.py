"""What the shops of these tests sell, and to whom."""

from __future__ import annotations

from django_moloco_rmp import Item, Money

#: What request.moloco.freeze() would have returned.
SHOPPER = {"channel_type": "SITE", "persistent_id": "5" * 64, "page_id": "CART_PAGE"}
LAMP = Item("lamp", price=Money("19.90", "EUR"), quantity=1)
