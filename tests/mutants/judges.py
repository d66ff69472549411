"""
Which tests judge which module of the pure core, and which mutants are worth making.

Only fast tests that meet the module closely: a mutant that survives has cost all of them.
The first file kills most, so it stands first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final


ROOT: Final = Path(__file__).parent.parent.parent
CORE: Final = Path("src") / "truecount"

#: What meets every module of a package.
OF_PACKAGE: Final[Mapping[str, tuple[str, ...]]] = {
    "model": (
        "unit/test_operations",
        "unit/test_stock_model",
        "unit/test_lines_model",
        "unit/test_movements",
        "unit/test_policy_settings",
        "unit/test_quantities",
        "unit/test_outcomes",
    ),
    "write": (
        "unit/test_write_apply",
        "unit/test_write_demand",
        "unit/test_write_group",
        "unit/test_write_repeating",
        "unit/test_write_book",
        "unit/test_reservation_expiry",
        "unit/test_reservations",
        "unit/test_ledger_time",
    ),
    "bundles": (
        "unit/test_bundles",
        "unit/test_bundle_seams",
        "properties/test_bundle_properties",
    ),
    "reservations": (
        "unit/test_reservations",
        "unit/test_reservation_grants",
        "unit/test_reservation_expiry",
        "unit/test_reservation_names",
        "unit/test_sourcing",
        "unit/test_bundles",
        "unit/test_bundle_seams",
        "properties/test_sourcing_properties",
    ),
    "ledger": (
        "unit/test_stock_ledger",
        "unit/test_ledger_sales",
        "unit/test_ledger_goods_in",
        "unit/test_ledger_moves",
        "unit/test_ledger_counts",
        "unit/test_ledger_corrections",
        "unit/test_ledger_time",
        "unit/test_anchors",
        "unit/test_bundles",
        "unit/test_bundle_seams",
        "unit/test_verify",
        "properties/test_ledger_properties",
    ),
    "counting": (
        "unit/test_ledger_counts",
        "unit/test_anchors",
        "unit/test_count_sheets",
        "unit/test_count_accuracy",
        "unit/test_count_due",
    ),
    "reconciliation": (
        "unit/test_reconcile",
        "unit/test_windows",
        "unit/test_observations",
        "unit/test_findings",
        "unit/test_reconcile_kits",
        "unit/test_repair",
        "unit/test_repair_seam",
        "unit/test_tries",
        "properties/test_reconciliation_laws",
    ),
    "explaining": (
        "unit/test_explaining_common",
        "unit/test_explaining_numbers",
        "unit/test_explaining_causes",
        "unit/test_explaining_evidence",
        "unit/test_explained",
        "properties/test_explaining_laws",
    ),
}

#: What judges a module before the tests of its package.
OF_MODULE: Final[Mapping[str, tuple[str, ...]]] = {
    "model/instants": ("unit/test_instants",),
    "model/kinds": ("unit/test_places_kinds",),
    "model/lines": (
        "unit/test_lines_model",
        "unit/test_reservation_expiry",
        "unit/test_reservations",
    ),
    "model/movements": ("unit/test_movements",),
    "model/names": ("unit/test_names",),
    "model/places": ("unit/test_places_kinds",),
    "model/policy": ("unit/test_policy_settings",),
    "model/quantities": ("unit/test_quantities",),
    "model/recipes": ("unit/test_bundles", "unit/test_bundle_seams"),
    "model/settings": ("unit/test_policy_settings", "unit/test_bundles"),
    "model/sources": ("unit/test_sources", "unit/test_observations"),
    "model/stock": ("unit/test_stock_model",),
    "reservations/expiring": ("unit/test_reservation_expiry",),
    "reservations/granting": ("unit/test_reservation_grants",),
    "reservations/offers": ("unit/test_sourcing", "unit/test_reservation_grants"),
    "reservations/sourcing": ("unit/test_sourcing", "properties/test_sourcing_properties"),
    "write/book": ("unit/test_write_book",),
    "write/engine": ("unit/test_stock_ledger",),
    "write/figures": ("unit/test_reservation_expiry",),
    "write/rules": ("unit/test_bundles",),
    "write/repeating": ("unit/test_write_repeating",),
}

#: What alone judges a module: its package has many tests, and those close by should notice.
ALONE: Final[Mapping[str, tuple[str, ...]]] = {
    "bundles/pinned": ("unit/test_bundles", "unit/test_bundle_seams"),
    "bundles/resolver": ("unit/test_bundles", "unit/test_bundle_seams"),
    "counting/accuracy": ("unit/test_count_accuracy",),
    "counting/certificate": ("unit/test_count_accuracy",),
    "counting/counts": (
        "unit/test_count_due",
        "unit/test_count_sheets",
        "unit/test_count_accuracy",
    ),
    "counting/due": ("unit/test_count_due",),
    "counting/sheet_rules": ("unit/test_count_sheets",),
    "counting/sheets": ("unit/test_count_sheets",),
    "explaining/bracket": ("unit/test_explaining_numbers", "unit/test_explaining_causes"),
    "explaining/cells": (
        "unit/test_explaining_numbers",
        "unit/test_explaining_causes",
        "unit/test_explaining_evidence",
        "properties/test_explaining_laws",
    ),
    "explaining/coincidence": ("unit/test_explaining_numbers", "properties/test_explaining_laws"),
    "explaining/common": ("unit/test_explaining_common",),
    "explaining/digits": ("unit/test_explaining_numbers", "unit/test_explaining_causes"),
    "explaining/entries": (
        "unit/test_explaining_causes",
        "unit/test_explaining_evidence",
        "properties/test_explaining_laws",
    ),
    "explaining/evidence": ("unit/test_explaining_evidence",),
    "explaining/explain": (
        "unit/test_explaining_common",
        "unit/test_explaining_causes",
        "unit/test_explaining_evidence",
        "properties/test_explaining_laws",
    ),
    "explaining/facts": ("unit/test_explaining_numbers", "unit/test_explaining_causes"),
    "explaining/formulas": ("unit/test_explaining_common",),
    "explaining/joint": (
        "unit/test_explaining_causes",
        "properties/test_explaining_laws",
        "unit/test_explaining_common",
        "unit/test_explaining_evidence",
    ),
    "explaining/others": (
        "unit/test_explaining_causes",
        "unit/test_explaining_common",
        "unit/test_explaining_evidence",
    ),
    "explaining/pool": (
        "properties/test_explaining_laws",
        "unit/test_explaining_causes",
        "unit/test_explaining_common",
        "unit/test_explaining_evidence",
    ),
    "explaining/priors": ("unit/test_explaining_numbers", "test_docs_reference"),
    "explaining/results": ("unit/test_explaining_causes", "unit/test_explaining_common"),
    "explaining/sentences": (
        "unit/test_explaining_causes",
        "unit/test_explaining_common",
        "unit/test_explained",
    ),
    "explaining/spanning": (
        "unit/test_explaining_causes",
        "unit/test_explaining_evidence",
        "properties/test_explaining_laws",
        "unit/test_explained",
    ),
    "ledger/accounts": ("unit/test_ledger_corrections",),
    "ledger/anchors": ("unit/test_anchors",),
    "ledger/bundle_checks": ("unit/test_bundle_seams", "unit/test_verify"),
    "ledger/bundle_sales": ("unit/test_bundle_seams", "unit/test_bundles"),
    "ledger/correction_rules": ("unit/test_ledger_corrections",),
    "ledger/counted": ("unit/test_anchors",),
    "ledger/delivery_rules": ("unit/test_ledger_goods_in", "unit/test_ledger_corrections"),
    "ledger/document_checks": ("unit/test_verify", "unit/test_anchors"),
    "ledger/drafts": (
        "unit/test_stock_ledger",
        "unit/test_ledger_goods_in",
        "unit/test_ledger_corrections",
        "unit/test_ledger_moves",
    ),
    "ledger/entry_checks": ("unit/test_verify",),
    "ledger/export_format": ("unit/test_exporting",),
    "ledger/exporting": ("unit/test_exporting",),
    "ledger/history": ("unit/test_stock_ledger", "unit/test_ledger_time", "unit/test_timeline"),
    "ledger/import_changes": ("unit/test_exporting",),
    "ledger/importing": ("unit/test_exporting",),
    "ledger/openings": ("unit/test_openings",),
    "ledger/originals": ("unit/test_ledger_corrections",),
    "ledger/problems": ("unit/test_verify",),
    "ledger/rebuild": ("unit/test_exporting",),
    "ledger/refolding": ("unit/test_anchors", "unit/test_ledger_corrections"),
    "ledger/sale_rules": ("unit/test_ledger_sales",),
    "ledger/scan": ("unit/test_verify", "unit/test_exporting"),
    "ledger/shop": ("unit/test_policy_settings", "unit/test_stock_ledger"),
    "ledger/source_checks": ("unit/test_sources", "unit/test_verify"),
    "ledger/stock_book": ("unit/test_verify", "unit/test_stock_ledger", "unit/test_ledger_time"),
    "ledger/stock_ledger": (
        "unit/test_stock_ledger",
        "unit/test_ledger_moves",
        "unit/test_ledger_sales",
        "unit/test_ledger_goods_in",
    ),
    "ledger/stock_rules": (
        "unit/test_write_demand",
        "unit/test_stock_ledger",
        "unit/test_ledger_counts",
        "unit/test_ledger_moves",
        "unit/test_ledger_goods_in",
    ),
    "ledger/supply": (
        "unit/test_ledger_moves",
        "unit/test_ledger_sales",
        "unit/test_reservation_expiry",
        "unit/test_ledger_corrections",
    ),
    "ledger/transfer_rules": ("unit/test_ledger_moves",),
    "ledger/verify": ("unit/test_verify",),
    "ledger/words": ("unit/test_stock_ledger", "unit/test_reservations"),
    "model/outcomes": ("unit/test_outcomes", "unit/test_write_apply"),
    "model/reservation_commands": (
        "unit/test_operations",
        "unit/test_reservation_names",
        "unit/test_reservations",
    ),
    "reconciliation/agreed": ("unit/test_explained",),
    "reconciliation/basis": ("unit/test_repair", "unit/test_repair_seam"),
    "reconciliation/book_side": ("unit/test_reconcile", "unit/test_reconcile_kits"),
    "reconciliation/breaker": ("unit/test_repair",),
    "reconciliation/comparing": ("unit/test_reconcile", "unit/test_reconcile_kits"),
    "reconciliation/conditions": ("unit/test_findings",),
    "reconciliation/differ": ("unit/test_reconcile", "properties/test_reconciliation_laws"),
    "reconciliation/documents": ("unit/test_findings",),
    "reconciliation/explained": ("unit/test_explained",),
    "reconciliation/findings": ("unit/test_findings",),
    "reconciliation/intake": ("unit/test_reconcile", "unit/test_observations"),
    "reconciliation/kits": ("unit/test_reconcile_kits", "unit/test_reconcile"),
    "reconciliation/mismatches": (
        "unit/test_reconcile",
        "unit/test_reconcile_kits",
        "unit/test_report_page",
    ),
    "reconciliation/observations": ("unit/test_observations", "unit/test_reconcile"),
    "reconciliation/plan": ("unit/test_repair", "unit/test_repair_seam"),
    "reconciliation/plan_lines": ("unit/test_repair",),
    "reconciliation/planning": ("unit/test_repair",),
    "reconciliation/preview": ("unit/test_repair",),
    "reconciliation/promisable": ("unit/test_windows", "unit/test_reconcile"),
    "reconciliation/published": ("unit/test_reconcile", "unit/test_reconcile_kits"),
    "reconciliation/reach": (
        "unit/test_reconcile_kits",
        "unit/test_windows",
        "properties/test_reconciliation_laws",
    ),
    "reconciliation/reconciler": ("unit/test_reconcile", "unit/test_repair"),
    "reconciliation/register": ("unit/test_findings",),
    "reconciliation/repairing": ("unit/test_repair", "unit/test_repair_seam"),
    "reconciliation/repairs": ("unit/test_repair", "unit/test_repair_seam"),
    "reconciliation/report": ("unit/test_reconcile", "unit/test_tries", "unit/test_report_page"),
    "reconciliation/sources": ("unit/test_sources",),
    "reconciliation/tries": ("unit/test_tries",),
    "reconciliation/verdicts": ("unit/test_windows", "unit/test_reconcile"),
    "reconciliation/view": ("unit/test_findings", "unit/test_reconcile"),
    "reconciliation/windows": ("unit/test_windows", "unit/test_reconcile"),
    "reservations/manager": (
        "unit/test_reservation_expiry",
        "unit/test_reservations",
        "unit/test_reservation_names",
        "unit/test_reservation_grants",
    ),
    "reservations/views": (
        "unit/test_reservations",
        "unit/test_reservation_names",
        "unit/test_bundles",
    ),
    "write/group": ("unit/test_write_group",),
    "write/intents": ("unit/test_write_group", "unit/test_findings"),
}

_RELATIONS: Final = {
    "Lt": "LtE|NotEq|GtE",
    "LtE": "Lt|Eq|Gt",
    "Gt": "GtE|NotEq|LtE",
    "GtE": "Gt|Eq|Lt",
    "Eq": "LtE|GtE|NotEq",
    "NotEq": "Lt|Gt|Eq",
    "Is": "IsNot",
    "IsNot": "Is",
}
_NEAR_RELATIONS: Final = "|".join(f"{old}_({new})" for old, new in _RELATIONS.items())

#: Operators that make no mutants, each with its reason.
EXCLUDED: Final[Mapping[str, str]] = {
    "core/ReplaceBinaryOperator_BitOr_.*": "`|` stands in annotations, which nothing evaluates",
    "core/ReplaceBinaryOperator_.*_(Div|Mod|Pow|RShift|LShift|BitOr|BitAnd|BitXor)$": (
        "whoever sees the near operators (+ - * //) sees these"
    ),
    f"core/ReplaceComparisonOperator_(?!({_NEAR_RELATIONS})$)": (
        "whoever sees the near relations and the opposite sees these"
    ),
}


def modules(names: list[str]) -> list[str]:
    """
    Return the modules that *names* mean: a package stands for all of its modules.

    >>> modules(["write/figures"])
    ['write/figures']

    Raises:
        ValueError: No package and no module of the core has such a name.
    """
    found: list[str] = []
    for name in names or list(OF_PACKAGE):
        home = ROOT / CORE / name
        if package_of(name) not in OF_PACKAGE or not (
            home.is_dir() or home.with_suffix(".py").is_file()
        ):
            raise ValueError(f"no module of the core is called {name!r}; see {__file__}")
        paths = sorted(home.glob("[!_]*.py")) if home.is_dir() else [home.with_suffix(".py")]
        found += [path.relative_to(ROOT / CORE).with_suffix("").as_posix() for path in paths]
    return list(dict.fromkeys(found))


def judges(module: str) -> list[str]:
    """Return the test files that judge *module*, the closest first."""
    of_all = (*OF_MODULE.get(module, ()), *OF_PACKAGE[package_of(module)])
    names = ALONE.get(module, of_all)
    return [f"tests/{name}.py" for name in dict.fromkeys(names)]


def package_of(module: str) -> str:
    """Return the package of a module."""
    return module.partition("/")[0]
