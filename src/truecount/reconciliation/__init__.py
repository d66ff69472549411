"""
Where the book and the world disagree, or the book with itself.

``findings``    what a finding is: kinds, urgency, advice, identity (pure)
``conditions``  what a reader shows that somebody should look at, one rule each (pure)
``register``    which findings are open, since when, and who was told (pure, and its shell)
"""
