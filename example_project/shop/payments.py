"""What the shop and its payment provider agree on: a message in JSON, signed with a shared key."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Self
from uuid import UUID

SIGNATURE_HEADER = "X-Payment-Signature"


class NotANoticeError(ValueError):
    """The message is not one of these."""


@dataclass(frozen=True, slots=True)
class PaymentNotice:
    """What became of a payment, and the amount in the shop's currency."""

    order: UUID
    is_paid: bool
    amount: Decimal

    def dumps(self) -> bytes:
        fields = {"order": str(self.order), "paid": self.is_paid, "amount": str(self.amount)}
        return json.dumps(fields).encode()

    @classmethod
    def loads(cls, body: bytes) -> Self:
        """
        Return the notice in a message.

        :raises NotANoticeError: there is none
        """
        try:
            fields = json.loads(body)
            return cls(UUID(fields["order"]), fields["paid"] is True, Decimal(fields["amount"]))
        except (AttributeError, InvalidOperation, LookupError, TypeError, ValueError) as error:
            raise NotANoticeError from error


def signature(body: bytes, secret: str) -> str:
    """Return the signature that goes with a message."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_signed(body: bytes, claimed: str, secret: str) -> bool:
    """Return whether a message comes from somebody who knows the key."""
    return hmac.compare_digest(signature(body, secret).encode(), claimed.encode())
