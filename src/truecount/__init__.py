"""
truecount: stock counts that stay true, for shops that sell the same goods in several places.

>>> from truecount import Inventory
>>> inventory = Inventory()
>>> inventory.locations.add("berlin")
>>> receipt = inventory.receive("MUG", 5, at="berlin", reference="PO-1001")
>>> cart = inventory.reserve({"MUG": 3}, reference="cart-77")
>>> inventory.figures("MUG").available
2
>>> inventory.confirm("cart-77").status
'confirmed'
>>> inventory.ship("cart-77").status
'shipped'
>>> inventory.figures("MUG").on_hand
2

`import truecount` itself loads next to nothing: each name comes with its module when it is
first asked for.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from truecount import errors
    from truecount.bundles.availability import Availability
    from truecount.bundles.index import BundleIndex
    from truecount.bundles.resolver import RecipeVersion
    from truecount.counting.accuracy import Accuracy, Counting
    from truecount.counting.certificate import Certificate, Sequential
    from truecount.counting.counts import Counts, Measured
    from truecount.counting.due import Due, DueRules, Economics, Reason
    from truecount.counting.sheets import (
        BlindLine,
        CountSheet,
        ReportLine,
        SheetReport,
        ShelfCount,
    )
    from truecount.explaining.evidence import evidence_of
    from truecount.explaining.explain import explain
    from truecount.explaining.facts import Candidate, Discrepancy, Evidence
    from truecount.explaining.priors import CauseKind, Certainty, Priors
    from truecount.explaining.results import Explanation, Explanations
    from truecount.inventory import Inventory
    from truecount.ledger.counted import CountResult
    from truecount.ledger.exporting import Export
    from truecount.ledger.history import DeliveryLine, HistoryEntry, Transfer, TransferLine
    from truecount.ledger.importing import Import
    from truecount.ledger.problems import Problem
    from truecount.ledger.verify import Verification
    from truecount.model.commands import Assemble, Correct, Disassemble, Relocate, TransferOut, Undo
    from truecount.model.facts import (
        Adjusted,
        Arrived,
        Counted,
        Damaged,
        DeliveryClosed,
        Expected,
        Inspected,
        Lost,
        Opened,
        Received,
        Rejected,
        Returned,
        ReturnedToSupplier,
        Scrapped,
        Sold,
    )
    from truecount.model.kinds import Kind
    from truecount.model.movements import Leg, Movement
    from truecount.model.operation import Operation
    from truecount.model.outcomes import Outcome
    from truecount.model.places import Place, State
    from truecount.model.policy import Policy
    from truecount.model.quantities import Unit
    from truecount.model.recipes import Bill, Recipe
    from truecount.model.reservation_commands import (
        Amend,
        Confirm,
        Pick,
        Release,
        Reserve,
        Ship,
        ShortPick,
        TakeBack,
    )
    from truecount.model.shop_rules import DefineBundle, RemoveBundle
    from truecount.model.sources import Formula, Shown, Source, SourceVersion
    from truecount.model.stock import Figures, StockKey
    from truecount.protocols.system import Committed
    from truecount.reconciliation.basis import Basis
    from truecount.reconciliation.breaker import Breaker
    from truecount.reconciliation.differ import Difference
    from truecount.reconciliation.findings import Finding, FindingKind, FindingsReport
    from truecount.reconciliation.mismatches import Mismatch, MismatchKind
    from truecount.reconciliation.observations import Count, Level, Snapshot
    from truecount.reconciliation.plan import LeftOut, Plan
    from truecount.reconciliation.plan_lines import PlanAction, PlanLine
    from truecount.reconciliation.preview import LinePreview, PlanPreview
    from truecount.reconciliation.published import Published
    from truecount.reconciliation.reconciler import Reconciler
    from truecount.reconciliation.register import Dismiss
    from truecount.reconciliation.repairs import Repaired
    from truecount.reconciliation.report import Reconciliation, Undecided
    from truecount.rendering.page import timeline_html
    from truecount.rendering.timeline import Timeline, timeline_of
    from truecount.reservations.views import CartCheck, KitLine, Reservation, ReservationLine
    from truecount.storage.memory import MemoryStorage
    from truecount.storage.sqlite import SQLiteStorage


#: Where each name lives; a module is loaded when one of its names is first asked for.
_HOMES = {
    "truecount.bundles.availability": "Availability",
    "truecount.bundles.index": "BundleIndex",
    "truecount.bundles.resolver": "RecipeVersion",
    "truecount.explaining.evidence": "evidence_of",
    "truecount.explaining.explain": "explain",
    "truecount.explaining.facts": "Candidate Discrepancy Evidence",
    "truecount.explaining.priors": "CauseKind Certainty Priors",
    "truecount.explaining.results": "Explanation Explanations",
    "truecount.counting.accuracy": "Accuracy Counting",
    "truecount.counting.certificate": "Certificate Sequential",
    "truecount.counting.counts": "Counts Measured",
    "truecount.counting.due": "Due DueRules Economics Reason",
    "truecount.counting.sheets": "BlindLine CountSheet ReportLine SheetReport ShelfCount",
    "truecount.inventory": "Inventory",
    "truecount.ledger.counted": "CountResult",
    "truecount.ledger.exporting": "Export",
    "truecount.ledger.history": "DeliveryLine HistoryEntry Transfer TransferLine",
    "truecount.ledger.importing": "Import",
    "truecount.ledger.problems": "Problem",
    "truecount.ledger.verify": "Verification",
    "truecount.model.commands": "Assemble Correct Disassemble Relocate TransferOut Undo",
    "truecount.model.facts": (
        "Adjusted Arrived Counted Damaged DeliveryClosed Expected Inspected Lost Opened Received "
        "Rejected Returned ReturnedToSupplier Scrapped Sold"
    ),
    "truecount.model.kinds": "Kind",
    "truecount.model.movements": "Leg Movement",
    "truecount.model.operation": "Operation",
    "truecount.model.outcomes": "Outcome",
    "truecount.model.places": "Place State",
    "truecount.model.policy": "Policy",
    "truecount.model.quantities": "Unit",
    "truecount.model.recipes": "Bill Recipe",
    "truecount.model.reservation_commands": (
        "Amend Confirm Pick Release Reserve Ship ShortPick TakeBack"
    ),
    "truecount.model.shop_rules": "DefineBundle RemoveBundle",
    "truecount.model.sources": "Formula Shown Source SourceVersion",
    "truecount.model.stock": "Figures StockKey",
    "truecount.protocols.system": "Committed",
    "truecount.reconciliation.basis": "Basis",
    "truecount.reconciliation.breaker": "Breaker",
    "truecount.reconciliation.differ": "Difference",
    "truecount.reconciliation.findings": "Finding FindingKind FindingsReport",
    "truecount.reconciliation.mismatches": "Mismatch MismatchKind",
    "truecount.reconciliation.observations": "Count Level Snapshot",
    "truecount.reconciliation.plan": "LeftOut Plan",
    "truecount.reconciliation.plan_lines": "PlanAction PlanLine",
    "truecount.reconciliation.preview": "LinePreview PlanPreview",
    "truecount.reconciliation.published": "Published",
    "truecount.reconciliation.reconciler": "Reconciler",
    "truecount.reconciliation.register": "Dismiss",
    "truecount.reconciliation.repairs": "Repaired",
    "truecount.reconciliation.report": "Reconciliation Undecided",
    "truecount.rendering.page": "timeline_html",
    "truecount.rendering.timeline": "Timeline timeline_of",
    "truecount.reservations.views": "CartCheck KitLine Reservation ReservationLine",
    "truecount.storage.memory": "MemoryStorage",
    "truecount.storage.sqlite": "SQLiteStorage",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Load a name's module now, and keep the name for the next time."""
    if name == "errors":
        return _import_module("truecount.errors")
    if name not in _HOME:
        msg = f"module 'truecount' has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(_import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List what there is, loaded or not."""
    return sorted({*globals(), *__all__})


