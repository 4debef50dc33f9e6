"""The virtualbox provider."""
