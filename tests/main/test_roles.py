"""Web, worker and listener in processes of their own, on one database of ours."""

import signal
from collections.abc import Callable

import httpx

from tests.main.house import House, Visitor, gone, until


def test_three_processes_share_one_database_that_the_first_has_running(a_house: Callable[..., House]) -> None:
    house = a_house()
    runs = [house.start("run", "--role", role) for role in ("worker", "web", "listener")]
    until(house.healthy, what="a start")
    parts = set(httpx.get(f"{house.address}/health").json()["parts"])
    assert {"web", "bell"} <= parts
    assert not parts & {"worker", "timers"}
    until(lambda: all("runs as" in run.said for run in (runs[0], runs[2])), what="the start of all")
    visitor = Visitor(house)
    visitor.say("Llegó rota la licuadora del pedido 48213")
    until(lambda: visitor.answers() >= 2, what="an answer by the other process")

    database = house.postgres
    owner = int((house.data / "postgres" / "lock").read_text())
    runs.sort(key=lambda run: run.process.pid == owner)  # the one that has the database running stops last
    assert runs[-1].process.pid == owner
    for run in runs:
        assert not gone(database)
        code, _ = run.stop(signal.SIGTERM)
        assert (code, run.complained) == (0, "")
    assert gone(database)
