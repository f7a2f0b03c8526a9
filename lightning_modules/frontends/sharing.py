"""One front end for a module and its data."""

from __future__ import annotations

from typing import Any

from steadyear.lightning_modules.frontends.base import Frontend


def share_frontend(module: Any, data: Any) -> None:
    """Give data that were configured without a front end that of the module.

    Args:
        module: The module, with or without an attribute ``frontend``.
        data: The data module.
    """
    frontend = getattr(module, "frontend", None)
    if isinstance(frontend, Frontend) and getattr(data, "frontend", data) is None:
        data.frontend = frontend
