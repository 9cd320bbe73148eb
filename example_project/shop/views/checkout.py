"""From the cart to an order, and the page that thanks for it."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from django_moloco_rmp.decorators import page_view
from shop.cart import Cart
from shop.forms import CheckoutForm
from shop.models import Order


@page_view("CHECKOUT_PAGE")
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def checkout(request: HttpRequest) -> HttpResponse:
    cart = Cart(request)
    if not cart.lines:
        return redirect("shop:cart")
    form = CheckoutForm(request.POST or None)
    if not form.is_valid():
        return render(request, "shop/checkout.html", {"form": form, "cart": cart})
    order = form.save(commit=False)
    order.user = request.user
    order.shipping = cart.shipping
    # The payment is confirmed outside of this shopper's requests: see payment.webhook.
    order.shopper = request.moloco.freeze()
    with transaction.atomic():
        order.save()
        order.add_lines(cart)
    cart.clear()
    return redirect("shop:bank", pk=order.pk)


@page_view("ORDER_SUMMARY_PAGE")
@login_required
@require_safe
def order(request: HttpRequest, pk: UUID) -> HttpResponse:
    orders = Order.objects.prefetch_related("lines__product")
    placed = get_object_or_404(orders, pk=pk, user=request.user)
    return render(request, "shop/order.html", {"order": placed})
