"""Statistics of markets, and what a language model says of them."""
