"""
Counting as daily work: what to count today, how, and how good the records are.

Pure: ``accuracy``, ``certificate``, ``due``, ``sheets``; the shell that applies them is
``counts``.
"""
