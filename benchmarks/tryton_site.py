"""
A company of Tryton's in this process, its tables on our server, with a hundred goods in stock.

``pip install trytond trytond_stock``; making its tables takes a minute or more.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
import uuid
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks.by_hand_postgres import PLENTY, dsn


#: The words libpq reads where Tryton says nothing.
_WORDS: Final = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "options": "PGOPTIONS",
}


class Company(NamedTuple):
    """What an order needs to know."""

    database: str
    user: int
    context: dict[str, Any]
    products: list[int]
    #: What every move has in common.
    move: dict[str, Any]


@cache
def opened(skus: int) -> Company:
    """Make a company in a database of its own, which goes when the process ends."""
    name = f"tryton_{uuid.uuid4().hex[:12]}"
    server = psycopg.connect(dsn(), autocommit=True)
    server.execute(f"CREATE DATABASE {name}".encode())
    atexit.register(_drop, server, name)
    os.environ.update(
        {
            _WORDS[word]: str(told)
            for word, told in conninfo_to_dict(dsn()).items()
            if word in _WORDS
        }
    )
    _make_tables(name)
    from trytond.pool import Pool

    Pool.start()
    Pool(name).init()
    return _founded(name, skus)


def _drop(server: psycopg.Connection[Any], name: str) -> None:
    server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
    server.close()


def _make_tables(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        told, secret = Path(folder, "trytond.conf"), Path(folder, "secret")
        told.write_text("[database]\nuri = postgresql://\n", "utf-8")
        secret.write_text("only for a benchmark\n", "utf-8")
        from trytond import config

        config.update_etc(str(told))
        command = [
            str(Path(sys.executable).with_name("trytond-admin")),
            "-c",
            str(told),
            "-d",
            name,
        ]
        subprocess.run(
            [*command, "-u", "stock", "--activate-dependencies", "--email", "nobody@example.com"],
            env=os.environ | {"TRYTONPASSFILE": str(secret)},
            check=True,
        )


def _founded(name: str, skus: int) -> Company:
    from trytond.pool import Pool
    from trytond.transaction import Transaction

    get = Pool(name).get
    with Transaction().start(name, 0) as transaction:
        currency = get("currency.currency")(name="Euro", code="EUR", symbol="E")
        currency.save()
        party = get("party.party")(name="A shop")
        party.save()
        company = get("company.company")(party=party, currency=currency)
        company.save()
        [user] = get("res.user").search([("login", "=", "admin")])
        user.companies, user.company = [company], company
        user.save()
        transaction.commit()
    context = {"company": company.id}
    with Transaction().start(name, user.id, context=context) as transaction:
        [unit] = get("product.uom").search([("symbol", "=", "u")])
        [shelf], [supplier], [customer] = (
            get("stock.location").search([("code", "=", code)]) for code in ("STO", "SUP", "CUS")
        )
        products = [_product(get, unit, number) for number in range(skus)]
        shared = {"unit": unit.id, "company": company.id, "currency": currency.id}
        shared |= {"unit_price": Decimal(10), "from_location": shelf.id}
        receipts = [
            get("stock.move")(
                **shared
                | {"from_location": supplier.id, "to_location": shelf.id}
                | {"product": product, "quantity": PLENTY}
            )
            for product in products
        ]
        get("stock.move").save(receipts)
        get("stock.move").do(receipts)
        transaction.commit()
    return Company(name, user.id, context, products, shared | {"to_location": customer.id})


def _product(get: Any, unit: Any, number: int) -> int:
    template = get("product.template")(
        name="A mug",
        default_uom=unit,
        type="goods",
        list_price=Decimal(10),
        products=[get("product.product")(code=f"SKU-{number}")],
    )
    template.save()
    return int(template.products[0].id)


def order(company: Company, number: int) -> None:
    """Write a move to a customer and assign it, in one transaction."""
    from trytond.pool import Pool
    from trytond.transaction import Transaction

    moves = Pool(company.database).get("stock.move")
    with Transaction().start(company.database, company.user, context=company.context) as open_one:
        product = company.products[number % len(company.products)]
        move = moves(**company.move, product=product, quantity=1)
        move.save()
        assert moves.assign_try([move])
        open_one.commit()
