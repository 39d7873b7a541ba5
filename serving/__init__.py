"""Reading the tiers as one."""
