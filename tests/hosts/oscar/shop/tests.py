"""The shop, as its own authors would test it: through Oscar's pages, by Django's runner."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import count
from threading import Barrier
from unittest import addModuleCleanup
from unittest.mock import patch

from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models.signals import post_save
from django.test import Client, TestCase, TransactionTestCase
from django.urls import reverse
from oscar.apps.order.utils import OrderNumberGenerator
from oscar.apps.payment.exceptions import PaymentError, RedirectRequired, UnableToTakePayment
from oscar.core.loading import get_model

from shop import stock
from shop.checkout.views import PaymentDetailsView


Basket = get_model("basket", "Basket")
Country = get_model("address", "Country")
Line = get_model("order", "Line")
Order = get_model("order", "Order")
Partner = get_model("partner", "Partner")
Product = get_model("catalogue", "Product")
ProductClass = get_model("catalogue", "ProductClass")
ShippingAddress = get_model("order", "ShippingAddress")
ShippingEventType = get_model("order", "ShippingEventType")
StockAlert = get_model("partner", "StockAlert")
StockRecord = get_model("partner", "StockRecord")
User = get_user_model()

NUMBERS = count()
#: Oscar's last look at the basket is over before the decisions that matter here.
NO_LAST_LOOK = patch.object(PaymentDetailsView, "pre_conditions", [])
#: What takes the money: Oscar's own does nothing.
PAYMENT = "oscar.apps.checkout.views.PaymentDetailsView.handle_payment"


def setUpModule():
    """Open the inventory before any block is open, and close it before the database is dropped."""
    stock.inventory().locations.add("berlin")
    addModuleCleanup(stock.inventory().close)


def stocked(quantity, **more):
    """Return a product of which there are some."""
    sku = f"MUG-{next(NUMBERS)}"
    kind, _ = ProductClass.objects.get_or_create(name="Mugs", defaults={"track_stock": True})
    partner, _ = Partner.objects.get_or_create(name="Berlin")
    product = Product.objects.create(title=f"The mug {sku}", product_class=kind, upc=sku)
    StockRecord.objects.create(
        product=product, partner=partner, partner_sku=sku, price=Decimal("9.99"), **more
    )
    if quantity:
        stock.here().receive(sku, quantity, at="berlin", key=f"in {sku}")
    return product


class Shopper:
    """Somebody with a browser and an account."""

    def __init__(self):
        Country.objects.get_or_create(
            iso_3166_1_a2="DE", defaults={"printable_name": "Germany", "is_shipping_country": True}
        )
        name = f"shopper-{next(NUMBERS)}"
        self.user = User.objects.create_user(name, f"{name}@example.com", "secret")
        self.client = Client()
        self.client.force_login(self.user)

    def add(self, product, quantity=1):
        """Put something into the basket."""
        url = reverse("basket:add", kwargs={"pk": product.pk})
        return self.client.post(url, {"quantity": quantity}, follow=True)

    def go_to_preview(self):
        """Walk through the checkout up to its last page."""
        address = {"first_name": "A", "last_name": "B", "line1": "Street 1", "line4": "Berlin"}
        address |= {"postcode": "10115", "country": "DE"}
        self.client.post(reverse("checkout:shipping-address"), address)
        self.client.get(reverse("checkout:shipping-method"))
        return self.client.get(reverse("checkout:preview"))

    def place(self):
        """Press the button."""
        url = reverse("checkout:preview")
        return self.client.post(url, {"action": "place_order"}, follow=True)

    def buy(self, product, quantity=1):
        """Do all of it; return the order."""
        self.add(product, quantity)
        self.go_to_preview()
        self.place()
        return self.orders().get()

    def orders(self):
        """Return what was ordered."""
        return Order.objects.filter(user=self.user)


class Staff:
    """Somebody who works in the dashboard."""

    def __init__(self):
        name = f"staff-{next(NUMBERS)}"
        user = User.objects.create_user(
            name, f"{name}@example.com", "secret", is_staff=True, is_superuser=True
        )
        self.client = Client()
        self.client.force_login(user)

    def act(self, order, **told):
        """Press a button on the page of an order."""
        url = reverse("dashboard:order-detail", kwargs={"number": order.number})
        return self.client.post(url, told, follow=True)

    def change_status(self, order, status):
        """Change the status of an order."""
        return self.act(order, order_action="change_order_status", new_status=status)

    def ship(self, order, quantity):
        """Ship a parcel with some units of each line."""
        lines = list(order.lines.all())
        told = {f"selected_line_qty_{line.pk}": quantity for line in lines}
        return self.act(
            order,
            line_action="create_shipping_event",
            shipping_event_type="shipped",
            reference="",
            selected_line=[line.pk for line in lines],
            **told,
        )


def figures(product):
    """Return what can be sold, what is promised, and what is there."""
    found = stock.here().figures(product.upc)
    return found.available, found.reserved, found.on_hand


def is_nothing_written():
    """Return whether no trace of an order is in the database."""
    return not any(model.objects.exists() for model in (Order, Line, ShippingAddress))


class CheckoutTest(TestCase):
    """Each test runs in a block that is rolled back, and what it reserved goes with it."""

    @classmethod
    def setUpTestData(cls):
        cls.mug = stocked(5)

    def setUp(self):
        self.shopper = Shopper()

    def test_page_shows_what_can_be_sold(self):
        page = self.client.get(self.mug.get_absolute_url())
        self.assertContains(page, "In stock (5 available)")

    def test_what_is_not_there_does_not_get_into_a_basket(self):
        page = self.shopper.add(self.mug, 6)
        self.assertContains(page, "a maximum of 5 can be bought")

    def test_order_takes_stock(self):
        order = self.shopper.buy(self.mug, 3)
        self.assertEqual(figures(self.mug), (2, 3, 5))
        self.assertEqual(stock.here().reservation(str(order.number)).status, "confirmed")
        self.assertContains(self.client.get(self.mug.get_absolute_url()), "In stock (2 available)")

    def test_other_tests_orders_are_gone(self):
        self.shopper.buy(self.mug, 5)
        self.assertEqual(figures(self.mug), (0, 5, 5))

    def test_columns_of_oscars_say_nothing(self):
        self.shopper.buy(self.mug, 3)
        record = StockRecord.objects.get(product=self.mug)
        self.assertEqual((record.num_in_stock, record.num_allocated), (None, None))
        self.assertEqual(record.net_stock_level, 2)

    def test_sold_out_between_basket_and_checkout(self):
        """Oscar's own check sends the shopper back to the basket, which says why."""
        self.shopper.add(self.mug, 3)
        Shopper().buy(self.mug, 4)
        page = self.shopper.client.get(reverse("checkout:shipping-address"), follow=True)
        self.assertRedirects(page, reverse("basket:summary"))
        self.assertContains(page, "is no longer available to buy (a maximum of 1 can be bought)")

    def test_what_is_not_counted_takes_no_stock(self):
        kind = ProductClass.objects.create(name="Letters", track_stock=False)
        letter = stocked(0)
        letter.product_class = kind
        letter.save()
        order = self.shopper.buy(letter, 3)
        self.assertEqual(order.lines.get().quantity, 3)
        self.assertEqual(figures(letter), (0, 0, 0))

    def test_alert_of_oscars_is_raised_and_closed_again(self):
        mug = stocked(5, low_stock_threshold=4)
        order = self.shopper.buy(mug, 3)
        alerts = StockAlert.objects.filter(stockrecord__product=mug)
        self.assertEqual([alert.status for alert in alerts], ["Open"])
        Staff().change_status(order, "Cancelled")
        self.assertEqual([alert.status for alert in alerts.all()], ["Closed"])


