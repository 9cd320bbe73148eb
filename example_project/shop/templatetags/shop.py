from __future__ import annotations

from decimal import Decimal

from django import template

register = template.Library()


@register.filter
def euro(amount: Decimal) -> str:
    """``1234.5`` as ``€1,234.50``."""
    return f"€{amount:,.2f}"
