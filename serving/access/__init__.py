"""Who may ask, for what and how much, and who comes first."""
