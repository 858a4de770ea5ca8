"""`acuse mail login`: give Acuse access to a mailbox whose provider takes no passwords."""

import asyncio
from typing import Annotated

import typer

from channels.channel import Unavailable
from channels.mail_login import login
from channels.mail_oauth import save_refresh_token
from channels.mail_settings import Settings
from commands.telling import told
from installation import Remedy, read_configuration, terminal

HELP = "docs/channels/email.md"


mail = typer.Typer(no_args_is_help=True, help="Mailboxes.")


@mail.command("login")
def log_in(
    account: str,
    port: Annotated[int, typer.Option(help="of this machine, for the browser to come back to; 0: any")] = 0,
) -> None:
    """Log in once, in a browser or with a code on another device; Acuse keeps the permission."""
    with told():
        _log_in(account, port)


def _log_in(account: str, port: int) -> None:
    known = read_configuration().accounts
    _, settings = known.get(account, ("", None))
    if not isinstance(settings, Settings):
        mailboxes = ", ".join(name for name, (_, one) in known.items() if isinstance(one, Settings)) or "none"
        raise Remedy(f"{account} is no e-mail account of config.yaml; there is: {mailboxes}. See {HELP}.")
    oauth = settings.oauth
    if oauth is None or oauth.token_file is None:
        raise Remedy(f"{account} needs oauth.token_file in config.yaml, where the permission is kept. See {HELP}.")
    if oauth.app_only:
        raise Remedy(f"{account} uses the program's own permission (app_only): nobody logs in.")
    try:
        token = asyncio.run(login(oauth, settings.address, lambda line: terminal.print(line, markup=False), port=port))
    except Unavailable as fault:
        raise Remedy(str(fault)) from fault
    try:
        save_refresh_token(oauth.token_file, token)
    except OSError as error:
        raise Remedy(
            f"{oauth.token_file} cannot be written ({error.strerror}): run this as the user that runs Acuse, or change"
            " oauth.token_file in config.yaml; then log in again."
        ) from error
    terminal.print(f"Kept in {oauth.token_file}, readable by you alone. Now try: acuse check", markup=False)
