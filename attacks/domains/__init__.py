"""Domains: where a perturbation lives, if that is not the model's input itself."""

from attacks.domains.base import Domain

__all__ = ["Domain"]
