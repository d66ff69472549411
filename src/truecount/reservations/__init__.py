"""
The reservation manager: hold, confirm, pick, ship, release, expire, amend.

``sourcing``  which location serves which line (pure, replaceable)
``rules``     the decisions (pure)
``manager``   the thin shell that applies and reads
"""
