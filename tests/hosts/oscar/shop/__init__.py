"""A shop of django-oscar whose stock is truecount's."""
