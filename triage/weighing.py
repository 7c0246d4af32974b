"""From cues as they stand to a suggestion: scores, category, threshold, criteria, flags, missing data, the reason.

The order of caution: a harm cue that stands is never explained away into "not a matter" or "low level"; with anything
against it, it gives *unclear*. What is not named at all is *none* and *unclear*.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from triage.context import Reading, Standing
from triage.cues import Confuser, Kind, Level
from triage.facts import Facts
from triage.vocabulary import Category, Criterion, Flag, MissingDatum, Threshold

STRONG = 3.0
"""A cue of this weight, or several that add up to it, speaks for the threshold by itself."""

_FULL = 5.0
"""The weight that counts as one among the measures."""

_WEAKLY = 0.5
_REPEATS = 0.5
"""What each further cue of a category adds beside the heaviest: the second slap in a text is not a second allegation."""

SUBJECT_LINE_WEIGHT = 0.5

_GRAVEST_FIRST = (
    Category.SEXUAL,
    Category.PHYSICAL,
    Category.NEGLECT,
    Category.EMOTIONAL,
    Category.PRIVATE_LIFE,
    Category.CONDUCT,
)

_WITHOUT_CHILD_VICTIM = frozenset({Category.PRIVATE_LIFE, Category.NONE})

CONFUSER_SAYS = {
    Confuser.LAWFUL_RESTRAINT: "a physical intervention that reads as planned and proportionate",
    Confuser.POLICY_QUESTION: "a question about policy or procedure",
    Confuser.RECRUITMENT: "a recruitment or checking question",
    Confuser.ADMINISTRATION: "administration",
    Confuser.CHILD_ON_CHILD: "behaviour between children",
    Confuser.HIT_BY_CHILD: "an adult hurt by a child",
    Confuser.PARENT_AT_HOME: "a parent's behaviour at home",
    Confuser.ADULT_ONLY: "an adult who works with adults only",
    Confuser.ACCIDENT: "an accident",
    Confuser.SERVICE_COMPLAINT: "a complaint about a service",
    Confuser.ELSEWHERE: "a matter already held or closed elsewhere",
}

CATEGORY_SAYS = {
    Category.PHYSICAL: "physical harm",
    Category.EMOTIONAL: "emotional harm",
    Category.SEXUAL: "sexual harm or grooming",
    Category.NEGLECT: "neglect or a failure to protect",
    Category.CONDUCT: "conduct and boundaries at work",
    Category.PRIVATE_LIFE: "behaviour outside work",
    Category.NONE: "nothing that can be named",
}


@dataclass(frozen=True, slots=True)
class Signal:
    """A reading and where it was found; what stands only in the subject line has half its weight and no evidence."""

    reading: Reading
    in_subject_line: bool = False

    @property
    def weight(self) -> float:
        weight = self.reading.hit.cue.weight
        if self.reading.standing is Standing.WEAKLY:
            weight *= _WEAKLY
        return weight * (SUBJECT_LINE_WEIGHT if self.in_subject_line else 1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """All of a suggestion that does not depend on places in the text."""

    category: Category
    secondary: tuple[Category, ...]
    category_confidence: float
    threshold: Threshold
    threshold_confidence: float
    criteria: tuple[Criterion, ...]
    flags: tuple[Flag, ...]
    missing: tuple[MissingDatum, ...]
    reason: str
    ranking: tuple[Category, ...]
    given: frozenset[MissingDatum]
    """Minimum data that were found by their shape or by a cue."""
    confuser: Confuser | None
    """What explains the matter away, where something decided so."""
    measures: tuple[float, ...]
    """What the rules found, as numbers about 0 to 1 for the learned layer: always as many, in one order."""


@dataclass(frozen=True, slots=True)
class _Scores:
    """What stands, added up. ``harm``, ``doubt`` and ``low`` are the standing category cues by level.

    ``by_child``: what harm stands is perhaps a child's doing. ``nobody``: no adult at work and no child is spoken of.
    """

    category: dict[Category, float]
    harm: float
    doubt: float
    low: float
    by_child: bool
    nobody: bool
    confusers: dict[Confuser, float]

    @property
    def conduct(self) -> float:
        return self.harm + self.doubt + self.low


MEASURES = (
    *(f"weight of {one}" for one in (*_GRAVEST_FIRST, "harm", "doubt", "low level")),
    *(f"explained as {one}" for one in Confuser),
    *("by a child", "nobody spoken of", "read in windows"),
    *(f"category {one}" for one in Category),
    *(f"threshold {one}" for one in Threshold),
    *(f"criterion {int(one)}" for one in Criterion),
    *(f"flag {one}" for one in Flag),
    *(f"missing {one}" for one in MissingDatum),
)
"""What each of a verdict's ``measures`` is, in their order."""


