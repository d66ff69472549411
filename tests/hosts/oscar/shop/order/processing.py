"""What was allocated to an order leaves with its parcels, or is given back."""

from django.db import transaction
from oscar.apps.order import processing
from oscar.apps.order.exceptions import InvalidShippingEvent
from oscar.apps.partner.exceptions import InvalidStockAdjustment

from shop import stock
from truecount.errors import Refused


class EventHandler(processing.EventHandler):
    def handle_shipping_event(self, order, event_type, lines, line_quantities, **kwargs):
        """Write the event, and let its units leave where it says that they left."""
        try:
            with transaction.atomic():
                event = super().handle_shipping_event(
                    order, event_type, lines, line_quantities, **kwargs
                )
                if event_type.code == "shipped":
                    self.consume_stock_allocations(order, lines, line_quantities)
                return event
        except (Refused, InvalidStockAdjustment) as error:
            raise InvalidShippingEvent(str(error)) from error

    def handle_order_status_change(self, order, new_status, note_msg=None):
        """Change the status, and give back what a cancelled order still has."""
        with transaction.atomic():
            super().handle_order_status_change(order, new_status, note_msg)
            if new_status == "Cancelled":
                self.cancel_stock_allocations(order)

    def consume_stock_allocations(self, order, lines=None, line_quantities=None):
        """Let units leave; Oscar's own counters of the lines follow."""
        lines, line_quantities = _told(order, lines, line_quantities)
        with transaction.atomic():
            stock.ship(order, zip(lines, line_quantities, strict=True))
            super().consume_stock_allocations(order, lines, line_quantities)

    def cancel_stock_allocations(self, order, lines=None, line_quantities=None):
        """Give units back; Oscar's own counters of the lines follow."""
        lines, line_quantities = _told(order, lines, line_quantities)
        with transaction.atomic():
            stock.cancel(order, zip(lines, line_quantities, strict=True))
            super().cancel_stock_allocations(order, lines, line_quantities)


def _told(order, lines, quantities):
    """Return lines with quantities: where none were told, all that is still allocated."""
    lines = lines or list(order.lines.all())
    return lines, quantities or [line.num_allocated for line in lines]
