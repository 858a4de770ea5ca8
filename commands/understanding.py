"""`acuse classify` and `acuse export labels`: what the text model reads, and what agents taught it."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, TextIO

import typer

from bot.learning import NoConsent, examples
from commands.telling import told
from installation import (
    Base,
    Configuration,
    Remedy,
    bring_up_to_date,
    data_folder,
    database_at,
    read_configuration,
    terminal,
)
from machine import machine
from nlu.classify import classify_lines
from nlu.understander import open_understander

export = typer.Typer(no_args_is_help=True, help="Give out what Acuse has learned.")


def classify(
    file: Annotated[Path | None, typer.Argument(help="JSON lines {id, text}; - or nothing: stdin")] = None,
) -> None:
    """Understand messages: JSON lines in, JSON lines out."""
    with told():
        config = read_configuration()
        asyncio.run(_classify(config, file))


async def _classify(config: Configuration, file: Path | None) -> None:
    with _lines_of(file) as lines:
        reader = await open_understander(config.nlu)
        async for line in classify_lines(lines, reader, country=config.company.country):
            print(line, flush=True)  # noqa: T201  this is the command's output
        await reader.close()


def _lines_of(file: Path | None) -> TextIO:
    if file is None or str(file) == "-":
        return open(sys.stdin.fileno(), encoding="utf-8", errors="replace", closefd=False)
    try:
        return file.open(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Remedy(f"{file} cannot be read ({error.strerror}): give a file of lines {{id, text}}.") from error


@export.command("labels")
def export_labels(file: Annotated[Path, typer.Argument(help="JSON lines; must not be there yet")]) -> None:
    """Cases that agents corrected, as anonymous examples that `acuse train` reads."""
    with told():
        config, data = read_configuration(), data_folder()
        with database_at(config, data, beside=True) as base:
            bring_up_to_date(base, data)
            count = asyncio.run(_export(config, base, data, file))
    terminal.print(f"{count} corrected cases in {file}. Read them through before you pass them on.", markup=False)


async def _export(config: Configuration, base: Base, data: Path, file: Path) -> int:
    try:
        async with machine(config, base.url, data, reading=False) as built:
            lines = [line async for line in examples(built.parts)]
        with file.open("x", encoding="utf-8") as out:
            out.writelines(line + "\n" for line in lines)
    except NoConsent as fault:
        raise Remedy(str(fault)) from fault
    except OSError as error:
        raise Remedy(f"{file} cannot be written ({error.strerror}): give the path of a new file.") from error
    return len(lines)
