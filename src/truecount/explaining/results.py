"""
Explanations as callers see them: causes ranked, verdicts, and plain data for JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from truecount.errors import InvalidData
from truecount.explaining.facts import Discrepancy
from truecount.explaining.priors import CauseKind, Certainty
from truecount.model.instants import iso, to_instant
from truecount.model.stock import StockKey


SCHEMA: Final = 1


@attrs.frozen(kw_only=True)
class Cause:
    """
    One thing that may have gone wrong, at one place.

    Attributes:
        kind: What went wrong.
        site: Where: a movement's id, a reference, a push, a kit, a formula; "" when nobody
            saw it.
        effects: By how much it makes each figure differ.
        evidence: Ids of the movements it is about.
        sentence: It in words.
    """

    kind: CauseKind
    site: str
    effects: tuple[tuple[StockKey, int], ...]
    evidence: tuple[str, ...]
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {
            "kind": self.kind.value,
            "site": self.site,
            "effects": [[*key, change] for key, change in self.effects],
            "evidence": list(self.evidence),
            "sentence": self.sentence,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cause:
        """Return the cause that ``to_dict`` described."""
        return cls(
            kind=CauseKind(data["kind"]),
            site=data["site"],
            effects=tuple((StockKey(*key), change) for *key, change in data["effects"]),
            evidence=tuple(data["evidence"]),
            sentence=data["sentence"],
        )


@attrs.frozen(kw_only=True)
class Hypothesis:
    """Causes that together make up a difference exactly, and how probable that is."""

    causes: tuple[Cause, ...]
    probability: float

    @property
    def evidence(self) -> tuple[str, ...]:
        """Ids of the movements it is about, each once."""
        return tuple(dict.fromkeys(id_ for cause in self.causes for id_ in cause.evidence))

    @property
    def sentence(self) -> str:
        """It in words."""
        return "; and ".join(cause.sentence for cause in self.causes)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        causes = [cause.to_dict() for cause in self.causes]
        return {"causes": causes, "probability": self.probability}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Hypothesis:
        """Return the hypothesis that ``to_dict`` described."""
        causes = tuple(Cause.from_dict(cause) for cause in data["causes"])
        return cls(causes=causes, probability=data["probability"])


@attrs.frozen(kw_only=True)
class Explanation:
    """
    What may have made one figure differ.

    Attributes:
        discrepancy: The figure, and by how much it differs.
        verdict: How far the best hypothesis may be trusted.
        hypotheses: The most probable ones, the best first, at most 20 and none a thousandth
            as probable as it; one of them may be that there is no explanation.
        ways: How many sets of one, two and three causes make up the difference exactly.
            An event that nobody saw fits anything, so sets with one do not count.
        rivals: How many of them are other sets, of no more causes than the best.
        truncated: The search was cut short, so there may be more.
        sentence: The answer, for whoever keeps the shop.
    """

    discrepancy: Discrepancy
    verdict: Certainty
    hypotheses: tuple[Hypothesis, ...]
    ways: tuple[int, int, int]
    rivals: int
    truncated: bool
    sentence: str

    @property
    def best(self) -> Hypothesis:
        """The most probable hypothesis."""
        return self.hypotheses[0]

    @property
    def probability(self) -> float:
        """How probable the best hypothesis is."""
        return self.best.probability

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The causes of the best hypothesis."""
        return self.best.causes

    @property
    def evidence(self) -> tuple[str, ...]:
        """Ids of the movements the best hypothesis is about."""
        return self.best.evidence

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {
            "discrepancy": _discrepancy_to_dict(self.discrepancy),
            "verdict": self.verdict.value,
            "hypotheses": [hypothesis.to_dict() for hypothesis in self.hypotheses],
            "ways": list(self.ways),
            "rivals": self.rivals,
            "truncated": self.truncated,
            "sentence": self.sentence,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Explanation:
        """Return the explanation that ``to_dict`` described."""
        return cls(
            discrepancy=_discrepancy_from_dict(data["discrepancy"]),
            verdict=Certainty(data["verdict"]),
            hypotheses=tuple(Hypothesis.from_dict(each) for each in data["hypotheses"]),
            ways=tuple(data["ways"]),
            rivals=data["rivals"],
            truncated=data["truncated"],
            sentence=data["sentence"],
        )


@attrs.frozen(kw_only=True)
class CommonCause:
    """
    One cause behind most mismatches of a source.

    Attributes:
        kind: A wrong formula, or a push that is old.
        source: The channel, or the location counted.
        detail: The formula's name, or since when nothing was updated.
        fixed: How many mismatches it explains ...
        mismatches: ... of how many.
        probability: How probable it is, against its rivals and an accident.
        rivals: How many other common causes explain as many.
        sentence: It in words.
    """

    kind: CauseKind
    source: str
    detail: str
    fixed: int
    mismatches: int
    probability: float
    rivals: int
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return attrs.asdict(self) | {"kind": self.kind.value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CommonCause:
        """Return the common cause that ``to_dict`` described."""
        return cls(**{**data, "kind": CauseKind(data["kind"])})


@attrs.frozen(kw_only=True)
class Explanations:
    """
    All explanations of one call, in the order of the discrepancies.

    Attributes:
        explained: One for each discrepancy.
        common: Causes that each explain many of them.
    """

    explained: tuple[Explanation, ...]
    common: tuple[CommonCause, ...] = ()

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.explained)

    def __len__(self) -> int:
        return len(self.explained)

    def __getitem__(self, number: int) -> Explanation:
        return self.explained[number]

    def with_verdict(self, *verdicts: Certainty) -> tuple[Explanation, ...]:
        """Return the explanations with one of *verdicts*."""
        return tuple(each for each in self.explained if each.verdict in verdicts)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data, for JSON."""
        return {
            "schema": SCHEMA,
            "explained": [each.to_dict() for each in self.explained],
            "common": [each.to_dict() for each in self.common],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Explanations:
        """
        Return the explanations that ``to_dict`` described.

        Raises:
            InvalidData: It is not what ``to_dict`` writes.
        """
        if data.get("schema") != SCHEMA:
            raise InvalidData("explanations", f"schema {data.get('schema')!r}, expected {SCHEMA}")
        try:
            return cls(
                explained=tuple(Explanation.from_dict(each) for each in data["explained"]),
                common=tuple(CommonCause.from_dict(each) for each in data["common"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidData("explanations", f"{type(error).__name__} {error}") from error


_TIMES: Final = ("after", "observed_at", "denied_at")


def _discrepancy_to_dict(each: Discrepancy) -> dict[str, Any]:
    data = attrs.asdict(each)
    for name in _TIMES:
        data[name] = None if data[name] is None else iso(to_instant(data[name]))
    return data


def _discrepancy_from_dict(data: Mapping[str, Any]) -> Discrepancy:
    values = dict(data)
    for name in _TIMES:
        values[name] = None if values.get(name) is None else datetime.fromisoformat(values[name])
    return Discrepancy(**values)
