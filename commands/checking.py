"""`acuse check`: is everything right, and if not, what is to be done?"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import httpx
import typer

from bot.accounts import standing
from bot.parts import Parts
from bot.webhooks.handing import Watching, in_words
from channels.channel import Channel, Health, Listener, Webhook
from channels.desk_place import DeskPlace
from commands.passing import last_words, notice_words, unreachable, when
from commands.similar import similar_cases
from commands.telling import told
from installation import Configuration, data_folder, database_at, now, reachable, read_configuration, terminal
from machine import machine

CHECK_SECONDS = 30.0


def check() -> None:
    """Is everything right? Configuration, database, each channel live, and who would be alerted."""
    with told():
        config, data = read_configuration(), data_folder()
        terminal.print("[green]✓[/green] config.yaml")
        with database_at(config, data, beside=True) as base:
            _say_check(True, "database", reachable(base))
            healthy, desks = asyncio.run(_check_channels(config, base.url, data))
        if desks:
            _say_check(True, "alerts", f"cards in {', '.join(desks)}")
        if not config.company.alert_to:
            if not desks:
                _say_check(None, "alerts", "nobody would be alerted when a person is needed: set company.alert_to")
        elif all(kind != "email" for kind, _ in config.accounts.values()):
            _say_check(
                None, "alerts", "nobody would be alerted: company.alert_to needs an e-mail account to write from"
            )
        else:
            _say_check(True, "alerts", f"go to {', '.join(config.company.alert_to)}")
        if not healthy:
            raise typer.Exit(1)


async def _check_channels(config: Configuration, url: str, data: Path) -> tuple[bool, list[str]]:
    """Whether all are well, and which of them have a place for agents."""
    async with machine(config, url, data) as built:
        channels = built.parts.channels
        found = await asyncio.gather(*(_asked(channel) for channel in channels.values()))
        async with built.parts.database.transaction() as tx:
            last, notices = await tx.traffic.last(channels), await standing(built.parts, tx)
        for name, health in zip(channels, found, strict=True):
            told = filter(None, (health.detail, last_words(last.get(name), now()), health.remedy))
            _say_check(health.ok, name, "; ".join(told))
        for one in notices:
            _say_check(None, one.name, notice_words(one, now()))
        for name, fault in (await _unreachable(config, channels)).items():
            _say_check(None, name, fault)
        problem = built.reader.problem
        _say_check(None if problem else True, "understanding", problem or built.reader.source)
        if (hearing := built.parts.hearing) is not None:
            await hearing.warm()
            _say_check(None if hearing.problem else True, "voice notes", hearing.problem or "are listened to")
        _say_check(*await similar_cases(built))
        hooks_well = await _check_webhooks(config, built.parts)
    desks = [name for name, channel in channels.items() if isinstance(channel, DeskPlace) and channel.desk]
    return hooks_well and all(health.ok for health in found), desks


async def _check_webhooks(config: Configuration, parts: Parts) -> bool:
    """How each receiver took the last events; whether none of them fails."""
    if not config.webhooks:
        return True
    states = await Watching(parts, config.webhooks).look()
    well = True
    for name, state in states.items():
        sign, words = in_words(name, state, lambda moment: when(moment, now()))
        _say_check(sign, f"webhook {name}", words)
        well = well and sign is not False
    return well


async def _unreachable(config: Configuration, channels: Mapping[str, Channel]) -> dict[str, str]:
    """The accounts that only their provider's calls bring messages to, and that no call reaches."""
    addresses = {}
    for name, channel in channels.items():
        own = getattr(config.accounts[name][1], "public_url", None) if name in config.accounts else None
        address = own or config.company.public_url
        if isinstance(channel, Webhook) and not isinstance(channel, Listener) and address:
            addresses[name] = str(address)
    async with httpx.AsyncClient() as client:
        faults = await asyncio.gather(*(unreachable(client, address, name) for name, address in addresses.items()))
    return {name: fault for name, fault in zip(addresses, faults, strict=True) if fault}


async def _asked(channel: Channel) -> Health:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await channel.check()
    except TimeoutError:
        return Health(ok=False, detail=f"no answer within {CHECK_SECONDS:.0f} s", remedy="check address and network")


def _say_check(well: bool | None, name: str, detail: str) -> None:
    """None: it works, but look at it."""
    sign = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: "[yellow]![/yellow]"}[well]
    terminal.print(f"{sign} {name}:", end=" ")
    terminal.print(detail, markup=False)
