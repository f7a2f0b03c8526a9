"""`steadyear data`: fetch data sets."""

from __future__ import annotations

from collections.abc import Sequence

import httpx2
from huggingface_hub.errors import HfHubHTTPError

from steadyear.download import birdset

USAGE = "usage: steadyear data birdset NAME --root DIR [--split SPLIT ...]"


def main(args: Sequence[str]) -> None:
    """Run the command.

    Args:
        args: Arguments after ``data``.

    Raises:
        ConnectionError: If the hub cannot be reached, or the connection breaks for good.
    """
    if not args or args[0] in {"-h", "--help"}:
        print(USAGE)
        return
    if args[0] != "birdset":
        raise ValueError(f"There is no data set {args[0]} to be fetched. {USAGE}")
    try:
        birdset.main(args[1:])
    except (HfHubHTTPError, httpx2.HTTPError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConnectionError(
            f"The hub did not answer as expected: {reason}. What has arrived is kept: the same "
            "command goes on from there."
        ) from error
