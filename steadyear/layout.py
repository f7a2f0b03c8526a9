"""A check that SteadyEar's packages are really SteadyEar's."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("attacks", "callbacks", "datamodules", "lightning_modules")


class LayoutError(ImportError):
    """Another package took the place of one of SteadyEar's."""


def check_layout() -> None:
    """Refuse to run when a foreign package hides one of ours.

    ``callbacks`` also is the name of a public package; with both installed, Python may find theirs.

    Raises:
        LayoutError: If a package is missing or does not lie beside this one.
    """
    home = Path(__file__).resolve().parents[1]
    for name in PACKAGES:
        spec = find_spec(name)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if origin is None or origin.parents[1] != home:
            raise LayoutError(
                f"The package '{name}' of SteadyEar should lie in {home}, but Python finds "
                f"{origin or 'none'}. Uninstall the package of the same name (pip uninstall "
                f"{name}), or use a fresh environment: make install."
            )
