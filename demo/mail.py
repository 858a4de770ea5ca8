"""A stand-in of a mail provider: our mailbox over IMAP, an outgoing server over SMTP, and the customers' mailboxes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.policy import default
from email.utils import format_datetime, formataddr, make_msgid, parseaddr

from demo.lines import line_server
from demo.mail_imap import ImapTalk, Mail
from demo.mail_smtp import SmtpTalk
from demo.provider import Failing, Picture
from demo.standin import Bubble, Diary, StandIn, State


@dataclass
class Kept:
    """One mail in our mailbox."""

    uid: int
    raw: bytes = field(repr=False)
    at: datetime


class MailStandIn(StandIn):
    """`address` is the account of ours; everybody else is a customer with a mailbox of their own."""

    kind = "email"

    def __init__(self, address: str, password: str, *, now: Callable[[], datetime], diary: Diary | None = None) -> None:
        super().__init__(now=now, diary=diary)
        self.address = address
        self.password = password
        self.mailbox: list[Kept] = []
        self.uidvalidity = 1
        self.imap_failing = Failing.NOT
        self.changed = asyncio.Event()
        self.asked_from = 1  # the lowest UID of the last search: what is below it is settled for the client
        self.token: str | None = None  # what XOAUTH2 must bring; None: it is refused
        self._next = 1
        self._bubbles: dict[int, Bubble] = {}

    @contextlib.asynccontextmanager
    async def serving(self, imap_port: int = 0, smtp_port: int = 0) -> AsyncIterator[tuple[int, int]]:
        """The ports of IMAP and SMTP, both without TLS."""
        async with (
            line_server(lambda reader, writer: ImapTalk(self, reader, writer).run(), imap_port) as imap,
            line_server(lambda reader, writer: SmtpTalk(self, reader, writer).run(), smtp_port) as smtp,
        ):
            yield imap, smtp

    # what a customer does

    def write(
        self,
        sender: str,
        subject: str,
        text: str,
        *,
        name: str = "",
        html: str | None = None,
        files: Sequence[tuple[str, str, bytes]] = (),
        in_reply_to: str | None = None,
        headers: Mapping[str, str] | None = None,
        to: str | None = None,
    ) -> str:
        """The customer writes to us. The Message-ID."""
        mail = EmailMessage(policy=WIRE)
        phone = self.phone(sender, name)
        mail["From"] = formataddr((name or (phone.name if phone.name != sender else ""), sender))
        mail["To"] = to or self.address
        mail["Subject"] = subject
        mail["Date"] = format_datetime(self.now())
        mail["Message-ID"] = made = make_msgid(domain=sender.rpartition("@")[2])
        if in_reply_to:
            mail["In-Reply-To"] = mail["References"] = in_reply_to
        for header, value in (headers or {}).items():
            mail[header] = value
        mail.set_content(text)
        if html:
            mail.add_alternative(html, subtype="html")
        for file, type_, content in files:
            maintype, _, subtype = type_.partition("/")
            mail.add_attachment(content, maintype=maintype, subtype=subtype, filename=file)
        pictures = [Picture(*one) for one in files]
        bubble = Bubble(id=made, mine=True, text=text, at=self.now(), files=pictures, subject=subject)
        self._bubbles[self.deliver(mail.as_bytes())] = self.show(phone, bubble)
        return made

    def reply(self, sender: str, text: str, *, files: Sequence[tuple[str, str, bytes]] = ()) -> str:
        """The customer answers our last mail, or begins."""
        ours = [one for one in self.phone(sender).bubbles if not one.mine]
        if not ours:
            return self.write(sender, text.split(".")[0][:60], text, files=files)
        last = ours[-1]
        subject = last.subject or ""
        subject = subject if subject.lower().startswith("re:") else f"Re: {subject}"
        to = last.extra.get("reply_to")
        return self.write(sender, subject, text, files=files, in_reply_to=last.id, to=to)

    def deliver(self, raw: bytes, at: datetime | None = None) -> int:
        """Any mail arrives in our mailbox. Its UID."""
        kept = Kept(self._next, raw, at or self.now())
        self._next += 1
        self.mailbox.append(kept)
        self._ring()
        return kept.uid

    def remove(self, uid: int) -> None:
        """Somebody deletes a mail of ours in another program."""
        self.mailbox = [one for one in self.mailbox if one.uid != uid]
        self._ring()

    def renumber(self) -> None:
        """The server counts anew, as after a restore."""
        self.uidvalidity += 1
        for number, one in enumerate(self.mailbox, 1):
            one.uid = number
        self._next = len(self.mailbox) + 1

    # what the servers ask and tell

    @property
    def mails(self) -> Sequence[Kept]:
        """All that is there, oldest first."""
        return self.mailbox

    @property
    def next_uid(self) -> int:
        """Of the next mail."""
        return self._next

    @property
    def slow_seconds(self) -> float:
        """How late it answers when it is slow."""
        return self.slowness.total_seconds()

    def fetched(self, mail: Mail) -> None:
        """We read a mail."""
        bubble = self._bubbles.get(mail.uid)
        if bubble and bubble.state is State.SENT:
            bubble.state = State.DELIVERED
            self.diary.write(self.kind, "taken")

    def sent(self, receiver: str, raw: bytes) -> None:
        """We sent a mail: to a customer, or to ourselves."""
        self.note("DATA", {"to": receiver})
        if receiver.partition("@")[0].partition("+")[0] + "@" + receiver.partition("@")[2] == self.address:
            self.deliver(raw)
            return
        mail = message_from_bytes(raw, policy=default)
        plain = mail.get_body(("plain", "html"))
        self.show(
            self.phone(receiver),
            Bubble(
                id=str(mail["Message-ID"]).strip(),
                mine=False,
                text=str(plain.get_content()).strip() if plain else "",
                at=self.now(),
                files=[_attached(part) for part in mail.iter_attachments()],
                state=State.DELIVERED,
                subject=str(mail["Subject"] or ""),
                raw=raw,
                extra={"reply_to": parseaddr(str(mail["Reply-To"] or ""))[1] or None},
            ),
        )

    def fail_imap(self, how: Failing) -> None:
        """Reading goes wrong: DOWN closes every connection, REFUSES the login, SLOW answers late."""
        self.imap_failing = how
        self._ring()

    def _ring(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


def _attached(part: EmailMessage) -> Picture:
    content = part.get_content()
    raw = content if isinstance(content, bytes) else str(content).encode()
    return Picture(part.get_filename() or "", part.get_content_type(), raw)
