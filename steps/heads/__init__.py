"""What stands on an encoder: an objective, and what its decoding needs."""
