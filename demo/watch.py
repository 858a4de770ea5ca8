"""Tell the diary what Acuse did with the cases, by looking into its database now and then."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from bot import dates
from console.desk.words import LANGUAGES, Dictionary, Words
from demo.standin import Diary

EVERY = 0.6  # seconds
log = logging.getLogger("demo")
_EVENTS = """
SELECT e.id, e.at, e.kind, e.data, e.actor, c.code, c.type, c.severity, c.due, c.account, p.name
  FROM case_events e JOIN cases c ON c.id = e.case_id JOIN people p ON p.id = c.person_id
 WHERE e.at >= %(since)s ORDER BY e.at, e.number"""
_BAD = ("undelivered",)
_TOLD = ("opened", "classified", "graded", "moved", "taken", "given back", "assigned", "flagged", "undelivered")


class Watch:
    """Reads only."""

    def __init__(self, url: str, diary: Diary, kinds: Mapping[str, str], since: datetime) -> None:
        self._url = url
        self._diary = diary
        self._kinds = kinds
        self._since = since
        self._told: set[Any] = set()
        self._words = Dictionary()

    async def run(self) -> None:
        """Until cancelled; a database that is away for a moment is asked again."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, row_factory=dict_row
                ) as connection:
                    while True:
                        await self._look(connection)
                        await asyncio.sleep(EVERY)
            except psycopg.Error as error:
                log.info("the database is not there: %s", type(error).__name__)
                await asyncio.sleep(1)

    async def _look(self, connection: psycopg.AsyncConnection[dict[str, Any]]) -> None:
        cursor = await connection.execute(_EVENTS, {"since": self._since})
        for row in await cursor.fetchall():
            if row["id"] not in self._told:
                self._told.add(row["id"])
                self._tell(row)

    def _tell(self, row: dict[str, Any]) -> None:
        if row["kind"] not in _TOLD:
            return
        told = {}
        for language in LANGUAGES:
            parts = [row["code"], row["name"] or "", _detail(row, self._words[language])]
            told[language] = ", ".join(one for one in parts if one)
        tone = "bad" if row["kind"] in _BAD else "ok" if row["kind"] == "opened" else ""
        kind = self._kinds.get(row["account"], row["account"])
        self._diary.write(kind, f"e_{row['kind'].replace(' ', '_')}", told, tone, at=row["at"])


def _detail(row: dict[str, Any], words: Words) -> str:
    """What happened, in the words that the console has for it."""
    data = row["data"]
    match row["kind"]:
        case "opened":
            due = f", {dates.day(row['due'], words.language)}" if isinstance(row["due"], date) else ""
            return f"{words.of('type', row['type'])}, {words.of('severity', row['severity']).lower()}{due}"
        case "moved":
            return words.of("state", str(data.get("to", "")))
        case "classified":
            return words.of("type", str((data.get("type") or [""])[-1]))
        case "graded":
            return words.of("severity", str((data.get("severity") or [""])[-1]))
        case "flagged":
            return words.of("flag", str(data.get("reason", "")))
        case "undelivered":
            return str(data.get("reason", ""))
        case "assigned":
            return str(data.get("to", ""))
    return ""
