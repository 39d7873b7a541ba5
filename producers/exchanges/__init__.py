"""What differs from exchange to exchange: one file each."""
