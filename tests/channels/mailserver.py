"""A whole mail server for tests, on free ports of this machine: Postfix takes mail, Dovecot keeps and shows it.

`intake@test.local`, `ana@test.local` and `box00…box29@test.local` exist, with the password `s3creto`.
"""

import imaplib
import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

PASSWORD = "s3creto"
APT = "apt-get install --no-install-recommends dovecot-imapd dovecot-lmtpd dovecot-submissiond postfix openssl"
_USER = "dovecot"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOCALS = ("pickup cleanup qmgr tlsmgr rewrite bounce defer trace verify flush proxymap proxywrite smtp relay showq "
           "error retry discard local virtual lmtp anvil scache postlog")  # fmt: skip


def missing() -> str | None:
    """Why there can be no mail server here; None if there can."""
    tools = all(shutil.which(tool, path=_PATH) for tool in ("dovecot", "postfix", "openssl"))
    return None if tools and os.geteuid() == 0 else f"as root with: {APT}"


class MailServer:
    """Start it, `kill_imap` and `start_imap` it as often as you like, and stop it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.imap, self.imaps, self.submission, self.lmtp, self.smtp = _free_ports(5)
        self.certificate = folder / "cert.pem"
        self._dovecot: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._write_dovecot()
        self._write_postfix()
        self.start_imap()
        _run("postfix", "-c", str(self.folder / "etc"), "start")
        for port in (self.submission, self.lmtp, self.smtp):
            _listening(port)

    def start_imap(self) -> None:
        command = ["dovecot", "-F", "-c", str(self.folder / "dovecot.conf")]
        with (self.folder / "dovecot.out").open("ab") as out:
            self._dovecot = subprocess.Popen(
                command, stdout=out, stderr=out, start_new_session=True, env={"PATH": _PATH}
            )
        _listening(self.imaps)

    def kill_imap(self) -> None:
        """As a power cut would."""
        if self._dovecot is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._dovecot.pid, signal.SIGKILL)
            self._dovecot.wait(10)

    def stop(self) -> None:
        with suppress(subprocess.CalledProcessError):
            _run("postfix", "-c", str(self.folder / "etc"), "stop")
        self.kill_imap()

    def deliver(self, receiver: str, raw: bytes | str, sender: str = "ana@test.local") -> None:
        """As another server would: SMTP with STARTTLS to Postfix."""
        with smtplib.SMTP("127.0.0.1", self.smtp, timeout=20) as client:
            client.starttls(context=self._tls())
            client.sendmail(sender, [receiver], raw)

    def client(self, user: str) -> imaplib.IMAP4_SSL:
        """Another program that reads the same mailbox."""
        other = imaplib.IMAP4_SSL("127.0.0.1", self.imaps, ssl_context=self._tls(), timeout=20)
        other.login(user, PASSWORD)
        return other

    def put(self, user: str, raw: bytes, *, folder: str = "INBOX", at: float | None = None) -> None:
        """Lay a mail into a folder without any delivery, as received at that moment (seconds since 1970)."""
        other = self.client(user)
        other.append(folder, "", time.time() if at is None else at, raw)
        other.logout()

    def count(self, user: str) -> int:
        other = self.client(user)
        number = int((other.select("INBOX", readonly=True)[1][0] or b"0").decode())
        other.logout()
        return number

    def renumber(self, user: str) -> None:
        """Let the mailbox get another UIDVALIDITY, as a move to another server would."""
        home = self.folder / "mail" / user
        names = home / "dovecot-uidlist"
        head, _, rest = names.read_text().partition("\n")
        fields = [f"V{int(one[1:]) + 7}" if one.startswith("V") else one for one in head.split(" ")]
        names.write_text(" ".join(fields) + "\n" + rest)
        for index in home.glob("dovecot.index*"):
            index.unlink()

    def settings(self, user: str, **more: Any) -> dict[str, Any]:
        """The section of config.yaml for one of the mailboxes."""
        return {
            "address": user,
            "name": "Nube",
            "password": PASSWORD,
            "imap": {"host": "127.0.0.1", "port": self.imaps, "ca_file": str(self.certificate)},
            "smtp": {"host": "127.0.0.1", "port": self.submission, "ca_file": str(self.certificate)},
            **more,
        }

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def _write_dovecot(self) -> None:
        for name in ("run", "state", "mail"):
            (self.folder / name).mkdir()
        _run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-keyout", str(self.folder / "key.pem"), "-out", str(self.certificate),
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")  # fmt: skip
        boxes = ["intake", "ana", *(f"box{number:02}" for number in range(30))]
        (self.folder / "users").write_text("".join(f"{box}@test.local:{{PLAIN}}{PASSWORD}\n" for box in boxes))
        (self.folder / "dovecot.conf").write_text(_DOVECOT.format(b=self.folder, user=_USER, **self._ports()))
        shutil.chown(self.folder, _USER)
        for path in self.folder.rglob("*"):
            shutil.chown(path, _USER)

    def _write_postfix(self) -> None:
        for name in ("etc", "spool", "data"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        (self.folder / "etc" / "main.cf").write_text(_POSTFIX.format(b=self.folder, **self._ports()))
        candidates = (Path("/usr/share/postfix/master.cf.dist"), Path("/etc/postfix/master.cf.proto"))
        lines = next(path for path in candidates if path.exists()).read_text().splitlines()
        master = "\n".join(self._service(line) for line in lines)
        (self.folder / "etc" / "master.cf").write_text(master + "\n")

    def _service(self, line: str) -> str:
        fields = line.split()
        if fields[:2] == ["smtp", "inet"]:
            return f"127.0.0.1:{self.smtp} inet n - n - - smtpd"
        if fields and not line[0].isspace() and fields[0] in _LOCALS.split():
            fields[4] = "n"  # no chroot: the folder is a throw-away
            return " ".join(fields)
        return line

    def _ports(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("imap", "imaps", "submission", "lmtp", "smtp")}


def serve() -> Iterator[MailServer]:
    """For a session fixture: a server that is stopped and removed in the end."""
    folder = Path(tempfile.mkdtemp(prefix="acuse-mail-"))
    folder.chmod(0o755)
    server = MailServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _run(*command: str) -> None:
    subprocess.run(
        command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={"PATH": _PATH}, timeout=60,
    )  # fmt: skip


def _listening(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}")


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


_DOVECOT = """
base_dir = {b}/run
state_dir = {b}/state
log_path = {b}/dovecot.log
protocols = imap lmtp submission
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {user}
default_login_user = {user}
mail_location = maildir:{b}/mail/%u
mail_uid = {user}
mail_gid = {user}
first_valid_uid = 1
recipient_delimiter = +
ssl = yes
ssl_cert = <{b}/cert.pem
ssl_key = <{b}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {b}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={user} home={b}/mail/%u
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service submission-login {{
  chroot =
  inet_listener submission {{
    port = {submission}
  }}
}}
submission_relay_host = 127.0.0.1
submission_relay_port = {smtp}
submission_relay_trusted = yes
hostname = localhost
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
namespace inbox {{
  inbox = yes
  mailbox "Peticiones & más" {{
    auto = create
  }}
}}
protocol lmtp {{
  postmaster_address = postmaster@test.local
}}
"""
_POSTFIX = """
compatibility_level = 3.6
queue_directory = {b}/spool
data_directory = {b}/data
maillog_file = {b}/postfix.log
maillog_file_prefixes = {b}
myhostname = localhost
mydestination =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = test.local
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
default_transport = error:5.7.1 only test.local here
relay_transport = error
smtpd_tls_cert_file = {b}/cert.pem
smtpd_tls_key_file = {b}/key.pem
smtpd_tls_security_level = may
smtpd_relay_restrictions = permit_mynetworks, reject
smtputf8_enable = yes
minimal_backoff_time = 5s
maximal_backoff_time = 20s
queue_run_delay = 5s
"""
