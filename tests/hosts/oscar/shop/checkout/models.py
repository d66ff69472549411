"""Oscar has none here."""
