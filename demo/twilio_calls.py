"""What Twilio calls us with: the fields of a message and of a status, and the signature over them."""

from collections.abc import Mapping, Sequence

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]  # it ships no types

WHATSAPP = "whatsapp:"
VERSION = "2010-04-01"


def signature(url: str, fields: Mapping[str, str], token: str, algorithm: str | None = None) -> str:
    """As Twilio's own library makes it."""
    return str(RequestValidator(token).compute_signature(url, dict(fields), algorithm))


def written(
    text: str,
    *,
    sid: str,
    account: str,
    sender: str,
    to: str,
    profile: str = "",
    media: Sequence[tuple[str, str]] = (),
) -> dict[str, str]:
    """A person wrote. `media`: address and type of each file."""
    fields = {
        "MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "AccountSid": account, "Body": text, "From": sender,
        "To": to, "NumMedia": str(len(media)), "NumSegments": "1", "SmsStatus": "received", "ApiVersion": VERSION,
    }  # fmt: skip
    if sender.startswith(WHATSAPP):
        number = sender.removeprefix(WHATSAPP).removeprefix("+")
        fields |= {"ProfileName": profile, "WaId": number, "MessageType": "text", "ReferralNumMedia": "0"}
    for number_, (address, type_) in enumerate(media):
        fields |= {f"MediaUrl{number_}": address, f"MediaContentType{number_}": type_}
    return fields


def callback(status: str, *, sid: str, account: str, sender: str, to: str, code: int | None = None) -> dict[str, str]:
    """What became of a message of ours. `code`: why it failed."""
    fields = {
        "MessageSid": sid, "SmsSid": sid, "MessageStatus": status, "SmsStatus": status, "AccountSid": account,
        "ApiVersion": VERSION, "From": sender, "To": to,
    }  # fmt: skip
    if to.startswith(WHATSAPP):
        fields |= {"ChannelPrefix": "whatsapp", "ChannelToAddress": to.removeprefix(WHATSAPP)}
    if code is not None:
        fields |= {"ErrorCode": str(code), "ErrorMessage": "as simulated"}
    return fields
