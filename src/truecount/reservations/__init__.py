"""
The reservation manager: hold, confirm, pick, ship, release, expire, amend.

``sourcing``    which location serves which line (pure, replaceable)
``granting``    which units serve a cart, or why there are not enough (pure)
``offers``      carts, what locations can promise them, who is asked for what (pure)
``bundle_granting``  the same for carts with bundles in them (pure)
``parcels``     which units of which lines an act means that names SKUs (pure)
``lines``       reading reservation lines, and the legs that move their units (pure)
``orders``      the document of an order: what its cart named, its bundles (pure)
``holding``     reserve (pure)
``confirming``  confirm, and hold again what ran out (pure)
``amending``    other quantities, in one movement (pure)
``expiring``    give back what ran out (pure)
``fulfilment``  release, pick, short pick, ship (pure)
``rules``       the table of all of them (pure)
``views``       reservations as callers see them (pure)
``manager``     the thin shell that applies and reads
"""