__all__ = [
    "Accuracy",
    "Adjusted",
    "Amend",
    "Arrived",
    "Assemble",
    "Availability",
    "Basis",
    "Bill",
    "BlindLine",
    "Breaker",
    "BundleIndex",
    "Candidate",
    "CartCheck",
    "CauseKind",
    "Certainty",
    "Certificate",
    "Committed",
    "Confirm",
    "Correct",
    "Count",
    "CountResult",
    "CountSheet",
    "Counted",
    "Counting",
    "Counts",
    "Damaged",
    "DefineBundle",
    "DeliveryClosed",
    "DeliveryLine",
    "Difference",
    "Disassemble",
    "Discrepancy",
    "Dismiss",
    "Due",
    "DueRules",
    "Economics",
    "Evidence",
    "Expected",
    "Explanation",
    "Explanations",
    "Export",
    "Figures",
    "Finding",
    "FindingKind",
    "FindingsReport",
    "Formula",
    "HistoryEntry",
    "Import",
    "Inspected",
    "Inventory",
    "Kind",
    "KitLine",
    "LeftOut",
    "Leg",
    "Level",
    "LinePreview",
    "Lost",
    "Measured",
    "MemoryStorage",
    "Mismatch",
    "MismatchKind",
    "Movement",
    "Opened",
    "Operation",
    "Outcome",
    "Pick",
    "Place",
    "Plan",
    "PlanAction",
    "PlanLine",
    "PlanPreview",
    "Policy",
    "Priors",
    "Problem",
    "Published",
    "Reason",
    "Received",
    "Recipe",
    "RecipeVersion",
    "Reconciler",
    "Reconciliation",
    "Rejected",
    "Release",
    "Relocate",
    "RemoveBundle",
    "Repaired",
    "ReportLine",
    "Reservation",
    "ReservationLine",
    "Reserve",
    "Returned",
    "ReturnedToSupplier",
    "SQLiteStorage",
    "Scrapped",
    "Sequential",
    "SheetReport",
    "ShelfCount",
    "Ship",
    "ShortPick",
    "Shown",
    "Snapshot",
    "Sold",
    "Source",
    "SourceVersion",
    "State",
    "StockKey",
    "TakeBack",
    "Timeline",
    "Transfer",
    "TransferLine",
    "TransferOut",
    "Undecided",
    "Undo",
    "Unit",
    "Verification",
    "errors",
    "evidence_of",
    "explain",
    "timeline_html",
    "timeline_of",
]
