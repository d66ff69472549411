"""
Why a figure and the world disagree: causes ranked, with evidence, rivals and a way to say no.

``facts``        what an explanation is made from: mismatches, candidates, holds, levels
``priors``       the kinds of causes, how common each is, and the verdicts
``coincidence``  in how many ways numbers add up by accident
``bracket``      between which two comparisons a mismatch began
``digits``       how a typed number goes wrong
``entries``      what one entry of the book may have done to one figure
``others``       what holds, counts, pushes, levels and transfers may have done to it
``spanning``     causes that move several figures at once
``pool``         all sets of up to three causes of one figure, weighed and counted
``joint``        figures that share causes, solved together
``formulas``     wrong ways to compute a level that is shown
``common``       one cause behind all mismatches of a channel
``results``      explanations as callers see them
``sentences``    each cause in words
``explain``      all of it in one call (pure)
``evidence``     what a storage's reader knows, as facts

Nothing here knows a storage but ``evidence``, which only reads. Imports follow the list
upwards: ``explain`` asks all others, ``facts`` asks nobody.
"""
