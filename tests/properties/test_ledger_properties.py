"""Generated histories, valid and not, late and repeated, against sums over plain lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from random import Random

import attrs
from hypothesis import given
from hypothesis import strategies as st

from tests.naive import NaiveLedger
from tests.strategies import (
    COMMANDS,
    FACTS,
    LOCATIONS,
    LOT,
    PURCHASES,
    RESERVATIONS,
    SKUS,
    START,
    TRANSFERS,
    Again,
    Shop,
    Step,
    Tick,
    again,
    histories,
    new_shop,
    operations,
    play,
    skus,
    spoken,
)
from truecount import (
    Adjusted,
    Assemble,
    Correct,
    Counted,
    Damaged,
    Disassemble,
    Figures,
    Kind,
    Movement,
    Operation,
    Outcome,
    Received,
    Relocate,
    Reserve,
    Sold,
    State,
    StockKey,
    TransferOut,
    Undo,
)
from truecount.errors import (
    AlreadyReversed,
    IdempotencyConflict,
    InsufficientStock,
    InternalError,
    InvalidRequest,
    NotCorrectable,
    Refused,
    ReservationFinished,
    TooMany,
    UnknownReference,
)
from truecount.model.instants import Instant
from truecount.model.movements import Leg
from truecount.model.reservation_commands import Expire
from truecount.model.shop_rules import Put
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted, Rule


#: Commands that move units, whole or not at all.
MOVES = ("relocate", "transfer_out", "assemble", "disassemble")
#: Why an undo may be refused.
NOT_NOW = (AlreadyReversed, NotCorrectable, TooMany, InsufficientStock, ReservationFinished)


def states(found: Figures) -> list[int]:
    """Return the figure of each state."""
    return [found[state] for state in State]


def everything(shop: Shop) -> tuple[object, ...]:
    """Return all a caller can see of the stock: figures, movements, reservation by reservation."""
    with shop.inventory.storage.read(shop.inventory._engine.tenant) as reader:
        lines = [reader.lines(reference) for reference in ("order-1", "order-2")]
        documents = [reader.records(space) for space in reader.spaces()]
    return shop.inventory.stock(), shop.inventory.feed(limit=10_000), lines, documents


def compared(shop: Shop) -> NaiveLedger:
    """Compare every figure with the sum over all movements; return the sums."""
    naive = NaiveLedger(shop.inventory.feed(limit=10_000))
    stock = shop.inventory.stock()
    moved = {StockKey(*shelf) for shelf in naive.shelves()}
    assert moved <= set(stock)
    for key, found in stock.items():
        assert states(found) == naive.figures(*key), key
    return naive


@given(histories())
def test_figures_are_sums(steps: list[Step]) -> None:
    """Nothing appears or vanishes, and every stored figure is the fold of its movements (I1 I2)."""
    shop = new_shop()
    play(shop, steps)
    assert compared(shop).conserves()


@given(histories(parts=6))
def test_every_prefix_is_a_state_that_was(steps: list[Step]) -> None:
    """As of each position the figures are the sums up to it (I15)."""
    shop = new_shop()
    play(shop, steps)
    naive = compared(shop)
    for sku, at, lot in sorted(naive.shelves()):
        for position in range(0, len(naive.told) + 1, 3):
            found = shop.inventory.as_of(sku, at=at, lot=lot, position=position)
            assert states(found) == naive.figures(sku, at, lot, position=position)


@given(histories())
def test_running_figures_chain(steps: list[Step]) -> None:
    """Versions count from one without a gap, each after is the one before plus the change (I3)."""
    shop = new_shop()
    play(shop, steps)
    for key, now in shop.inventory.stock().items():
        before, recorded = [0] * 8, None
        entries = [
            entry
            for entry in shop.inventory.history(key.sku, at=key.location, last=None)
            if entry.key == key
        ]
        assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))
        for entry in entries:
            after = [a + b for a, b in zip(before, states(entry.change), strict=True)]
            assert states(entry.after) == after
            assert recorded is None or entry.movement.recorded_at >= recorded
            before, recorded = after, entry.movement.recorded_at
        assert before == states(now)


@given(histories())
def test_nothing_promised_is_ever_negative(steps: list[Step]) -> None:
    """At no version of any key, whatever facts were reported (I4)."""
    shop = new_shop()
    play(shop, steps)
    for key in shop.inventory.stock():
        for entry in shop.inventory.history(key.sku, at=key.location, last=None):
            assert min(entry.after.held, entry.after.allocated, entry.after.picked) >= 0


@given(st.lists(operations, max_size=25))
def test_no_command_takes_a_shelf_below_its_floor(run: list[Operation]) -> None:
    """What lowers SELLABLE below zero is a fact, or a backorder the policy allows (I4)."""
    shop = new_shop()
    for operation in run:
        before = shop.inventory.stock()
        answers = play(shop, [operation])
        if not operation.is_command or not isinstance(answers[0], Outcome):
            continue
        for key, found in shop.inventory.stock().items():
            old = before.get(key, Figures())
            floor = -2 if key.sku == "TEA" and not key.lot else 0
            if found.sellable < old.sellable:
                assert found.sellable >= floor
            if found.on_hand < old.on_hand:
                assert found.on_hand >= 0


@given(histories(parts=6), operations)
def test_a_refusal_writes_nothing_but_itself(steps: list[Step], last: Operation) -> None:
    """Neither a figure, nor a movement, nor a line, nor a document (I13)."""
    shop = new_shop()
    play(shop, steps)
    before = everything(shop)
    (answer,) = play(shop, [last.with_key("the last one")])
    if isinstance(answer, Outcome) and answer.granted:
        return
    assert everything(shop) == before
    error = answer.error if isinstance(answer, Outcome) else answer
    assert isinstance(error, Refused | InvalidRequest)
    if isinstance(error, Refused):
        (again,) = shop.inventory.submit([last.with_key("the last one")])
        assert again.replayed
        assert again.error is not None
        assert again.error.to_dict() == error.to_dict()
    assert everything(shop) == before


@given(histories())
def test_no_rule_takes_more_from_the_shelf_than_it_said(steps: list[Step]) -> None:
    """Expired holds are read for what members may take: who takes more starves the next one."""
    shop = new_shop()
    engine = shop.inventory._engine
    engine._rules = {kind: watched(rule) for kind, rule in engine._rules.items()}
    for answer in play(shop, steps):
        error = answer.error if isinstance(answer, Outcome) else answer
        assert not isinstance(error, InternalError), error


def watched(rule: Rule) -> Rule:
    """Return a rule that fails when what it decides takes more than it said before."""

    def decide(operation: Operation, book: Book, now: Instant) -> Decision:
        said: Counter[str] = Counter()
        for sku, quantity in rule.demand(operation, book) if rule.demand else ():
            said[sku] += quantity
        decision = rule.decide(operation, book, now)
        drafts = decision.drafts if isinstance(decision, Granted) else ()
        taken = lost(
            [leg for draft in drafts if draft.kind is not Kind.EXPIRE for leg in draft.legs]
        )
        if not taken <= said:
            raise InternalError(f"{operation} takes {taken} and said {said}")
        return decision

    return rule._replace(decide=decide)


def lost(legs: Iterable[Leg]) -> Counter[str]:
    """Return what *legs* take from SELLABLE, key by key, by SKU."""
    keys: Counter[StockKey] = Counter()
    for leg in legs:
        for place, units in ((leg.source, leg.quantity), (leg.target, -leg.quantity)):
            if place.name == State.SELLABLE:
                keys[StockKey(leg.sku, place.location, leg.lot)] += units
    total: Counter[str] = Counter()
    for key, units in (+keys).items():
        total[key.sku] += units
    return total


@given(histories(parts=6))
def test_documents_say_what_is_still_to_come(steps: list[Step]) -> None:
    """
    What is expected and on its way is what orders and transfers have left.

    After every transaction of a history, corrections and undos included.
    """
    shop = new_shop()
    for step in steps:
        play(shop, [step])
        assert still_to_come(shop) == {
            key: (found.incoming, found.in_transit)
            for key, found in shop.inventory.stock().items()
            if found.incoming or found.in_transit
        }


def still_to_come(shop: Shop) -> dict[StockKey, tuple[int, int]]:
    """Return what documents expect and have under way, for each key, nothing left out."""
    total: dict[StockKey, list[int]] = {}
    for reference in PURCHASES:
        with suppress(UnknownReference):
            for line in shop.inventory.delivery(reference):
                total.setdefault(StockKey(line.sku, line.at), [0, 0])[0] += line.outstanding
    for reference in TRANSFERS:
        with suppress(UnknownReference):
            transfer = shop.inventory.transfer(reference)
            for part in transfer.lines:
                key = StockKey(part.sku, transfer.target, part.lot)
                total.setdefault(key, [0, 0])[1] += part.on_the_way
    return {
        key: (expected, under_way)
        for key, (expected, under_way) in total.items()
        if expected or under_way
    }


@given(histories(parts=3), st.one_of(*(COMMANDS[name] for name in MOVES)))
def test_a_move_is_made_whole_or_not_at_all(steps: list[Step], move: Operation) -> None:
    """What is granted moved exactly what was asked for, of every SKU."""
    shop = new_shop()
    play(shop, steps)
    (answer,) = play(shop, [move.with_key("the move")])
    if not isinstance(answer, Outcome) or not answer.granted:
        return
    moved: dict[str, int] = {}
    for leg in shop.inventory.movement(answer.movement_id).legs:
        moved[leg.sku] = moved.get(leg.sku, 0) + leg.quantity
    assert moved == asked(move)


def asked(move: Operation) -> dict[str, int]:
    """Return how many units of each SKU a move is about."""
    if isinstance(move, TransferOut):
        return dict(move.lines)
    assert isinstance(move, Relocate | Assemble | Disassemble)
    units = {move.sku: move.quantity}
    if not isinstance(move, Relocate):
        units |= {sku: each * move.quantity for sku, each in move.components or ()}
    return units


@given(histories())
def test_no_call_ends_in_a_mistake_of_ours(steps: list[Step]) -> None:
    """Every answer is an outcome, a refusal, or names the caller's mistake."""
    for answer in play(new_shop(), steps):
        error = answer.error if isinstance(answer, Outcome) else answer
        assert not isinstance(error, InternalError), error


