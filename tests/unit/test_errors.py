from __future__ import annotations

import copy
import json
import pickle
import re
from typing import cast

import attrs
import pytest

from truecount import errors
from truecount.errors import Refused, TrueCountError, from_dict


#: A plausible value for each field that is not plain text.
VALUES = {
    "path": ("SET", "BOX", "SET"),
    "short": (("MUG", 3, 1, "at 'berlin'", "safety_stock=2"), ("TEA", 1, 0, "at 'x'", "sellable")),
    "nearest": ("MUG", "MÜG"),
    "open": (("MUG", "", "a count"), ("TEA", "L-1", "a recount by another counter")),
    "wanted": 3,
    "left": 1,
    "operation": "ship",
}
#: Raised by storages and callers' mistakes alike: every class somebody may meet.
KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, TrueCountError) and attrs.has(kind)
]
REFUSED = [kind for kind in KINDS if issubclass(kind, Refused)]


def fields_of(kind: type[TrueCountError]) -> list[str]:
    """Return the names of an error's fields."""
    return [
        field.name for field in attrs.fields_dict(cast("type[attrs.AttrsInstance]", kind)).values()
    ]


def sample(kind: type[TrueCountError]) -> TrueCountError:
    """Return an error of *kind* with something in every field."""
    return kind(*(VALUES.get(name, f"{name} x") for name in fields_of(kind)))


def test_there_is_something_to_test() -> None:
    """The table is read from the module, so it must not come out empty."""
    assert len(KINDS) > 20
    assert len(REFUSED) > 6


@pytest.mark.parametrize("kind", KINDS)
class TestMessages:
    def test_it_says_what_cannot_be_done_and_why(self, kind: type[TrueCountError]) -> None:
        """Each reads: cannot <verb> <what>: <what was seen>, on one line, without a full stop."""
        text = str(sample(kind))
        assert re.match(r"cannot [a-z]+(: | .)", text), text
        assert ": " in text or "; " in text, text
        assert not text.endswith((".", "!", ";", ":"))
        assert "\n" not in text
        assert "None" not in text

    def test_it_shows_what_it_knows(self, kind: type[TrueCountError]) -> None:
        """Every field is in the message."""
        error = sample(kind)
        for name in fields_of(kind):
            value = getattr(error, name)
            shown = value[0] if isinstance(value, tuple) else value
            shown = shown[0] if isinstance(shown, tuple) else shown
            assert str(shown) in str(error), name

    def test_it_has_a_stable_word(self, kind: type[TrueCountError]) -> None:
        """Stored outcomes name errors by class."""
        assert kind.code == kind.__name__


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "send",
    [
        lambda error: from_dict(error.to_dict()),
        lambda error: from_dict(json.loads(json.dumps(error.to_dict()))),
        copy.copy,
        copy.deepcopy,
        lambda error: pickle.loads(pickle.dumps(error)),
    ],
    ids=["to_dict", "JSON", "copy", "deepcopy", "pickle"],
)
def test_an_error_survives_any_journey(kind: type[TrueCountError], send: object) -> None:
    """Through a stored outcome, another process, another thread."""
    error = sample(kind)
    arrived = send(error)  # type: ignore[operator]  # one of the ways above
    assert type(arrived) is kind
    assert arrived.to_dict() == error.to_dict()
    assert str(arrived) == str(error)
    for name in fields_of(kind):
        assert getattr(arrived, name) == getattr(error, name)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refusal_is_nobodys_mistake(kind: type[TrueCountError]) -> None:
    """It is no ValueError: an except clause for bad calls does not swallow it."""
    assert not issubclass(kind, (ValueError, errors.InvalidRequest, errors.StorageError))


def test_a_refusal_names_every_short_sku() -> None:
    """Wanted, available, where, and the rule that said no."""
    text = str(sample(errors.InsufficientStock))
    assert "3 of 'MUG' at 'berlin': only 1 available (rule: safety_stock=2)" in text
    assert "1 of 'TEA' at 'x': only 0 available (rule: sellable)" in text


def test_a_kind_of_two_words_is_read_as_two_words() -> None:
    """Stored names have underscores, sentences have none."""
    error = errors.InsufficientStock("transfer_out", (("MUG", 1, 0, "at 'x'", "sellable"),))
    assert str(error).startswith("cannot transfer out 1 of 'MUG'")


@pytest.mark.parametrize("nearest", [(), ("MUG",), ("MUG", "MOG")])
def test_near_names_are_suggested(nearest: tuple[str, ...]) -> None:
    """Only when there are any."""
    text = str(errors.UnknownSku("MGU", nearest))
    assert ("did you mean" in text) == bool(nearest)
    assert all(repr(name) in text for name in nearest)


def test_hostile_text_stays_quoted() -> None:
    """A name with a line break cannot forge a line of a log."""
    assert "\n" not in str(errors.UnknownSku("MUG\nERROR: all is lost"))
