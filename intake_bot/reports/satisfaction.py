"""What those who were asked think of the service, as tables. Where nobody was asked there are none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from intake_bot.casework.survey import QUESTIONS, Role
from intake_bot.reports.records import Asked
from intake_bot.reports.tables import Row, Table, share

_WHEN = "Counted in the period in which the survey was sent, at the conclusion of a case."


def tables(asked: Sequence[Asked]) -> Iterator[Table]:
    """How many answered, and what they said."""
    if not asked:
        return
    rows = []
    for role in Role:
        sent = [one for one in asked if one.role == role]
        answered = sum(one.answers is not None for one in sent)
        rows.append(Row(role.label, (len(sent), answered, share(answered, len(sent)))))
    answered = sum(one.answers is not None for one in asked)
    yield Table(
        "feedback_sent",
        "Who was asked about the service, and who answered",
        f"Each case asks its referrer, and the employer's contact where it has one, once. {_WHEN}",
        ("Asked", "Letters", "Answered", "Answered, %"),
        tuple(rows),
        Row("Total", (len(asked), answered, share(answered, len(asked)))),
        shares={2: (1, 0)},
    )
    rows = []
    for question in QUESTIONS:
        said = [one.answers[question.code] for one in asked if one.answers and question.code in one.answers]
        good = sum(map(question.is_good, said))
        rows.append(Row(question.words, (len(said), good, share(good, len(said)))))
    yield Table(
        "feedback",
        "What those who answered think of the service",
        f"Good is 4 or 5, or yes. A question that was left out, or answered otherwise, is not counted. {_WHEN}",
        ("Question", "Answers", "Good", "Good, %"),
        tuple(rows),
        shares={2: (1, 0)},
        drawn=(2,),
    )
