"""A stock record has a price; how many there are is truecount's to say."""

from oscar.apps.partner.abstract_models import AbstractStockRecord

from shop import stock


class StockRecord(AbstractStockRecord):
    @property
    def net_stock_level(self):
        """What can be sold; Oscar's availability, alerts and search ask for this."""
        return stock.available(self)

    def allocate(self, quantity):
        """The order creator has reserved the whole order; alerts are due."""
        self.post_save_signal()

    def consume_allocation(self, quantity):
        """The event handler has shipped it."""

    def cancel_allocation(self, quantity):
        """The event handler has released it; alerts may be over."""
        self.post_save_signal()


from oscar.apps.partner.models import *
