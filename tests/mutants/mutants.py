"""
Mistakes one could make, each as an edit of our own code, and the check that must notice it.

A mutant is a few replacements in source files; the text to be replaced stands in its file
exactly once, which a test holds against every change of the code. ``killer`` names what
kills it, before it is run: a function of ``killers``.
"""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """A replacement in a module of truecount."""

    module: str
    old: str
    new: str


class Mutant(NamedTuple):
    """A mistake, and who must notice it."""

    killer: str
    edits: tuple[Edit, ...]


def _one(killer: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(killer, (Edit(f"truecount.{module}", old, new),))


MUTANTS: dict[str, Mutant] = {
    # --- locks ---
    "lock order dropped": _one(
        "interleaved_batches",
        "write.apply",
        "        locked = guess or unit.lock(wants)\n",
        "        for operation, _, _, rule in intents:\n"
        "            unit.lock(rule.wants(operation, desk.rules.last))\n"
        "        locked = unit.lock(wants)\n",
    ),
    "decided before the lock": _one(
        "interleavings",
        "write.apply",
        "        locked = guess or unit.lock(wants)\n",
        "        with desk.storage.begin(desk.tenant) as early:\n"
        "            locked = early.lock(wants)\n"
        "        unit.lock(wants)\n",
    ),
    "lines read before the lock": _one(
        "interleavings",
        "write.apply",
        "        locked = guess or unit.lock(wants)\n",
        "        with desk.storage.read(desk.tenant) as early:\n"
        "            lines = [line for name in wants.orders for line in early.lines(name)]\n"
        "        locked = unit.lock(wants)._replace(lines=lines)\n",
    ),
    "expired holds read before the lock": Mutant(
        "interleaved_claims",
        (
            Edit(
                "truecount.write.apply",
                "        locked = guess or unit.lock(wants)\n",
                "        with desk.storage.read(desk.tenant) as early:\n"
                "            self.seen = early.due_holds(2**62)\n"
                "        locked = unit.lock(wants)\n",
            ),
            Edit(
                "truecount.write.apply",
                "self.book.add_due(self.unit.due(enough, self.now))",
                "self.book.add_due([line for line in self.seen if line.expires_at <= self.now])",
            ),
        ),
    ),
    "memory without its lock": Mutant(
        "units_exclude_each_other_in_memory",
        (
            Edit("truecount.storage.memory", "        self._lock.acquire()\n", ""),
            Edit(
                "truecount.storage.memory",
                "        except BaseException:\n            self._lock.release()\n",
                "        except BaseException:\n",
            ),
            Edit(
                "truecount.storage.memory",
                '        """Give the lock back."""\n        self._lock.release()\n',
                '        """Give the lock back."""\n',
            ),
        ),
    ),
    # --- group commit ---
    "answers of a group crossed": _one(
        "interleaved_groups",
        "write.group",
        "        for ticket in batch:\n            ticket.outcomes = ",
        "        for ticket in reversed(batch):\n            ticket.outcomes = ",
    ),
    "last of the queue forgotten": _one(
        "interleaved_groups",
        "write.group",
        "            if not self._queue:\n                self._writing = False",
        "            if len(self._queue) < 2:\n                self._writing = False",
    ),
    "failure told to the leader alone": _one(
        "lost_replies_of_a_group",
        "write.group",
        "            for ticket in batch:\n                ticket.problem = _told",
        "            for ticket in batch[:1]:\n                ticket.problem = _told",
    ),
    "lost reply told without a key": _one(
        "lost_replies_of_a_group",
        "write.group",
        "        return OutcomeUnknown(ticket.intents[0].key, error.problem)\n",
        "        return copy(error)\n",
    ),
    "written while a group writes": _one(
        "interleaved_groups",
        "write.group",
        "            alone = not self._writing\n",
        "            alone = not self._queue\n",
    ),
    # --- storages ---
    "rowcount of documents ignored": _one(
        "constraints_on_sqlite",
        "storage.sqlite.unit",
        "if self._each(sql.NEXT_RECORD, changed) < len(changed):",
        "if self._each(sql.NEXT_RECORD, changed) < 0:",
    ),
    "rowcount of keys ignored": _one(
        "forgotten_key_on_sqlite",
        "storage.sqlite.unit",
        "if self._each(sql.PUT_OUTCOME, rows) < len(rows):",
        "if self._each(sql.PUT_OUTCOME, rows) < 0:",
    ),
    "key uniqueness dropped": _one(
        "taken_key_in_memory",
        "storage.memory",
        "                raise KeyTaken(outcome.key)\n",
        "                continue\n",
    ),
    "rollback missing": _one(
        "every_fault",
        "storage.memory",
        "        self._changes = changes\n",
        "        self._make(changes)\n",
    ),
    "hold due one instant late": _one(
        "due_in_memory",
        "storage.memory",
        "if line.expires_at > now or missing <= 0:",
        "if line.expires_at >= now or missing <= 0:",
    ),
    "feed by time": _one(
        "feed_in_memory",
        "storage.memory",
        "        rows = self._tenant.movements[after : after + limit]\n",
        "        movements = sorted(self._tenant.movements, key=lambda row: row.occurred_at)\n"
        "        rows = movements[after : after + limit]\n",
    ),
    "synchronous=OFF": _one(
        "durable_by_default",
        "storage.sqlite.storage",
        'synchronous: str = "FULL"',
        'synchronous: str = "OFF"',
    ),
    "read without a snapshot": _one(
        "one_instant_on_sqlite",
        "storage.sqlite.connections",
        '            session.rows("BEGIN")\n',
        '            session.rows("SELECT 1")\n',
    ),
    "host committed by the library": _one(
        "host_rollback_on_sqlite",
        "storage.sqlite.joining",
        "    def close(session: Session, _failed: bool) -> None:  # noqa: FBT001 -- a Source\n"
        "        session.finish()\n\n    return Source(open_, close, connections.ended)\n\n\n"
        "def _host_connection",
        "    def close(session: Session, _failed: bool) -> None:\n"
        "        session.finish()\n        session.connection.commit()\n\n"
        "    return Source(open_, close, connections.ended)\n\n\ndef _host_connection",
    ),
    # --- the write ---
    "fingerprint not compared": _one(
        "keys_conflict",
        "write.apply",
        "if known.fingerprint != intent.fingerprint:",
        "if not known.fingerprint:",
    ),
    "fingerprint of the plan": _one(
        "replay_after_a_change_of_rules",
        "write.engine",
        "return Intent(operation, key, operation.fingerprint(), rule)",
        "return Intent(\n            operation, key, "
        'f"{operation.fingerprint()}{self.settings().generation}", rule)',
    ),
    "refusal remembered for ever": _one(
        "refusal_is_forgotten",
        "write.apply",
        "self._remember(intent, self.now + REFUSAL_KEPT,",
        "self._remember(intent, None,",
    ),
    "clock may go back": _one(
        "clock_goes_back",
        "write.apply",
        "return max(to_instant(self.desk.clock()), latest + 1)",
        "return to_instant(self.desk.clock())",
    ),
    "savepoint missing": _one(
        "refused_member_leaves_nothing",
        "write.apply",
        "                if refusal is not None:\n                    return",
        "                if refusal is not None:\n                    self.book.accept(stage)\n"
        "                    return",
    ),
    "floor off by one": _one(
        "floor_is_kept",
        "write.book",
        "amounts[0] + change[0] < floor:",
        "amounts[0] + change[0] < floor - 1:",
    ),
    "fold skips a leg": _one(
        "broad_day",
        "model.movements",
        "    for leg in legs:\n        sku, lot, quantity, source, target, _ = leg\n",
        "    for leg in list(legs)[-1:]:\n        sku, lot, quantity, source, target, _ = leg\n",
    ),
    # --- reservations, bundles, counts ---
    "expiry off by one": _one(
        "hold_ends_at_its_time",
        "model.lines",
        "return self.held > 0 and self.expires_at <= now",
        "return self.held > 0 and self.expires_at < now",
    ),
    "release clamped": _one(
        "release_is_not_clamped",
        "reservations.fulfilment",
        '        return TooMany("release", "reservation", reference, *found)\n',
        "        found = portions(lines[::-1], kits, {found[0]: found[2]}, _FREE)\n"
        "        assert not isinstance(found, Missing)\n",
    ),
    "hold counted twice": _one(
        "expired_hold_counts_once", "write.figures", "free += line.held", "free += 2 * line.held"
    ),
    "recipe not pinned": Mutant(
        "old_orders_keep_their_recipe",
        (
            Edit(
                "truecount.bundles.defining",
                "    in_force = recipes.get(operation.sku)\n    if in_force is not None and",
                "    from truecount.bundles import pinned\n\n"
                "    pinned.LATEST[made.sku] = made\n"
                "    in_force = recipes.get(operation.sku)\n    if in_force is not None and",
            ),
            Edit(
                "truecount.bundles.pinned",
                "{sku: Recipe.from_dict(sku, body) for sku, body in entry",
                "{sku: LATEST.get(sku) or Recipe.from_dict(sku, body) for sku, body in entry",
            ),
            Edit(
                "truecount.bundles.pinned",
                'KITS: Final = "kits"\n',
                'KITS: Final = "kits"\nLATEST: dict[str, Recipe] = {}\n',
            ),
        ),
    ),
    "count compared with now": _one(
        "count_during_trade",
        "ledger.stock_rules",
        "amounts = book.row(key).amounts if when is None else _as_of(book, key, when)",
        "amounts = book.row(key).amounts",
    ),
    "anchor ignored": _one(
        "late_fact_keeps_the_count",
        "ledger.refolding",
        "        if draft.occurred_at < now:\n            for sku, lot, _, source",
        "        if draft.occurred_at < 0:\n            for sku, lot, _, source",
    ),
}