class DashboardTest(TestCase):
    """What the staff does to an order moves its stock."""

    def setUp(self):
        self.mug = stocked(5)
        self.order = Shopper().buy(self.mug, 3)
        self.staff = Staff()
        ShippingEventType.objects.create(name="Shipped", code="shipped")

    def test_parcel_takes_its_units_away(self):
        page = self.staff.ship(self.order, 2)
        self.assertContains(page, "Shipping event created")
        self.assertEqual(figures(self.mug), (2, 1, 3))
        self.assertEqual(self.order.lines.get().num_allocated, 1)

    def test_more_than_is_left_is_not_shipped(self):
        self.staff.ship(self.order, 2)
        page = self.staff.ship(self.order, 2)
        self.assertContains(page, "Unable to create shipping event")
        self.assertEqual(figures(self.mug), (2, 1, 3))
        self.assertEqual(self.order.shipping_events.count(), 1)

    def test_cancelled_order_gives_back_what_it_has_not_shipped(self):
        self.staff.ship(self.order, 1)
        self.staff.change_status(self.order, "Cancelled")
        self.assertEqual(figures(self.mug), (4, 0, 4))
        self.assertTrue(self.order.lines.get().allocation_cancelled)

    def test_cancelled_order_is_not_shipped(self):
        self.staff.change_status(self.order, "Cancelled")
        page = self.staff.ship(self.order, 1)
        self.assertContains(page, "Unable to create shipping event")
        self.assertEqual(figures(self.mug), (5, 0, 5))
        self.assertFalse(self.order.shipping_events.exists())


