from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path
from django.views.generic import TemplateView

from shop.forms import SignInForm
from shop.views import account, bank, cart, catalogue, checkout, payment, wishlist

app_name = "shop"
urlpatterns = [
    path("", catalogue.home, name="home"),
    path("category/<slug:slug>/", catalogue.category, name="category"),
    path("search/", catalogue.search, name="search"),
    path("product/<slug:slug>/", catalogue.ProductPage.as_view(), name="product"),
    path("about/", TemplateView.as_view(template_name="shop/about.html"), name="about"),
    path("wishlist/", wishlist.show, name="wishlist"),
    path("wishlist/add/<slug:slug>/", wishlist.add, name="wishlist-add"),
    path("wishlist/remove/<slug:slug>/", wishlist.remove, name="wishlist-remove"),
    path("cart/", cart.show, name="cart"),
    path("cart/add/<slug:slug>/", cart.add, name="cart-add"),
    path("cart/change/<slug:slug>/", cart.change, name="cart-change"),
    path("account/", account.show, name="account"),
    path("account/sign-up/", account.sign_up, name="sign-up"),
    path(
        "account/sign-in/",
        LoginView.as_view(
            template_name="shop/login.html",
            authentication_form=SignInForm,
            redirect_authenticated_user=True,
        ),
        name="login",
    ),
    path("account/sign-out/", LogoutView.as_view(), name="logout"),
    path("checkout/", checkout.checkout, name="checkout"),
    path("orders/<uuid:pk>/", checkout.order, name="order"),
    path("payments/webhook/", payment.webhook, name="webhook"),
    path("bank/<uuid:pk>/", bank.pay, name="bank"),
]
