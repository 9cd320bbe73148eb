from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from django_moloco_rmp.decorators import page_view
from django_moloco_rmp.signals import added_to_wishlist
from shop.cart import Wishlist
from shop.models import Product


@page_view("WISHLIST_PAGE")
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/wishlist.html", {"products": list(Wishlist(request))})


@require_POST
def add(request: HttpRequest, slug: str) -> HttpResponse:
    product = get_object_or_404(Product, slug=slug)
    if Wishlist(request).add(product):
        added_to_wishlist.send(sender=Wishlist, items=product, request=request)
        messages.success(request, f"{product.name} is on your wish list.")
    return redirect("shop:wishlist")


@require_POST
def remove(request: HttpRequest, slug: str) -> HttpResponse:
    Wishlist(request).remove(get_object_or_404(Product, slug=slug))
    return redirect("shop:wishlist")
