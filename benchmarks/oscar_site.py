"""A site of django-oscar in this process: its apps as they come, its tables on our server."""

from __future__ import annotations

import atexit
import uuid
from decimal import Decimal
from functools import cache
from typing import Any, Final

import django
import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from oscar import defaults
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benchmarks.by_hand_postgres import PLENTY, dsn


_OSCAR: Final = (
    "address.apps.AddressConfig",
    "analytics.apps.AnalyticsConfig",
    "basket.apps.BasketConfig",
    "catalogue.apps.CatalogueConfig",
    "catalogue.reviews.apps.CatalogueReviewsConfig",
    "checkout.apps.CheckoutConfig",
    "communication.apps.CommunicationConfig",
    "customer.apps.CustomerConfig",
    "offer.apps.OfferConfig",
    "order.apps.OrderConfig",
    "partner.apps.PartnerConfig",
    "payment.apps.PaymentConfig",
    "search.apps.SearchConfig",
    "shipping.apps.ShippingConfig",
    "voucher.apps.VoucherConfig",
    "wishlists.apps.WishlistsConfig",
)


@cache
def opened() -> str:
    """Open the site in a database of its own, which goes when the process ends; return its dsn."""
    name = f"oscar_{uuid.uuid4().hex[:12]}"
    server = psycopg.connect(dsn(), autocommit=True)
    server.execute(f"CREATE DATABASE {name}".encode())
    atexit.register(_drop, server, name)
    _configure(name)
    return make_conninfo(dsn(), dbname=name)


def _drop(server: psycopg.Connection[Any], name: str) -> None:
    connections.close_all()
    server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
    server.close()


def _configure(name: str) -> None:
    told: dict[str, Any] = dict(conninfo_to_dict(dsn())) | {"dbname": name}
    names = {"dbname": "NAME", "host": "HOST", "port": "PORT", "user": "USER"}
    database = {setting: str(told[word]) for word, setting in names.items() if word in told}
    options = {word: value for word, value in told.items() if word not in names}
    words = {word: value for word, value in vars(defaults).items() if word.startswith("OSCAR_")}
    settings.configure(
        DATABASES={
            "default": database | {"ENGINE": "django.db.backends.postgresql", "OPTIONS": options}
        },
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        HAYSTACK_CONNECTIONS={
            "default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}
        },
        INSTALLED_APPS=[
            *(f"django.contrib.{app}" for app in ("auth", "contenttypes", "sites", "flatpages")),
            *(f"oscar.apps.{app}" for app in _OSCAR),
            "haystack",
            "treebeard",
        ],
        MIGRATION_MODULES=_NoMigrations(),
        SITE_ID=1,
        USE_TZ=True,
        **words,
    )
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)


class _NoMigrations:
    """Says of every app that it has no migrations: its tables are made as they are now."""

    def __contains__(self, app: str) -> bool:
        return True

    def __getitem__(self, app: str) -> None:
        return None


@cache
def stock_records(skus: int) -> list[Any]:
    """Return stock records of Oscar's, with plenty each."""
    opened()
    from oscar.core.loading import get_model

    kind = get_model("catalogue", "ProductClass").objects.create(name="Mugs", track_stock=True)
    partner = get_model("partner", "Partner").objects.create(name="Berlin")
    product = get_model("catalogue", "Product")
    return [
        product.objects.create(title="A mug", product_class=kind).stockrecords.create(
            partner=partner, partner_sku=f"SKU-{number}", price=Decimal(10), num_in_stock=PLENTY
        )
        for number in range(skus)
    ]


def write_order(number: str) -> None:
    """Write an order of Oscar's, without the lines and addresses that it has in a shop."""
    from oscar.core.loading import get_model

    get_model("order", "Order").objects.create(
        number=number, total_incl_tax=Decimal(10), total_excl_tax=Decimal(10)
    )
