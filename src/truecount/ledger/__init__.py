"""
The stock ledger: what arrives, leaves, moves, is counted and corrected.

Pure rules, one table of operation types each: ``supply`` (what may be taken, from which
lot), ``stock_rules``, ``delivery_rules``, ``transfer_rules``, ``correction_rules``.
Thin shells that apply and read: ``stock_ledger``, ``history``, ``verify``, ``exporting``,
``importing`` (what a file is: ``export_format``).
"""
