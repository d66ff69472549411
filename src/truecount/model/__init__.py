"""
Words and facts: everything truecount can say, none of what it does.

Pure: no clock, no randomness, no I/O. Text, quantities and times are checked once, where
they enter (``names``, ``quantities``, ``instants``); everything behind trusts them.
"""