class PaymentTest(TransactionTestCase):
    """Real commits: what is held before the payment, and what a failure takes back."""

    def setUp(self):
        self.mug = stocked(5)
        self.shopper = Shopper()
        self.shopper.add(self.mug, 3)
        self.shopper.go_to_preview()

    def tearDown(self):
        self.assertEqual(stock.inventory().verify().problems, ())

    def test_goods_are_held_while_the_money_is_taken(self):
        seen = []
        with patch(PAYMENT, lambda *_, **__: seen.append(figures(self.mug))):
            self.shopper.place()
        self.assertEqual(seen, [(2, 3, 5)])
        self.assertEqual(figures(self.mug), (2, 3, 5))

    def test_failed_payment_takes_everything_back(self):
        for error in (UnableToTakePayment("no"), PaymentError("no"), ZeroDivisionError()):
            with patch(PAYMENT, side_effect=error), self.subTest(error=error):
                page = self.shopper.place()
                self.assertEqual(page.status_code, 200)
                self.assertEqual(figures(self.mug), (5, 0, 5))
                self.assertTrue(is_nothing_written())
        self.shopper.place()
        self.assertEqual(figures(self.mug), (2, 3, 5))

    def test_payment_elsewhere_leaves_the_goods_held(self):
        with patch(PAYMENT, side_effect=RedirectRequired("https://pay.example")):
            self.shopper.client.post(reverse("checkout:preview"), {"action": "place_order"})
        self.assertEqual(figures(self.mug), (2, 3, 5))
        number = self.shopper.client.session["checkout_data"]["submission"]["order_number"]
        self.assertEqual(stock.inventory().reservation(str(number)).status, "held")

    def test_attempt_after_one_that_never_came_back_changes_the_hold(self):
        basket = Basket.objects.get(owner=self.shopper.user)
        stock.hold(OrderNumberGenerator().order_number(basket), basket)
        basket.lines.update(quantity=2)
        self.shopper.place()
        self.assertEqual(figures(self.mug), (3, 2, 5))

    def test_gone_before_the_payment(self):
        """Nobody pays for what somebody else got first, and Oscar's page says so."""
        stock.inventory().adjust(self.mug.upc, -4, at="berlin", reason="broken", key="x")
        with patch(PAYMENT) as payment, NO_LAST_LOOK:
            page = self.shopper.place()
        payment.assert_not_called()
        self.assertContains(page, f"Somebody was faster: {self.mug.title} (1 left, 3 wanted)")
        self.assertTrue(is_nothing_written())
        self.assertEqual(Basket.objects.get(owner=self.shopper.user).status, "Open")

    def test_failure_after_the_reservation_takes_it_back(self):
        """Order, lines, address and promise are of one transaction."""

        def fail(sender, created, **_):
            if created:
                self.assertEqual(figures(self.mug), (2, 3, 5))
                raise ZeroDivisionError

        post_save.connect(fail, sender=Line)
        self.addCleanup(post_save.disconnect, fail, sender=Line)
        for hold in (stock.hold, lambda *_: None):
            with patch("shop.stock.hold", hold), self.subTest(hold=hold):
                page = self.shopper.place()
                self.assertContains(page, "A problem occurred while placing this order")
                self.assertTrue(is_nothing_written())
                self.assertEqual(figures(self.mug), (5, 0, 5))


class LastMugTest(TransactionTestCase):
    """Two browsers, one mug, both past the last look at the basket."""

    def compete(self):
        """Let both press the button at once; return the pages they see."""
        self.mug = stocked(1)
        shoppers = [Shopper(), Shopper()]
        for shopper in shoppers:
            shopper.add(self.mug)
            shopper.go_to_preview()
        start = Barrier(2)

        def press(shopper):
            start.wait(20)
            try:
                return shopper.place().content.decode()
            finally:
                connection.close()

        with NO_LAST_LOOK, ThreadPoolExecutor(2) as pool:
            return list(pool.map(press, shoppers))

    def check_one_got_it(self):
        """Check that one got the mug, and the other reads why not."""
        pages = self.compete()
        written = [model.objects.count() for model in (Order, Line, ShippingAddress)]
        self.assertEqual(written, [1, 1, 1])
        self.assertEqual(figures(self.mug), (0, 1, 1))
        self.assertEqual(sum("Somebody was faster" in page for page in pages), 1)
        self.assertEqual(stock.inventory().verify().problems, ())

    def test_hold_before_the_payment_decides(self):
        self.check_one_got_it()

    def test_reservation_in_the_orders_transaction_decides(self):
        with patch("shop.stock.hold"):
            self.check_one_got_it()

    def test_without_either_both_would_have_got_it(self):
        with patch("shop.stock.hold"), patch("shop.stock.place"):
            self.compete()
        self.assertEqual(Order.objects.count(), 2)
