"""The Manager's web services: what they are called, and one call of them."""
