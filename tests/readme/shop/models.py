from __future__ import annotations

from django.db import models


class Product(models.Model):
    sku = models.CharField(max_length=20)
    price = models.DecimalField(max_digits=9, decimal_places=2)

    def __str__(self) -> str:
        return self.sku


class CartLine(models.Model):
    product = models.ForeignKey(Product, on_delete=models.CASCADE)
    quantity = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product}"


class Order(models.Model):
    shopper = models.JSONField()

    def __str__(self) -> str:
        return f"order {self.pk}"
