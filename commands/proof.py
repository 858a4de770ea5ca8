"""`acuse proof` and `acuse check-proof`: all that was sent of a case, as a file; and whether such a file is whole."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from bot.case_proof import CaseProofs, Checked, NoProof, as_text
from commands.telling import told
from installation import Configuration, Remedy, data_folder, database_at, reachable, read_configuration, terminal
from machine import machine

CHANGED = 1  # exit code


def proof(code: str, file: Annotated[Path | None, typer.Argument(help="default: proof-CODE.json")] = None) -> None:
    """Write everything that was sent of a case: to which address, when, the provider's ids and states, and a hash."""
    with told():
        config, data = read_configuration(), data_folder()
        with database_at(config, data, beside=True) as base:
            reachable(base)
            document = asyncio.run(_made(config, base.url, data, code))
        if document is None:
            raise Remedy(f"There is no case {code}: write its code as the customer has it, for instance PQR-7K3M9QX.")
        content = document["content"]
        target = file or Path(f"proof-{content['case']['code']}.json")
        try:
            target.write_text(as_text(document), encoding="utf-8")
        except OSError as error:
            raise Remedy(f"{target} cannot be written ({error.strerror}): name another file.") from error
    terminal.print(f"{len(content['messages'])} messages in {target}, SHA-256 {document['sha256']}", markup=False)


def check_proof(file: Path) -> None:
    """Is a file that `acuse proof` or the console made as it was? Exit code 1: it was changed."""
    with told():
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Remedy(f"{file} cannot be read: name a file that `acuse proof` or the console made.") from error
        config, data = read_configuration(), data_folder()
        with database_at(config, data, beside=True) as base:
            try:
                found = asyncio.run(_checked(config, base.url, data, text))
            except NoProof as fault:
                raise Remedy(f"{file}: {fault}.") from fault
        said = {
            "ours": "whole, and made by this installation",
            "whole": "whole, but not made by this installation (or with another secret)",
            "changed": "CHANGED: its content is not what its hash says",
        }[found.verdict]
        terminal.print(
            f"{found.code}, {found.messages} messages, made {found.made_at}: {said}. SHA-256 {found.sha256}",
            markup=False,
        )
        if found.verdict == "changed":
            raise typer.Exit(CHANGED)


async def _made(config: Configuration, url: str, data: Path, code: str) -> dict[str, Any] | None:
    async with machine(config, url, data, reading=False) as built:
        return await CaseProofs(built.parts).of(code, actor="operator")


async def _checked(config: Configuration, url: str, data: Path, text: str) -> Checked:
    async with machine(config, url, data, reading=False) as built:
        return CaseProofs(built.parts).check(text)
