"""Acuse's front door: every command starts here; machine.py puts together what they run."""

import os
import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # what is imported next takes a second or two, and nothing has begun yet
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))

import sys
from io import TextIOWrapper

import typer

from commands import chatting, checking, keeping, mail, proof, serving, templates, training, understanding, webhooks
from commands.staff import users
from installation import terminal, version

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Acuse: nothing that a customer reports gets lost.",
)
for command in (
    serving.run,
    keeping.migrate,
    keeping.backup,
    keeping.restore,
    checking.check,
    chatting.chat,
    understanding.classify,
    training.train,
    training.evaluate,
    proof.proof,
    proof.check_proof,
):
    app.command()(command)
app.add_typer(users, name="user")
app.add_typer(templates.templates, name="templates")
app.add_typer(mail.mail, name="mail")
app.add_typer(webhooks.webhooks, name="webhooks")
app.add_typer(understanding.export, name="export")


@app.callback()
def _begin() -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for one in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(one) is signal.SIG_DFL:  # nohup has set the other
            signal.signal(one, signal.default_int_handler)  # the database must be stopped, as on Ctrl-C
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a sign that the terminal cannot show must stop nothing


@app.command("version")
def show_version() -> None:
    """Of this program."""
    terminal.print(version())


if __name__ == "__main__":
    app()
