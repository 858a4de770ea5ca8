"""What customers say of solved cases, as a table for other programs."""

from console.desk.board import Board
from console.desk.words import Words


def surveys_table(board: Board, words: Words) -> list[list[object]]:
    """What was asked, its answer, and in how many cases; why nobody was asked stands below."""
    told = board.satisfaction
    rows: list[list[object]] = [[words("survey_state"), "", words("cases")]]
    rows += [[words("survey_score"), words(f"survey_{score}"), count] for score, count in told.scores.items()]
    for name, count in (("promoters", told.promoters), ("passives", told.passives), ("detractors", told.detractors)):
        rows.append([words("survey_recommend"), words(f"survey_{name}"), count])
    for name in ("asked_again", "won_back"):
        rows.append([words("survey_before"), words(f"survey_{name}"), getattr(told, name)])
    for name in ("asked", "arrived", "answered", "open", "unanswered", "waiting"):
        rows.append([words("surveyed"), words(f"survey_{name}"), getattr(told, name)])
    rows += [[words("survey_not_sent"), words.of("survey_not", why), count] for why, count in told.not_sent.items()]
    return rows
