"""`acuse migrate`, `backup` and `restore`: the database and the files, kept safe."""

from pathlib import Path
from typing import Annotated

import typer

from commands.telling import told
from installation import (
    Remedy,
    bring_up_to_date,
    data_folder,
    database_at,
    now,
    programs_of,
    reachable,
    read_configuration,
    terminal,
    version,
)
from storage import backup as backups


def migrate() -> None:
    """Bring the database up to date."""
    with told():
        config, data = read_configuration(), data_folder()
        with database_at(config, data, beside=True) as base:
            bring_up_to_date(base, data)
    terminal.print("The database is up to date.")


def backup(file: Path) -> None:
    """Save the database and all attachments into one file. Acuse may go on meanwhile."""
    with told():
        if file.is_dir():
            raise Remedy(f"{file} is a folder: give the name that the file shall have in it.")
        if not file.absolute().parent.is_dir():
            raise Remedy(f"There is no folder {file.absolute().parent}: make it, or save elsewhere.")
        config, data = read_configuration(), data_folder()
        with database_at(config, data, beside=True) as base:
            reachable(base)
            made = backups.dump(
                base.url, programs_of(base), data / "files", file.absolute(), version=version(), now=now
            )
    files = len(made.members) - 1
    what = f"the database and {files} attachment{'' if files == 1 else 's'}"
    terminal.print(f"Saved in {file}: {what}. Keep {data / 'secret'} safe as well.", markup=False)


def restore(file: Path, force: Annotated[bool, typer.Option(help="replace what is there")] = False) -> None:
    """Put a backup back into an empty database. Stop Acuse first."""
    with told():
        config, data = read_configuration(), data_folder()
        with database_at(config, data) as base:
            reachable(base)
            backups.restore(file, base.url, programs_of(base), data / "files", force=force)
            bring_up_to_date(base, data)
    terminal.print("Restored.")
