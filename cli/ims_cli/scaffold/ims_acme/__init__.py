"""The provider acme for IMS."""

from .provider import AcmeProvider

__all__ = ["AcmeProvider"]