#: Times between batches that never add up to the life of a hold: no batch decides at its end.
_pauses = st.sampled_from((0, 60, 360, 3600, 86_400)).map(
    lambda seconds: timedelta(seconds=seconds + 7)
)


@given(
    st.lists(
        st.tuples(_pauses, st.lists(st.one_of(operations, again), min_size=2, max_size=5)),
        max_size=12,
    )
)
def test_a_batch_answers_as_one_by_one(
    batches: list[tuple[timedelta, list[Operation | Again]]],
) -> None:
    """Whatever a member's neighbours take, hold, undo or lock (I12)."""
    at_once, in_turn = stocked_shop(), stocked_shop()
    for number, (pause, batch) in enumerate(batches):
        answers = []
        for shop in (at_once, in_turn):
            shop.clock.tick(pause)
            plain = [each for step in batch for each in spoken(shop.inventory, step)]
            said = [each.with_key(f"{number}-{turn}") for turn, each in enumerate(plain)]
            inventory = shop.inventory
            if shop is at_once:
                outcomes = inventory.submit(said)
            else:
                outcomes = [inventory.submit([each])[0] for each in said]
            answers.append([type(outcome.error) for outcome in outcomes])
        assert answers[0] == answers[1]
        assert at_once.inventory.stock() == in_turn.inventory.stock()


