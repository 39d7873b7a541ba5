"""How many trades feeds missed, day by day, and what became of each gap."""
