"""
The write: lock, decide, write. One way in for every change, over any storage.

``intents``  what a request wants locked and how it decides (pure)
``book``     the locked figures, changed in memory member by member (pure)
``apply``    one transaction: lock, read the clock, decide in order, write once
``rules``    the shop rules, read and changed under their one generation
``figures``  what may be promised now, read outside a write
``group``    callers of one process share a transaction
``engine``   what the parts of the library hold: storage, tenant, clock, rules, retries
"""