#: What takes units off a shelf: SKU, units, a reference of its own, and a receipt of the SKU.
RUSH: dict[str, Callable[[str, int, str, str], Operation]] = {
    "reserve": lambda sku, units, name, _: Reserve({sku: units}, reference=name, at="berlin"),
    "relocate": lambda sku, units, *_: Relocate(sku, units, source="berlin", target="hamburg"),
    "transfer": lambda sku, units, name, _: TransferOut(
        {sku: units}, reference=name, source="berlin", target="hamburg"
    ),
    "assemble": lambda sku, units, *_: Assemble("GIFT", 1, components={sku: units}, at="berlin"),
    "sell": lambda sku, units, *_: Sold(sku, units, at="berlin"),
    "damage": lambda sku, units, *_: Damaged(sku, units, at="berlin"),
    "lose": lambda sku, units, *_: Adjusted(sku, -units, at="berlin", reason="theft"),
    "count": lambda sku, units, *_: Counted(sku, units, at="berlin"),
    "undo": lambda _sku, _units, _name, slip: Undo(movement_id=slip, reason="x"),
    "correct": lambda _sku, units, _name, slip: Correct(
        movement_id=slip, quantity=units, reason="x"
    ),
}


@given(
    st.lists(st.tuples(skus, st.integers(1, 3)), max_size=4),
    st.lists(
        st.tuples(st.sampled_from(sorted(RUSH)), skus, st.integers(1, 4)), min_size=2, max_size=6
    ),
)
def test_a_rush_in_one_batch_gets_what_it_would_in_turn(
    carts: list[tuple[str, int]], rush: list[tuple[str, str, int]]
) -> None:
    """Whoever takes what, the holds that ran out are there for the next one (I12)."""
    at_once, in_turn = rushed_shop(carts), rushed_shop(carts)
    slips = {sku: [each.id for each in received(at_once, sku)] for sku in SKUS}
    takers = [
        RUSH[kind](sku, units, f"new-{turn}", slips[sku][turn % 3])
        for turn, (kind, sku, units) in enumerate(rush)
    ]
    together = at_once.inventory.submit(takers)
    apart = [in_turn.inventory.submit([each])[0] for each in takers]
    assert [type(each.error) for each in together] == [type(each.error) for each in apart]
    assert at_once.inventory.stock() == in_turn.inventory.stock()


