"""
The bundle resolver: recipes, what they take apart into, and how many can be sold.

``netting``       what bundles take from a shelf, stocked ones first; how many it gives (pure)
``carts``         whether a shelf can give several lines that share components (pure)
``index``         which bundles a component is in; figures kept up as components move (pure)
``pinned``        the recipes an order was made with, and what of its bundles left (pure)
``defining``      the rules that define a bundle and take it out of the range (pure)
``availability``  how many of a SKU can be sold: at each place, from one, in the network (pure)
``resolver``      the thin shell that defines, reads and answers
"""
