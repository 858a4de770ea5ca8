"""The proof of a whole case: all that was sent, to which address, when, what became of it; and nobody can change it."""

import json
from datetime import timedelta
from typing import Any

import pytest

from bot.case_proof import CaseProofs, NoProof, as_text, digest_of, embedded
from channels.channel import DeliveryReport, Undeliverable
from storage.tables import Audit, CaseEvent
from tests.bot.rows import outgoing, rows
from tests.conftest import Clock
from tests.world import World

REPORT = "Llegó rota la licuadora del pedido 48213, quiero que me la cambien"


async def the_document(world: World, code: str) -> dict[str, Any]:
    made = await CaseProofs(world.parts).of(code, actor="operator")
    assert made is not None
    return made


async def test_it_holds_all_that_was_sent_with_each_state_and_its_time(world: World, clock: Clock) -> None:
    """R: what a regulator asks for. The words, the address, the provider's id, sent and delivered, and the hash."""
    talk = await world.write("chat", "ana", REPORT)
    await world.write("chat", "eva", "Otra cosa muy distinta: me cobraron dos veces la factura 991")
    clock.advance(timedelta(minutes=3))
    [receipt] = [one for one in await outgoing(world, "receipt") if one.conversation_id == talk]
    assert receipt.provider_id is not None
    said = DeliveryReport(account="chat", provider_id=receipt.provider_id, state="delivered", at=clock())
    await world.intake.keep("chat", said)
    world.memory("chat").fail(Undeliverable("gone"))
    await world.desk(await world.agent()).move(talk, "en_investigacion")
    await world.sending.run(talk)
    [case] = [one for one in await world.cases() if one.code == receipt.code]
    document = await the_document(world, case.code.lower().replace("-", " "))
    content = document["content"]
    assert content["case"]["code"] == case.code
    own = [one for one in await world.outgoing() if one.conversation_id == talk]
    told = {one["id"]: one for one in content["messages"]}
    assert {str(one.id) for one in own} == told.keys()
    assert [one["kind"] for one in told.values()] == ["ack", "receipt", "update"]
    assert {one["address"] for one in told.values()} == {"ana"}
    proof = told[str(receipt.id)]
    assert (proof["text"], proof["provider_id"], proof["state"]) == (receipt.text, receipt.provider_id, "delivered")
    assert [step["state"] for step in proof["steps"]] == ["sent", "delivered"]
    assert proof["steps"][-1]["at"] == clock().isoformat()
    failed = next(one for one in told.values() if one["kind"] == "update")
    assert (failed["state"], failed["steps"][-1]["reason"]) == ("failed", "gone")
    assert content["history"] == {"events": case.last_event, "hash": case.last_hash, "whole": True}
    assert document["sha256"] == digest_of(content)
    [audit] = [one for one in await rows(world, Audit) if one.action == "proof"]
    assert (audit.object, audit.detail["sha256"]) == (case.code, document["sha256"])


async def test_whoever_changes_it_is_found_out(world: World) -> None:
    await world.write("chat", "ana", REPORT)
    [case] = await world.cases()
    document, proofs = await the_document(world, case.code), CaseProofs(world.parts)
    assert proofs.check(as_text(document)).verdict == "ours"
    page = f'<p>…</p><script type="application/json" id="acuse-proof">{embedded(document)}</script>'
    assert proofs.check(page).verdict == "ours"
    assert proofs.check(json.dumps(document, sort_keys=True)).messages == len(document["content"]["messages"]) > 0
    changed = json.loads(as_text(document))
    changed["content"]["messages"][0]["address"] = "eva"
    assert proofs.check(as_text(changed)).verdict == "changed"
    changed["sha256"] = digest_of(changed["content"])  # a forger counts the hash anew
    assert proofs.check(as_text(changed)).verdict == "whole"  # and has no seal
    for nothing in ("", "{}", "[]", '{"format": "acuse-proof/1", "content": 3}', "<html>"):
        with pytest.raises(NoProof):
            proofs.check(nothing)


async def test_a_history_that_was_changed_behind_our_back_is_told(world: World) -> None:
    await world.write("chat", "ana", REPORT)
    [case] = await world.cases()
    async with world.parts.database.transaction() as tx:
        event = (await tx.cases.events(case.id))[0]
        assert isinstance(event, CaseEvent)
        event.actor = "nobody"
    assert (await the_document(world, case.code))["content"]["history"]["whole"] is False


async def test_of_no_case_there_is_no_proof_and_the_key_of_a_web_chat_does_not_leave(world: World) -> None:
    assert await CaseProofs(world.parts).of("PQR-0000000", actor="operator") is None
    assert await CaseProofs(world.parts).of("hola", actor="operator") is None
    await world.write("chat", "ana", REPORT)
    [case] = await world.cases()
    async with world.parts.database.transaction() as tx:
        for row in await tx.outbox.of_case(case.id):
            row.account, row.address = "webchat", "the key of the chat"
    text = as_text(await the_document(world, case.code))
    assert "the key of the chat" not in text and '"address": "webchat-' in text
