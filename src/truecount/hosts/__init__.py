"""
Hosts: joining the open transaction of a framework, and not only a driver's connection.

``finding``     what kind of thing a host is, found without importing any framework
``sqlalchemy``  a Session or a Connection of SQLAlchemy 2
``django``      ``django.db.connection``, or ``connections[alias]``
``drivers``     whether the driver below has begun the transaction its framework speaks of
``bridge``      an asynchronous connection of psycopg, used as a synchronous one
``asyncpg``     a connection of asyncpg, used as a storage uses one of psycopg

A framework is imported only when one of its connections is joined; its user brings it.
"""

from truecount.hosts.finding import driver_connection


__all__ = ["driver_connection"]
