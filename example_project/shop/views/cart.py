from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from django_moloco_rmp.decorators import page_view
from shop.cart import MAX_QUANTITY, Cart, CartLine
from shop.forms import QuantityForm
from shop.models import FREE_SHIPPING_FROM, Product
from shop.signals import cart_filled


@page_view("CART_PAGE")
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    cart = Cart(request)
    return render(
        request,
        "shop/cart.html",
        {
            "cart": cart,
            "quantities": range(1, MAX_QUANTITY + 1),
            "to_free_shipping": FREE_SHIPPING_FROM - cart.subtotal,
        },
    )


@require_POST
def add(request: HttpRequest, slug: str) -> HttpResponse:
    product = get_object_or_404(Product, slug=slug)
    form = QuantityForm(request.POST)
    if not form.is_valid() or not form.cleaned_data["quantity"]:
        messages.error(request, f"Choose a quantity from 1 to {MAX_QUANTITY}.")
    elif added := Cart(request).add(product, form.cleaned_data["quantity"]):
        cart_filled.send(sender=Cart, line=CartLine(product, added), request=request)
        messages.success(request, f"{product.name} is in your cart.")
    else:
        messages.error(request, f"{product.name}: {MAX_QUANTITY} is all that we sell at once.")
    return redirect("shop:cart")


@require_POST
def change(request: HttpRequest, slug: str) -> HttpResponse:
    form = QuantityForm(request.POST)
    if form.is_valid():
        product = get_object_or_404(Product, slug=slug)
        Cart(request).set(product, form.cleaned_data["quantity"])
    else:
        messages.error(request, f"Choose a quantity from 1 to {MAX_QUANTITY}.")
    return redirect("shop:cart")
