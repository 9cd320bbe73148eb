"""Where the payment provider tells what became of a payment."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from django_moloco_rmp import track_purchase
from shop.models import Order
from shop.payments import SIGNATURE_HEADER, NotANoticeError, PaymentNotice, is_signed


@csrf_exempt
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """
    Settle an order. This request is the provider's: the shopper is the one kept on the order.

    Providers send a message again until it is answered with 200, and at times after that. So what
    has been settled stays as it is.
    """
    if not is_signed(
        request.body, request.headers.get(SIGNATURE_HEADER, ""), settings.PAYMENT_SECRET
    ):
        return HttpResponse("wrong signature", status=403, content_type="text/plain")
    try:
        notice = PaymentNotice.loads(request.body)
    except NotANoticeError:
        return HttpResponse("not a payment notice", status=400, content_type="text/plain")
    order = get_object_or_404(Order, pk=notice.order)
    if notice.amount != order.total:
        return HttpResponse("another amount", status=409, content_type="text/plain")
    if notice.is_paid:
        _pay(order)
    else:
        # It can still be paid, with another card for example.
        Order.objects.filter(pk=order.pk, status=Order.Status.PENDING).update(
            status=Order.Status.DECLINED
        )
    return HttpResponse("ok", content_type="text/plain")


@transaction.atomic
def _pay(order: Order) -> None:
    # The update decides: of two messages at once, one finds the order unpaid.
    unpaid = Order.objects.filter(pk=order.pk).exclude(status=Order.Status.PAID)
    if unpaid.update(status=Order.Status.PAID, paid_at=timezone.now(), shopper={}):
        track_purchase(
            order.lines.select_related("product"),
            shipping_charge=order.shipping,
            event_id=f"order-{order.pk}",
            shopper=order.shopper,
        )
