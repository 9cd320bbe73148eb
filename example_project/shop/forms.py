from __future__ import annotations

from types import MappingProxyType
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, UserCreationForm
from django.contrib.auth.models import User

from shop.cart import MAX_QUANTITY
from shop.models import Order

_EMAIL = {"label": "Email", "max_length": 150}


class QuantityForm(forms.Form):
    """How many of one product; with 0, out with it."""

    quantity = forms.IntegerField(min_value=0, max_value=MAX_QUANTITY)


class SignInForm(AuthenticationForm):
    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": "This address and this password do not go together."
    }
    # The address is the user name.
    username = forms.EmailField(
        **_EMAIL, widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True})
    )


class SignUpForm(UserCreationForm):
    username = forms.EmailField(
        **_EMAIL,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        error_messages={"unique": "There is an account with this address already."},
    )

    class Meta(UserCreationForm.Meta):
        model = User
        fields = ("username",)

    def save(self, commit: bool = True) -> Any:
        self.instance.email = self.cleaned_data["username"]
        return super().save(commit)


class CheckoutForm(forms.ModelForm):
    AUTOCOMPLETE = MappingProxyType(
        {
            "name": "name",
            "street": "street-address",
            "postcode": "postal-code",
            "city": "address-level2",
        }
    )

    class Meta:
        model = Order
        fields = ("name", "street", "postcode", "city")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, purpose in self.AUTOCOMPLETE.items():
            self.fields[name].widget.attrs["autocomplete"] = purpose
