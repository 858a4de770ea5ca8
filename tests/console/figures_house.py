"""A house whose figures can be worked out by hand: fourteen days of Nube, 16 February to 1 March 2026, in Bogotá.

Each day: 3 cases by Telegram (reclamo high, reclamo medium, queja low; two messages each), 2 by e-mail (peticion low,
sugerencia low; one message each), and on odd days 1 by web chat (reclamo critical; one message). So there are

- cases: Telegram 42, e-mail 28, web chat 7, together 77; messages: 84 + 2 at the edges, 28, 7, together 121;
- reclamo 14 medium, 14 high, 7 critical; queja, peticion and sugerencia 14 low each;
- Acks after 2, 30 and 1 s, Answers after 5, 40 and 3 s by channel; a person after 2 min for each reclamo high;
- solved: the 7 critical ones by the customer (closed), the 14 quejas only by an agent;
- open 80: 77 - 7, and the ten of the days before; overdue the 7 peticiones that were due before today;
- before: ten cases by e-mail on 10 February, and one message by Telegram at 23:30 on the day before the period.
"""

from datetime import UTC, date, datetime, timedelta

from tests.figures_rows import Rows

FIRST, LAST = date(2026, 2, 16), date(2026, 3, 1)
QUERY = f"from={FIRST}&to={LAST}"
TODAY = date(2026, 3, 2)
MORNING = datetime(2026, 2, 16, 15, 0, tzinfo=UTC)  # 10:00 in Bogotá
DAILY = (
    ("telegram", "reclamo", "high"),
    ("telegram", "reclamo", "medium"),
    ("telegram", "queja", "low"),
    ("email", "peticion", "low"),
    ("email", "sugerencia", "low"),
    ("webchat", "reclamo", "critical"),
)
ACK = {"telegram": 2, "email": 30, "webchat": 1}
ANSWER = {"telegram": 5, "email": 40, "webchat": 3}
EDGES = (
    datetime(2026, 2, 16, 4, 30, tzinfo=UTC),  # 23:30 on the 15th: before
    datetime(2026, 2, 16, 5, 0, tzinfo=UTC),  # midnight: the period begins
    datetime(2026, 3, 2, 4, 30, tzinfo=UTC),  # 23:30 on the last day
    datetime(2026, 3, 2, 5, 15, tzinfo=UTC),  # 0:15 on the day after
)


async def furnish(rows: Rows) -> None:
    """Write it all."""
    for n in range(14):
        for account, type, severity in DAILY:
            if account != "webchat" or n % 2:
                _story(rows, MORNING + timedelta(days=n), account, type, severity)
    edge = rows.conversation("telegram", EDGES[0], name=None)
    for at in EDGES:
        rows.said(edge, at)
    for _ in range(10):
        at = datetime(2026, 2, 10, 15, 0, tzinfo=UTC)
        one = rows.conversation("email", at)
        rows.said(one, at)
        rows.case(one, at, "peticion", "low")
    await rows.write()


def _story(rows: Rows, at: datetime, account: str, type: str, severity: str) -> None:
    human = at + timedelta(minutes=2) if severity == "high" else None
    one = rows.conversation(account, at, first_human_at=human)
    turn = at + timedelta(seconds=ANSWER[account] - 1)
    rows.said(one, at, answered=turn)
    rows.left(one, "ack", at + timedelta(seconds=ACK[account]))
    if account == "telegram":
        rows.said(one, at + timedelta(seconds=1), answered=turn)
    rows.left(one, "receipt", at + timedelta(seconds=ANSWER[account]))
    if severity == "medium" and at < MORNING + timedelta(days=2):
        one.flagged_at, one.flag_reason = at, "asked"
    values: dict[str, object] = {}
    if type == "peticion":
        values["due"] = at.date() + timedelta(days=7)
    if severity == "critical":
        values |= {"solved_at": at, "solved_by": "customer", "closed_at": at, "status": "cerrado"}
    if type == "queja":
        values |= {"solved_at": at, "solved_by": "agent", "status": "cumplido"}
    rows.case(one, at, type, severity, **values)
