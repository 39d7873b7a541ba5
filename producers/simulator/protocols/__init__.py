"""The protocols that the simulator speaks, one file an exchange."""
