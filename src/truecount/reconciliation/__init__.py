"""
Where the book and the world disagree, or the book with itself.

The book alone:

``findings``      what a finding is: kinds, urgency, advice, identity (pure)
``view``          one reading of the book, as the rules of findings see it (pure)
``conditions``    what figures and promises show that somebody should look at (pure)
``documents``     what transfers, deliveries and contradicting facts show (pure)
``register``      which findings are open, since when, and who was told (pure, and its shell)

The book and the world:

``observations``  what others saw (pure)
``sources``       how far they can be trusted: a shop rule (pure, and its shell)
``reach``         which values a figure may have shown meanwhile: arithmetic (pure)
``verdicts``      match, mismatch, undecided until a named time (pure)
``windows``       the book's side: what was seen for certain, and what perhaps (pure)
``promisable``    what may have been promisable meanwhile: holds and lots run out (pure)
``mismatches``    what kind a difference is, decided by one table (pure)
``kits``          what kits were made of while somebody looked at them
``published``     what was last published to each channel: a record (pure)
``differ``        two lists joined: in order, by hash, or only what moved (pure)
``comparing``     observations against one reading of the book (pure; ``intake`` before it,
                  ``book_side`` beside it, ``report`` after it)
``tries``         what was left open again and again (pure)
``agreed``        since when both sides differ, as the ledger knows it
``explained``     what may be behind each mismatch of a report
``reconciler``    the shell

Putting it right:

``basis``         what a repair of one difference rests on, and is guarded by (pure)
``plan_lines``    what is done about one mismatch (pure)
``plan``          all lines of a report, to be cut down and approved (pure; ``planning`` makes
                  it, ``preview`` looks ahead)
``breaker``       what may be changed at once (pure)
``repairing``     the rules under which a line is written, or says why not (pure)
``repairs``       the shell
"""
