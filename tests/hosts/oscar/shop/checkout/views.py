"""Nobody pays for what is gone, and an order is written whole or not at all."""

from django.db import transaction
from oscar.apps.checkout import views
from oscar.apps.payment.exceptions import RedirectRequired, UnableToTakePayment

from shop import stock
from truecount.errors import InsufficientStock


class PaymentDetailsView(views.PaymentDetailsView):
    def handle_payment(self, order_number, total, **kwargs):
        """Hold the goods, then take the money; what the payment fails for is let go."""
        basket = self.request.basket
        try:
            stock.hold(order_number, basket)
        except InsufficientStock as error:
            raise UnableToTakePayment(stock.sorry(error, basket)) from error
        try:
            super().handle_payment(order_number, total, **kwargs)
        except RedirectRequired:
            raise
        except Exception:
            stock.let_go(order_number)
            raise

    def place_order(self, order_number, **kwargs):
        """Write addresses, order, reservation and payment in one transaction, or none of them."""
        try:
            with transaction.atomic():
                return super().place_order(order_number, **kwargs)
        except Exception:
            stock.let_go(order_number)
            raise