def weigh(signals: Sequence[Signal], facts: Facts, *, roles: bool, nobody: bool, windowed: bool) -> Verdict:
    """The verdict on one text.

    ``roles``: an adult's role is named outside the signature; ``nobody``: the text speaks of no adult at work and no
    child; ``windowed``: not all of the text was read.
    """
    standing = [signal for signal in signals if signal.reading.counts]
    given = _given(standing, facts, roles=roles)
    flags = _flags(standing)
    scores = _scores(signals, private=_is_private(flags, standing), nobody=nobody)
    category, secondary, category_confidence = _category(scores)
    threshold, confidence, confuser = _threshold(scores, flags)
    if threshold is Threshold.NOT_LADO:
        keeps = confuser in (Confuser.LAWFUL_RESTRAINT, Confuser.ELSEWHERE)
        category = category if keeps else Category.NONE
        if confuser is Confuser.LAWFUL_RESTRAINT:
            category = Category.PHYSICAL
        secondary = ()
        category_confidence = confidence
    if threshold is Threshold.NOT_LADO and confuser is Confuser.CHILD_ON_CHILD:
        flags.add(Flag.CHILD_ON_CHILD)
    if (not scores.conduct or threshold in (Threshold.NOT_LADO, Threshold.LOW_LEVEL)) and not _says_danger(standing):
        flags.discard(Flag.IMMEDIATE_DANGER)
    criteria = _criteria(standing, category, threshold)
    return Verdict(
        category=category,
        secondary=secondary,
        category_confidence=category_confidence,
        threshold=threshold,
        threshold_confidence=confidence,
        criteria=criteria,
        flags=tuple(flag for flag in Flag if flag in flags),
        missing=_missing(given, category, threshold),
        reason=_reason(category, threshold, confuser, scores, windowed=windowed),
        ranking=(category, *(one for one in _ranked(scores) if one is not category))[:3],
        given=given,
        confuser=confuser,
        measures=(
            *(scores.category.get(one, 0.0) / _FULL for one in _GRAVEST_FIRST),
            *(weight / _FULL for weight in (scores.harm, scores.doubt, scores.low)),
            *(scores.confusers.get(one, 0.0) / _FULL for one in Confuser),
            *(float(is_so) for is_so in (scores.by_child, nobody, windowed)),
            *(float(one is category) for one in Category),
            *(float(one is threshold) for one in Threshold),
            *(float(one in criteria) for one in Criterion),
            *(float(one in flags) for one in Flag),
            *(float(one not in given) for one in MissingDatum),
        ),
    )


