"""Golden templates."""