def rushed_shop(carts: Iterable[tuple[str, int]]) -> Shop:
    """Return a shop with six units of each SKU in Berlin, some in carts that ran out of time."""
    shop = new_shop()
    play(shop, [Received(sku, 2, at="berlin") for sku in SKUS for _ in range(3)])
    brief = timedelta(minutes=5)
    for number, (sku, units) in enumerate(carts):
        play(shop, [Reserve({sku: units}, reference=f"old-{number}", ttl=brief)])
    shop.clock.tick(2 * brief)
    return shop


def received(shop: Shop, sku: str) -> list[Movement]:
    """Return the receipts of a SKU."""
    return [
        each
        for each in shop.inventory.feed()
        if each.kind is Kind.RECEIVE and each.legs[0].sku == sku
    ]


def stocked_shop() -> Shop:
    """Return a shop where every shelf and lot was opened before, so that lots have an order."""
    shop = new_shop()
    for sku in SKUS:
        for at in LOCATIONS:
            for lot in ("", LOT):
                play(shop, [Received(sku, 2, at=at, lot=lot), Tick(timedelta(seconds=1))])
    return shop


def keyed(steps: Iterable[Step]) -> list[Operation]:
    """Return the operations of a history, each under a key of its own."""
    flat: list[Operation] = []
    for step in steps:
        if isinstance(step, Operation):
            flat.append(step)
        elif isinstance(step, tuple):
            flat += step
    return [operation.with_key(f"once-{number}") for number, operation in enumerate(flat)]


@given(histories(parts=6), st.randoms(use_true_random=False))
def test_repeating_any_of_it_in_any_order_changes_nothing(
    steps: list[Step], random: Random
) -> None:
    """Each request has one effect and one answer, however often it is submitted (I6)."""
    shop = new_shop()
    first = {}
    for operation in keyed(steps):
        (outcome,) = shop.inventory.submit([operation])
        if not isinstance(outcome.error, InvalidRequest):  # A wrong call is not remembered.
            first[operation.key] = operation, outcome
    before = everything(shop)
    again = list(first.values())
    random.shuffle(again)
    for operation, known in again:
        (outcome,) = shop.inventory.submit([operation])
        assert (outcome.replayed, outcome.decided_at) == (True, known.decided_at)
        assert (outcome.movements, outcome.granted) == (known.movements, known.granted)
        assert dict(outcome.result) == dict(known.result)
    assert everything(shop) == before


