"""What the numbers say, in a sentence over each chart."""

from datetime import date

from bot.figures import Standing
from console.desk.board import FEW, Board, WaitRow
from console.desk.numbers import Numbers
from console.desk.pages import Tell
from console.desk.words import Words

WORTH_SAYING = 0.01  # a change of share below one point is noise
ENOUGH = 30  # counted before, or a change of share says nothing


class Findings:
    """For one board and one reader."""

    def __init__(self, board: Board, words: Words, numbers: Numbers, tell: Tell) -> None:
        self._board = board
        self._w = words
        self._n = numbers
        self._tell = tell

    def mix(self) -> str:
        """Who brings most, the day with most, and who gained and lost."""
        board, w = self._board, self._w
        rows = [row for row in board.channels() if row.share]
        if not rows:
            return w("mix_none")
        first = max(rows, key=lambda row: row.share or 0)
        if len(rows) == 1:
            said = [w("mix_only", name=first.series.name)]
        else:
            counts = first.cases if board.counted == "cases" else first.messages
            share = self._n.share(counts.n, board.total)
            said = [w("mix_top", name=first.series.name, share=share, of=w(f"of_{board.counted}"))]
        peak = self.peak()
        if peak is not None and len(board.period.days()) > 1:
            said.append(w("mix_day", day=self._tell.day(peak), n=self._n.count(board.on(peak))))
        return " ".join([*said, *self._moves()])

    def _moves(self) -> list[str]:
        moved = [row for row in self._board.channels() if row.change is not None]
        if not moved or min(self._board.total, self._board.total_before) < ENOUGH:
            return []
        up, down = max(moved, key=lambda row: row.change or 0), min(moved, key=lambda row: row.change or 0)
        more, less = up.change or 0, -(down.change or 0)
        if min(more, less) < WORTH_SAYING:
            return []
        blanks = {"more": self._n.decimal(100 * more), "less": self._n.decimal(100 * less)}
        days = len(self._board.period.days())
        return [self._w("mix_moves", days=days, up=up.series.name, down=down.series.name, **blanks)]

    def peak(self) -> date | None:
        """The day with most; the first of equal ones."""
        day = max(self._board.period.days(), key=self._board.on)
        return day if self._board.on(day) else None

    def types(self) -> str:
        """The type that comes most, and how many are critical."""
        w, rows = self._w, self._board.types()
        whole = sum(total.n for _, _, total in rows)
        if not whole:
            return w("types_none")
        type, _, total = max(rows, key=lambda row: row[2].n)
        if w.has(f"many_{type}_other"):
            count = w(f"many_{type}_{'one' if total.n == 1 else 'other'}", n=self._n.count(total.n))
        else:
            count = f"{type}: {self._n.count(total.n)}"
        critical = self._board.severities()[-1].n
        told = w("critical_none") if not critical else w.many("critical", critical)
        return w("types_top", count=count, share=self._n.share(total.n, whole)) + " " + told

    def waits(self, rows: list[WaitRow]) -> str:
        """Ack and first person, on all channels; nothing is said of what was hardly measured."""
        whole = {row.kind: row.wait for row in rows if row.wait is not None}
        said = [
            self._w(f"waits_{kind}", p50=self._n.wait(wait.p50), p95=self._n.wait(wait.p95))
            for kind, wait in whole.items()
            if kind != "answer" and wait.count >= FEW
        ]
        if said or whole:
            return " ".join(said) or self._w("foot_few").lstrip("* ").capitalize() + "."
        return self._w("waits_none")

    def understood(self) -> str:
        """How many cases were in doubt or corrected, and whether the model was away."""
        weeks = self._board.understood
        whole = sum(week.cases for week in weeks)
        if not whole:
            return self._w("understood_none")
        doubtful, corrected = sum(week.doubtful for week in weeks), sum(week.corrected for week in weeks)
        if doubtful or corrected:
            shares = {"doubtful": self._n.share(doubtful, whole), "corrected": self._n.share(corrected, whole)}
            said = self._w("understood_some", n=self._n.count(whole), **shares)
        else:
            said = self._w("understood_well", n=self._n.count(whole))
        by_rules = sum(week.by_rules for week in weeks)
        return said + (" " + self._w("understood_rules", share=self._n.share(by_rules, whole)) if by_rules else "")

    def surveys(self) -> str:
        """How satisfied they are, with n."""
        told, n = self._board.satisfaction, self._n
        if not told.rated:
            return self._w("surveys_none")
        said = [self._w("surveys_some", share=n.share(told.good, told.rated), n=n.count(told.rated))]
        if told.nps is not None:
            said.append(self._w("surveys_nps", nps=n.score(told.nps), n=n.count(told.recommended)))
        if told.asked_again:
            blanks = {"won": n.count(told.won_back)}
            said.append(self._w.many("surveys_won", told.asked_again, **blanks))
        return " ".join([*said, self._w("surveys_few")] if told.rated < FEW else said)

    def surveyed(self) -> str:
        """How many were asked, and how many of them answered."""
        told, n = self._board.satisfaction, self._n
        if not told.cases:
            return self._w("surveyed_none")
        share = n.share(told.answered, told.asked)
        return self._w("surveyed_some", cases=n.count(told.cases), asked=n.count(told.asked), share=share)

    def solved(self, standing: Standing) -> str:
        """How many the customers themselves confirmed."""
        whole = standing.solved_by_customer + standing.solved_by_agent_only
        if not whole:
            return self._w("solved_none")
        if not standing.solved_by_agent_only:
            return self._w("solved_all")
        if not standing.solved_by_customer:
            return self._w("solved_no")
        return self._w("solved_some", share=self._n.share(standing.solved_by_customer, whole))

    def now(self, standing: Standing) -> str:
        """How many of the open cases are late."""
        if not standing.open:
            return self._w("now_none")
        if not standing.overdue:
            return self._w("now_fine")
        late = self._n.count(standing.overdue)
        share = self._n.share(standing.overdue, standing.open)
        return self._w("now_late", late=late, open=self._n.count(standing.open), share=share)
