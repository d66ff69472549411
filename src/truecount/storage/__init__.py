"""
Storages: where ledgers are kept. Each knows rows and locks, and no rule of stock.

``memory``    everything in this process; the reference, also the fast fake
``sqlite``    one file, shared by threads and processes; the embedded default
``postgres``  a schema in a PostgreSQL database; writers beside each other; an extra
"""