@given(st.lists(st.sampled_from(sorted(FACTS)), min_size=1, max_size=8), st.data())
def test_a_key_of_another_request_never_writes(kinds: list[str], data: st.DataObject) -> None:
    """It is a conflict, and the first request stands (I7)."""
    shop = new_shop()
    for number, kind in enumerate(kinds):
        operation = data.draw(FACTS[kind]).with_key(f"once-{number}")
        (outcome,) = shop.inventory.submit([operation])
        if outcome.error is not None:
            continue
        before = everything(shop)
        other = attrs.evolve(operation, actor="somebody else")
        (conflict,) = shop.inventory.submit([other])
        assert isinstance(conflict.error, IdempotencyConflict)
        assert everything(shop) == before


# --- time -------------------------------------------------------------------------------

_hours = st.integers(-48, 48)


@st.composite
def reports(draw: st.DrawFn) -> list[tuple[Operation, bool]]:
    """Return plain movements, about a third of them late by up to four days; some wait."""
    found = []
    for _ in range(draw(st.integers(1, 20))):
        hours = draw(st.integers(1, 96)) if draw(st.integers(0, 9)) < 3 else 0
        then = timedelta(hours=-hours)
        kind = draw(st.integers(0, 2))
        units = draw(st.integers(1, 5))
        at = draw(st.sampled_from(LOCATIONS))
        operation: Operation = (
            Received("MUG", units, at=at),
            Sold("MUG", units, at=at),
            Adjusted("MUG", -units, at=at, reason="theft", state=State.QUARANTINE),
        )[kind]
        wait = draw(st.booleans())
        found.append((attrs.evolve(operation, occurred_at=START + then), wait))
    return found


def told(shop: Shop, run: list[tuple[Operation, bool]]) -> NaiveLedger:
    """Report everything, each relative to its moment, and return the sums."""
    for operation, wait in run:
        assert operation.occurred_at is not None
        late = operation.occurred_at - START
        shop.inventory.submit([attrs.evolve(operation, occurred_at=shop.clock.now + late)])
        if wait:
            shop.clock.tick(timedelta(hours=7))
    return compared(shop)


@given(reports(), _hours, st.integers(0, 200))
def test_as_of_any_moment_is_the_sum_up_to_it(
    run: list[tuple[Operation, bool]], hours: int, known: int
) -> None:
    """Late ones included; as it was known at any moment, too, and at each very instant."""
    shop = new_shop()
    naive = told(shop, run)
    moments = {START + timedelta(hours=hours), *(each.occurred_at for each in naive.told)}
    until = START + timedelta(hours=known)
    for at in LOCATIONS:
        for time in moments:
            found = shop.inventory.as_of("MUG", time, at=at)
            assert states(found) == naive.figures("MUG", at, "", time=time)
            found = shop.inventory.as_of("MUG", time, at=at, known_at=until)
            assert states(found) == naive.figures("MUG", at, "", time=time, known_at=until)


@given(reports(), reports(), _hours)
def test_what_was_known_stays_known(
    first: list[tuple[Operation, bool]], later: list[tuple[Operation, bool]], hours: int
) -> None:
    """No later report changes an answer about a past moment as it was known (I14)."""
    shop = new_shop()
    told(shop, first)
    known, position = shop.clock.now, len(shop.inventory.feed(limit=10_000))
    time = START + timedelta(hours=hours)

    def answers() -> list[Figures]:
        """Ask about one moment, every version so far and a position."""
        found = []
        for at in LOCATIONS:
            found.append(shop.inventory.as_of("MUG", time, at=at, known_at=known))
            found.append(shop.inventory.as_of("MUG", at=at, position=position))
            found += [shop.inventory.as_of("MUG", at=at, version=v) for v in range(versions[at])]
        return found

    stock = shop.inventory.history("MUG", last=None)
    versions = {
        at: max((entry.version for entry in stock if entry.key.location == at), default=0)
        for at in LOCATIONS
    }
    shop.clock.tick(timedelta(minutes=1))
    before = answers()
    told(shop, later)
    assert answers() == before


# --- undoing ----------------------------------------------------------------------------


