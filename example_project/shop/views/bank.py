"""
A bank to try the shop with. It is no part of a real shop, where this page is the provider's: in
production, where no ``TEST_BANK`` is set, there is none.

Like a provider it tells the shop by a signed POST over HTTP, which is a request of its own: without
the shopper's cookies, session and user agent. That request goes to the very server that is busy
with this one, so the server needs a second thread, as ``runserver`` has.
"""

from __future__ import annotations

from uuid import UUID

import requests
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from shop.models import Order
from shop.payments import SIGNATURE_HEADER, PaymentNotice, signature

TIMEOUT = 5


@require_http_methods(["GET", "HEAD", "POST"])
def pay(request: HttpRequest, pk: UUID) -> HttpResponse:
    if not settings.TEST_BANK:
        raise Http404
    order = get_object_or_404(Order, pk=pk)
    if request.method == "POST":
        notice = PaymentNotice(order.pk, request.POST.get("verdict") == "approve", order.total)
        if _tell(request, notice):
            return redirect(order)
        return render(request, "shop/bank.html", {"order": order, "failed": True}, status=502)
    if order.status == Order.Status.PAID:
        return redirect(order)
    return render(request, "shop/bank.html", {"order": order})


def _tell(request: HttpRequest, notice: PaymentNotice) -> bool:
    """Post the notice to the shop; return whether the shop took it."""
    body = notice.dumps()
    with requests.Session() as session:
        # The shop is on this machine, wherever its proxies may be.
        session.trust_env = False
        try:
            answer = session.post(
                # The port of the socket, which unlike the Host header nobody can forge.
                f"http://127.0.0.1:{request.META['SERVER_PORT']}{reverse('shop:webhook')}",
                data=body,
                headers={
                    "Content-Type": "application/json",
                    SIGNATURE_HEADER: signature(body, settings.PAYMENT_SECRET),
                },
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        except requests.RequestException:
            return False
    return answer.status_code == 200
