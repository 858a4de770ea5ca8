"""Whether agents are shown similar cases, and what is missing if not."""

from bot.older_cases import LOOKS_BACK
from machine import Machine
from storage.similar import DIMENSIONS

Said = tuple[bool | None, str, str]


async def similar_cases(built: Machine) -> Said:
    """For a line of `acuse check`; nothing else depends on it, so it is never a fault."""
    async with built.parts.database.transaction() as tx:
        kept = await tx.similar.kept()
    if not kept:
        return None, "similar cases", (
            "are not shown: this database has no pgvector. Install it there, run CREATE EXTENSION vector as an"
            " administrator in this database, then `acuse migrate`"
        )  # fmt: skip
    found = await built.reader.embed(["hola"])
    if found is None or len(found[0]) != DIMENSIONS:
        return None, "similar cases", (
            "are not shown: the model gives no vectors that can be compared (python -m nlu.likeness_fit <its folder>"
            f" makes them for an encoder of {DIMENSIONS} numbers)"
        )  # fmt: skip
    return True, "similar cases", await _shown(built)


async def _shown(built: Machine) -> str:
    space = built.reader.space
    assert space is not None  # it has given a vector
    async with built.parts.database.transaction() as tx:
        lacking = await tx.similar.lacking(space, built.parts.now() - LOOKS_BACK)
    if not lacking:
        return "are shown beside a case"
    cases = "1 case still lacks" if lacking == 1 else f"{lacking:,} cases still lack"
    return f"are shown beside a case; {cases} a vector of this model: `acuse run` makes them little by little"
