"""The command line: the one place that knows all parts and wires them."""