def _scores(signals: Iterable[Signal], *, private: bool, nobody: bool) -> _Scores:
    by_category: dict[Category, dict[str, float]] = defaultdict(dict)
    by_level: dict[Level, dict[str, float]] = defaultdict(dict)
    confusers: dict[Confuser, float] = defaultdict(float)
    by_child = True
    for signal in signals:
        cue, reading, weight = signal.reading.hit.cue, signal.reading, signal.weight
        if reading.confuser is not None:
            sure = STRONG if reading.standing is Standing.EXPLAINED else STRONG * _WEAKLY
            confusers[reading.confuser] = max(confusers[reading.confuser], sure * _share(signal))
        if reading.standing is Standing.SUPPOSED:
            confusers[Confuser.POLICY_QUESTION] = max(confusers[Confuser.POLICY_QUESTION], 1.5 * _share(signal))
        if not reading.counts:
            continue
        if cue.kind is Kind.CONFUSER:
            name = Confuser(cue.label)
            # Two signs of one confuser are surer than one, however often; more than that adds nothing.
            confusers[name] = max(confusers[name], weight) if confusers[name] < weight else weight + _REPEATS
        if cue.kind is Kind.CATEGORY:
            category = Category(cue.label)
            if (private or reading.private) and category in (Category.PHYSICAL, Category.EMOTIONAL, Category.NEGLECT):
                by_category[Category.PRIVATE_LIFE][f"at home: {cue.name}"] = weight
                weight_there = weight * 0.6
                by_category[category][cue.name] = max(by_category[category].get(cue.name, 0), weight_there)
            else:
                by_category[category][cue.name] = max(by_category[category].get(cue.name, 0), weight)
            by_level[cue.level][cue.name] = max(by_level[cue.level].get(cue.name, 0), weight)
            if cue.level is Level.HARM and reading.confuser is not Confuser.CHILD_ON_CHILD:
                by_child = False
    return _Scores(
        category={category: _added(weights.values()) for category, weights in by_category.items()},
        harm=_added(by_level[Level.HARM].values()),
        doubt=_added(by_level[Level.DOUBT].values()),
        low=_added(by_level[Level.LOW].values()),
        by_child=by_child,
        nobody=nobody,
        confusers=dict(confusers),
    )


def _share(signal: Signal) -> float:
    return SUBJECT_LINE_WEIGHT if signal.in_subject_line else 1


def _added(weights: Iterable[float]) -> float:
    ordered = sorted(weights, reverse=True)
    return ordered[0] + _REPEATS * sum(ordered[1:]) if ordered else 0.0


def _is_private(flags: set[Flag], standing: Iterable[Signal]) -> bool:
    """True where strong cues of behaviour outside work stand: what harm is described then belongs there."""
    weights = [
        signal.weight
        for signal in standing
        if signal.reading.hit.cue.kind is Kind.CATEGORY and signal.reading.hit.cue.label == Category.PRIVATE_LIFE
    ]
    return bool(weights) and (max(weights) >= 4 or (max(weights) >= 3 and Flag.PRIVATE_LIFE in flags))


def _category(scores: _Scores) -> tuple[Category, tuple[Category, ...], float]:
    if not scores.category:
        return Category.NONE, (), 0.3
    ranked = _ranked(scores)
    best = scores.category[ranked[0]]
    secondary = tuple(c for c in ranked[1:] if scores.category.get(c, 0) >= max(2.0, best * 0.6))
    total = sum(scores.category.values())
    return ranked[0], secondary, min(0.9, 0.3 + 0.6 * best / total * min(1.0, best / STRONG))


def _ranked(scores: _Scores) -> list[Category]:
    return sorted(_GRAVEST_FIRST, key=lambda category: -scores.category.get(category, 0))


def _threshold(scores: _Scores, flags: set[Flag]) -> tuple[Threshold, float, Confuser | None]:
    """The threshold, how sure, and the confuser that decided where one did."""
    confuser, against = max(scores.confusers.items(), key=lambda item: item[1], default=(None, 0.0))
    if not scores.conduct:
        if against >= 2:
            return Threshold.NOT_LADO, min(0.8, 0.4 + 0.1 * against), confuser
        return Threshold.UNCLEAR, 0.3, confuser
    between_children = scores.by_child and scores.confusers.get(Confuser.CHILD_ON_CHILD, 0) >= STRONG
    if scores.harm and not between_children:
        return _harm_threshold(scores, confuser, against)
    if scores.confusers.get(Confuser.LAWFUL_RESTRAINT, 0) >= 3 and Flag.RESTRAINT in flags:
        return Threshold.NOT_LADO, 0.6, Confuser.LAWFUL_RESTRAINT
    if scores.doubt >= scores.low:
        # An injury without a deed, in what reads as an accident or a fight of children, is no allegation.
        soft = scores.doubt <= 2 and not scores.low
        if soft and against >= 2:
            return Threshold.NOT_LADO, 0.5, confuser
        return Threshold.UNCLEAR, 0.5, confuser
    if against >= STRONG:
        return Threshold.NOT_LADO, 0.5, confuser
    if scores.doubt >= 2:
        return Threshold.UNCLEAR, 0.45, confuser
    return Threshold.LOW_LEVEL, min(0.75, 0.45 + 0.07 * scores.low), confuser


