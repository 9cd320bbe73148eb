"""The pages on which a shopper looks around."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe
from django.views.generic import DetailView

from django_moloco_rmp import decorators as moloco
from shop.cart import Wishlist
from shop.models import Category, Product


@moloco.home("HOME")
@moloco.land
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    featured = Product.objects.filter(is_featured=True)
    return render(request, "shop/home.html", {"featured": featured})


@moloco.page_view("CATEGORY_HOME_PAGE:{slug}")
@require_safe
def category(request: HttpRequest, slug: str) -> HttpResponse:
    shown = get_object_or_404(Category, slug=slug)
    return render(request, "shop/category.html", {"category": shown})


@moloco.search("SEARCH_PAGE", query="q")
@require_safe
def search(request: HttpRequest) -> HttpResponse:
    query = request.GET.get("q", "").strip()
    within = Category.objects.filter(slug=request.GET.get("in", "")).first()
    products = Product.objects.matching(query) if query else Product.objects.none()
    if within is not None:
        products = products.filter(category=within)
    return render(
        request, "shop/search.html", {"query": query, "within": within, "products": products}
    )


@method_decorator(
    moloco.item_page_view("PRODUCT_DETAIL_PAGE:{slug}", item="product"), name="dispatch"
)
class ProductPage(DetailView):
    queryset = Product.objects.select_related("category")
    template_name = "shop/product.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        others = self.object.category.products.exclude(pk=self.object.pk)
        return super().get_context_data(
            **kwargs, others=others, is_wished=self.object in Wishlist(self.request)
        )
