from __future__ import annotations

from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from django_moloco_rmp.decorators import page
from shop.forms import SignUpForm


@page("ACCOUNT_PAGE")
@login_required
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    orders = request.user.orders.prefetch_related("lines")
    return render(request, "shop/account.html", {"orders": orders})


@page("SIGN_UP_PAGE")
@sensitive_post_parameters("password1", "password2")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    target = request.POST.get("next") or request.GET.get("next") or ""
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure()):
        target = reverse("shop:account")
    form = SignUpForm(request.POST or None)
    if form.is_valid():
        # The cart stays: Django gives the session a new key and keeps what is in it.
        login(request, form.save())
        return redirect(target)
    return render(request, "shop/sign_up.html", {"form": form, "next": target})
