"""Signatures in the form of Standard Webhooks 1.0 (standardwebhooks.com): any of its libraries checks them."""

import base64
import hashlib
import hmac
from collections.abc import Sequence


def signature(key: bytes, message_id: str, seconds: int, body: bytes) -> str:
    """`v1,…` over id, time and the very bytes of the body."""
    signed = f"{message_id}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers(keys: Sequence[bytes], message_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """The three headers; while a secret is changed there are two keys, and a receiver that knows either is content."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(signature(key, message_id, seconds, body) for key in keys),
    }
