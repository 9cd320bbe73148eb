"""The shop's own signals, there for whoever wants to know: stock, statistics, tracking."""

from __future__ import annotations

from django.dispatch import Signal

#: Something went into a cart. Arguments: ``line`` (CartLine, the quantity that was added),
#: ``request``. The sender is Cart.
cart_filled = Signal()