def _harm_threshold(
    scores: _Scores, confuser: Confuser | None, against: float
) -> tuple[Threshold, float, Confuser | None]:
    weight = scores.harm + 0.25 * scores.doubt
    if weight < STRONG:
        return Threshold.UNCLEAR, 0.45, confuser
    if against >= min(weight, STRONG) or scores.nobody:
        return Threshold.UNCLEAR, 0.5, confuser
    return Threshold.MEETS, max(0.5, min(0.9, 0.5 + 0.1 * (weight - STRONG) + 0.1 - 0.05 * against)), confuser


def _flags(standing: Iterable[Signal]) -> set[Flag]:
    return {
        Flag(signal.reading.hit.cue.label)
        for signal in standing
        if signal.reading.hit.cue.kind is Kind.FLAG and not signal.in_subject_line
    }


def _says_danger(standing: Iterable[Signal]) -> bool:
    """True where danger is named, not only haste: then nothing takes the flag off again."""
    return any(
        signal.reading.hit.cue.kind is Kind.FLAG
        and signal.reading.hit.cue.label == Flag.IMMEDIATE_DANGER
        and signal.reading.hit.cue.weight >= STRONG
        for signal in standing
    )


def _criteria(standing: Iterable[Signal], category: Category, threshold: Threshold) -> tuple[Criterion, ...]:
    if threshold not in (Threshold.MEETS, Threshold.UNCLEAR) or category is Category.NONE:
        return ()
    if category is Category.PRIVATE_LIFE:
        return (Criterion.NOT_SUITABLE,)
    criteria = {
        criterion
        for signal in standing
        if signal.reading.hit.cue.kind is Kind.CATEGORY and signal.reading.hit.cue.label == category
        for criterion in signal.reading.hit.cue.criteria
    }
    return tuple(
        sorted(criteria or {Criterion.NOT_SUITABLE if category is Category.CONDUCT else Criterion.RISK_OF_HARM})
    )


def _given(standing: Iterable[Signal], facts: Facts, *, roles: bool) -> frozenset[MissingDatum]:
    given = set(facts.given())
    given |= {
        MissingDatum(signal.reading.hit.cue.label)
        for signal in standing
        if signal.reading.hit.cue.kind is Kind.GIVEN and signal.reading.hit.cue.label != MissingDatum.SUBJECT_ROLE
    }
    if roles:
        given.add(MissingDatum.SUBJECT_ROLE)
    return frozenset(given)


def _missing(given: frozenset[MissingDatum], category: Category, threshold: Threshold) -> tuple[MissingDatum, ...]:
    if threshold is Threshold.NOT_LADO:
        return ()
    if category is not Category.NONE:
        given |= {MissingDatum.WHAT_HAPPENED}
        if category in _WITHOUT_CHILD_VICTIM:
            given |= {MissingDatum.CHILD_NAME_OR_AGE}
    return tuple(datum for datum in MissingDatum if datum not in given)


def _reason(
    category: Category, threshold: Threshold, confuser: Confuser | None, scores: _Scores, *, windowed: bool
) -> str:
    """One sentence for an officer, without a word of the text."""
    about = CATEGORY_SAYS[category]
    against = CONFUSER_SAYS[confuser] if confuser else ""
    match threshold:
        case Threshold.MEETS:
            reason = (
                f"An adult who works with children is described in terms that point to {about}, "
                "and little speaks against it"
            )
        case Threshold.LOW_LEVEL:
            reason = f"What is described points to {about} below the harm threshold, with no cue of harm to a child"
        case Threshold.NOT_LADO:
            reason = (
                f"This reads as {against or 'no matter for the designated officer'}, "
                "with no cue of harm by an adult who works with children"
            )
        case Threshold.UNCLEAR if not scores.conduct:
            reason = "No conduct is named clearly enough to place, so an officer needs to ask what happened"
        case Threshold.UNCLEAR if against:
            reason = f"Cues of {about} stand beside signs of {against}, so an officer needs to read it"
        case _:
            reason = f"There are cues of {about}, but too few or too faint to place against the threshold"
    if windowed:
        reason += "; only the first and last part of this long text was read"
    return reason + "."
