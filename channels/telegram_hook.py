"""Being called by Telegram instead of asking it: the address, the proof that it is Telegram, how the calls fare."""

import asyncio
import hashlib
import hmac
import logging
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NoReturn
from urllib.parse import quote, urlsplit

from telegram import Bot, Update, WebhookInfo

from channels import telegram_reading, telegram_request
from channels.channel import Forged, Health, House, Malformed, Request, Unavailable
from channels.telegram_faults import Faults

logger = logging.getLogger(__name__)

HEADER = "x-telegram-bot-api-secret-token"
OFFICIAL = "https://api.telegram.org"
CONNECTIONS = 20  # calls at once; Telegram keeps the messages of one chat in order all the same
_PORTS = (None, 443, 80, 88, 8443)  # the only ones that Telegram calls
_LATELY = timedelta(minutes=15)  # it keeps on telling of its last failure, long after all is well again

_MENDED_BY: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.I), remedy)
    for pattern, remedy in (
        (r"\b(401|403)\b", "Start Acuse again: it sets the webhook and its secret anew. Does a proxy ask for a login?"),
        (r"\b404\b", "Does company.public_url lead to this Acuse? A proxy must pass /webhooks/ on unchanged."),
        (r"\b(301|302|307|308)\b|redirect", "Telegram follows no redirect: put the final https address in public_url."),
        (r"\b413\b", "The proxy refuses large bodies: let it take 1 MB below /webhooks/."),
        (r"\b5\d\d\b", "Telegram reaches the proxy, but Acuse does not answer behind it: is it running on that port?"),
        (r"ssl|certificate|tls", "The certificate must be valid and come with its whole chain (fullchain.pem)."),
        (r"resolve|getaddrinfo", "The name in company.public_url is not known to the world: look at its DNS entry."),
        (r"refused|timed? ?out|unreachable|reset", "Open port 443 to the world (149.154.160.0/20 and 91.108.4.0/22)."),
    )
)


class Hook:
    """The webhook of one account."""

    def __init__(self, account: str, token: str, house: House | None, faults: Faults, base: str = OFFICIAL) -> None:
        self._account = account
        self._faults = faults
        self._base = base
        self._anywhere = base != OFFICIAL  # a Bot API server of one's own calls any address
        self._path = f"/webhooks/{quote(account, safe='')}"
        self.url = f"{house.public_url}{self._path}" if house and house.public_url else None
        self._key = house.secret if house else None
        self._meant = f"telegram webhook\0{account}\0{token}".encode()  # another bot, another secret

    @property
    def secret(self) -> str | None:
        """What Telegram shows with every call; the same after every start, and kept nowhere."""
        return hmac.new(self._key, self._meant, hashlib.sha256).hexdigest() if self._key else None

    def update(self, request: Request) -> Update:
        """Check who calls, and give what the call brings. Raises Forged or Malformed."""
        secret, shown = self.secret, request.headers.get(HEADER, "")
        if secret is None or not hmac.compare_digest(shown.encode(errors="replace"), secret.encode()):
            raise Forged("telegram: without the secret of our webhook")
        if request.method != "POST":
            raise Malformed("telegram: it only posts")
        return telegram_request.update(request.body)

    async def look_after(self, bot: Bot, *, every: timedelta, now: Callable[[], datetime]) -> NoReturn:
        """Set it anew at each start, as its secret cannot be asked for; then see to it that it stays.

        Raises Unavailable.
        """
        if wrong := self.impossible():
            raise Unavailable(f"telegram: {wrong.detail}. {wrong.remedy}")
        told: datetime | None = None
        with self._faults.passing():
            await self._set(bot)
            while True:
                await asyncio.sleep(every.total_seconds())
                info = await bot.get_webhook_info()
                if info.url != self.url:
                    logger.warning("telegram: %s: somebody changed the webhook; it is set again", self._account)
                    await self._set(bot)
                elif (failure := failing(info, now())) and info.last_error_date != told:
                    told = info.last_error_date
                    logger.warning("telegram: %s: Telegram calls in vain: %s", self._account, failure)

    async def take_down(self, bot: Bot) -> None:
        """Before we ask again. Only our own: whoever else is called has a program that runs. Raises Unavailable."""
        with self._faults.passing():
            info = await bot.get_webhook_info()
            if strange := self.strange(info):
                raise Unavailable(f"telegram: {strange.detail}. {strange.remedy}")
            logger.info("telegram: %s: the webhook is taken down, we ask again", self._account)
            await bot.delete_webhook()  # what waits is kept, and comes with the next poll

    def strange(self, info: WebhookInfo) -> Health | None:
        """Why a webhook that is set must stay, where we ask. By its address alone it may be that of another Acuse."""
        if not info.url or info.url == self.url:
            return None
        at, away = urlsplit(info.url), f"open {self._base}/bot<token>/deleteWebhook once in a browser"
        if at.path != self._path:
            remedy = f"Stop the other program, then {away}."
            return Health(False, "somebody else gets this bot's messages, by a webhook", remedy)
        remedy = (
            f"Is that this Acuse? Start it once with company.public_url: {at.scheme}://{at.netloc} and it takes the"
            f" webhook down. Else stop the other one, then {away}."
        )
        return Health(
            False, f"somebody else, or we ourselves before, had this bot's messages sent to {at.netloc}", remedy
        )

    async def _set(self, bot: Bot) -> None:
        assert self.url is not None  # else it is impossible, and was found so
        await bot.set_webhook(
            self.url,
            max_connections=CONNECTIONS,
            allowed_updates=telegram_reading.KINDS,
            secret_token=self.secret,
        )

    def impossible(self) -> Health | None:
        """Why Telegram could never call us."""
        if self.url is None:
            remedy = "Set company.public_url to the https address of this server, or webhook to false."
            return Health(False, "webhook: true, but nobody knows where this server is", remedy)
        at = urlsplit(self.url)
        if not self._anywhere and (at.scheme != "https" or at.port not in _PORTS):
            remedy = "Telegram calls https addresses on port 443, 80, 88 or 8443: change company.public_url."
            return Health(False, f"Telegram does not call {at.scheme}://{at.netloc}", remedy)
        return None

    def health(self, info: WebhookInfo, now: datetime) -> Health | None:
        """What is wrong with the webhook, by what Telegram tells of it; None when all is well."""
        if not info.url:
            return Health(False, "no webhook is set", "Acuse sets it when it starts: is it running?")
        if info.url != self.url:
            remedy = "Another program, or another Acuse, uses this bot. Stop it, and start Acuse again; or make a bot."
            return Health(False, f"its messages go to {urlsplit(info.url).netloc}", remedy)
        if failure := failing(info, now):
            known = next((one for pattern, one in _MENDED_BY if pattern.search(failure)), None)
            detail = f"Telegram calls in vain, {info.pending_update_count} waiting: {failure}"
            return Health(False, detail, known or f"Can {self.url} be reached from outside?")
        return None


def failing(info: WebhookInfo, now: datetime) -> str | None:
    """The failure that Telegram met when it last called, unless that is over."""
    if info.last_error_date is None or not info.last_error_message:
        return None
    over = info.pending_update_count == 0 or now - info.last_error_date > _LATELY
    return None if over else info.last_error_message[:200]
