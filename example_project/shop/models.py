"""The catalogue, and the orders. Carts and wish lists live in the shopper's session."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse

CURRENCY = "EUR"
SHIPPING = Decimal("6.50")
FREE_SHIPPING_FROM = Decimal(250)


def shipping_for(subtotal: Decimal) -> Decimal:
    """Return what it costs to send goods of this value."""
    return Decimal(0) if subtotal >= FREE_SHIPPING_FROM else SHIPPING


class Category(models.Model):
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=60)
    tagline = models.CharField(max_length=120)
    hue = models.PositiveSmallIntegerField(help_text="Colour of its tile, in degrees.")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ("position", "name")
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("shop:category", args=[self.slug])


class ProductQuerySet(models.QuerySet):
    def matching(self, query: str) -> ProductQuerySet:
        """Products that hold each word of the query in their name, text or category."""
        found = self
        for word in query.split()[:8]:
            found = found.filter(
                models.Q(name__icontains=word)
                | models.Q(summary__icontains=word)
                | models.Q(category__name__icontains=word)
            )
        return found


class Product(models.Model):
    #: The id in the catalogue feed, and so in events.
    sku = models.CharField(max_length=50, unique=True)
    #: Also the name of the drawing in templates/shop/art/, if there is one.
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    category = models.ForeignKey(Category, models.PROTECT, related_name="products")
    price = models.DecimalField(max_digits=8, decimal_places=2)
    summary = models.CharField(max_length=140)
    description = models.TextField()
    material = models.CharField(max_length=80)
    size = models.CharField(max_length=80)
    hue = models.PositiveSmallIntegerField(help_text="Colour of the drawing, in degrees.")
    is_featured = models.BooleanField(default=False)

    objects = ProductQuerySet.as_manager()

    class Meta:
        ordering = ("category__position", "pk")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("shop:product", args=[self.slug])

    @property
    def art(self) -> tuple[str, str]:
        """Templates for the product's picture; the first that exists is taken."""
        return f"shop/art/{self.slug}.svg", "shop/art/none.svg"


class Order(models.Model):
    class Status(models.TextChoices):
        PENDING = "pending", "awaiting payment"
        PAID = "paid", "paid"
        DECLINED = "declined", "payment declined"

    # Not a number that counts up: it stands in URLs and in events.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="orders")
    name = models.CharField(max_length=120)
    street = models.CharField("street and number", max_length=120)
    postcode = models.CharField(max_length=20)
    city = models.CharField(max_length=80)
    shipping = models.DecimalField(max_digits=8, decimal_places=2)
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    created_at = models.DateTimeField(auto_now_add=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    #: What ``request.moloco.freeze()`` gave at checkout. It waits here for the payment, which is
    #: reported outside of the shopper's own requests, and is emptied then.
    shopper = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"Order {self.number}"

    def get_absolute_url(self) -> str:
        return reverse("shop:order", args=[self.pk])

    @property
    def number(self) -> str:
        """What the shopper sees."""
        return self.pk.hex[:8].upper()

    @property
    def subtotal(self) -> Decimal:
        return sum((line.total for line in self.lines.all()), Decimal(0))

    @property
    def total(self) -> Decimal:
        return self.subtotal + self.shipping

    def add_lines(self, lines: Iterable[Any]) -> None:
        """Write order lines for the lines of a cart, at today's price."""
        OrderLine.objects.bulk_create(
            OrderLine(
                order=self,
                product=line.product,
                name=line.product.name,
                price=line.product.price,
                quantity=line.quantity,
            )
            for line in lines
        )


class OrderLine(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT, related_name="+")
    name = models.CharField(max_length=80)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    quantity = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return f"{self.quantity} x {self.name}"

    @property
    def total(self) -> Decimal:
        return self.price * self.quantity
