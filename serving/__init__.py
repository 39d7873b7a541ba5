"""All tiers behind one HTTP interface."""
