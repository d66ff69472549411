"""An order and what it is promised are written in one transaction."""

from oscar.apps.order import utils
from oscar.apps.order.exceptions import UnableToPlaceOrder

from shop import stock
from truecount.errors import InsufficientStock


class OrderCreator(utils.OrderCreator):
    def create_order_model(self, user, basket, *args, **kwargs):
        """Write the order and reserve all of its lines, or neither."""
        order = super().create_order_model(user, basket, *args, **kwargs)
        try:
            stock.place(order, basket)
        except InsufficientStock as error:
            raise UnableToPlaceOrder(stock.sorry(error, basket)) from error
        return order