@given(histories(parts=6), st.integers(0, 50))
def test_undoing_restores_every_figure(steps: list[Step], back: int) -> None:
    """Of every movement that may be undone, on every key, and of every line (E21)."""
    shop = new_shop()
    play(shop, steps)
    movements = shop.inventory.feed(limit=10_000)
    movement = movements[-1 - back % len(movements)]
    stock = shop.inventory.stock()
    try:
        shop.inventory.undo(movement.id, reason="a mistake")
    except NOT_NOW:
        return
    naive = NaiveLedger([movement])
    for key, found in shop.inventory.stock().items():
        undone = naive.figures(*key)
        before = states(stock[key])
        assert states(found) == [a - b for a, b in zip(before, undone, strict=True)]
    assert shop.inventory.verify().ok
    compared(shop)


@given(histories(parts=4), st.one_of(*FACTS.values(), *COMMANDS.values(), *RESERVATIONS.values()))
def test_doing_and_undoing_changes_no_figure(steps: list[Step], act: Operation) -> None:
    """And as of no moment can it be seen any more."""
    shop = new_shop()
    play(shop, steps)
    if isinstance(act, Put | Expire):
        return
    before, count = shop.inventory.stock(), len(shop.inventory.feed(limit=10_000))
    (answer,) = play(shop, [attrs.evolve(act, key="the act")])
    if not isinstance(answer, Outcome) or len(answer.movements) != 1 or answer.replayed:
        return
    try:
        shop.inventory.undo(answer.movements[0], reason="a mistake")
    except NotCorrectable:
        return
    after = shop.inventory.stock()
    for key, found in after.items():
        assert found == before.get(key, Figures()), key
    moments = [START + timedelta(hours=hours) for hours in (-80, -1, 0, 2, 30)]
    for key in before:
        for time in moments:
            now = shop.inventory.as_of(key.sku, time, at=key.location, lot=key.lot)
            then = NaiveLedger(shop.inventory.feed(limit=count)).figures(*key, time=time)
            assert states(now) == then


@given(
    st.integers(1, 9),
    st.integers(0, 12),
    st.sampled_from(("received", "sold", "relocated")),
    histories(parts=3),
)
def test_a_corrected_slip_leaves_the_figures_of_the_right_word(
    slip: int, right: int, kind: str, steps: list[Step]
) -> None:
    """Whatever happened before; unless a floor refuses it, and then nothing changed."""

    def saying(quantity: int) -> Operation:
        """Return the operation, with a quantity."""
        if kind == "relocated":
            return Relocate("CUP", quantity, source="berlin", target="hamburg", key="slip")
        if kind == "sold":
            return Sold("CUP", quantity, at="berlin", key="slip")
        return Received("CUP", quantity, at="berlin", key="slip")

    shops = [new_shop() for _ in range(2)]
    for shop in shops:
        play(shop, [*steps, Tick(timedelta(days=9)), Received("CUP", 9, at="berlin")])
    slipped, never = shops
    (wrong,) = slipped.inventory.submit([saying(slip)])
    stock = slipped.inventory.stock()
    try:
        slipped.inventory.correct(wrong.movements[-1], quantity=right, reason="typed wrong")
    except InsufficientStock:
        assert kind == "relocated"
        assert slipped.inventory.stock() == stock
        return
    if right:
        assert never.inventory.submit([saying(right)])[0].granted
    for at in LOCATIONS:
        assert slipped.inventory.figures("CUP", at=at) == never.inventory.figures("CUP", at=at)
    compared(slipped)


def test_the_generated_histories_do_something() -> None:
    """They grant and refuse, so that the laws above are not laws of nothing."""
    shop = new_shop()
    steps: list[Step] = [
        Received("MUG", 5, at="berlin"),
        Relocate("MUG", 9, source="berlin", target="hamburg"),
        Again(back=0, quantity=3),
        Tick(timedelta(days=1)),
    ]
    granted, refused, corrected = play(shop, steps)
    assert isinstance(granted, Outcome)
    assert isinstance(refused, Outcome)
    assert isinstance(corrected, Outcome)
    assert (granted.granted, refused.granted, corrected.granted) == (True, False, True)
    assert compared(shop).figures("MUG", "berlin", "")[0] == 3
