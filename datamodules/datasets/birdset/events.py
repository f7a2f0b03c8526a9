"""From detected events to training clips, as BirdSet (Rauch et al., ICLR 2025) chooses them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from steadyear.foundation.random_streams import numpy_generator

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NOISE = -1
"""Cluster of events that the published detector took for noise."""


@dataclass(frozen=True)
class Events:
    """Events of many recordings, one behind the other.

    Args:
        recording: Position of the recording of each event, ascending.
        number: Number of each event in its recording, from 0.
        bounds: Start and end in seconds, shape (events, 2).
        cluster: Cluster of each event; ``NOISE`` for noise.
    """

    recording: Ints
    number: Ints
    bounds: Floats
    cluster: Ints

    def __len__(self) -> int:
        """Number of events."""
        return len(self.recording)

    def select(self, chosen: Bools | Ints) -> Events:
        """Return some of the events.

        Args:
            chosen: A mask or positions.
        """
        return Events(
            self.recording[chosen], self.number[chosen], self.bounds[chosen], self.cluster[chosen]
        )


def usable(events: Events) -> Events:
    """Leave out events without a start or an end, or with an end before the start.

    Args:
        events: Events.
    """
    start, end = events.bounds[:, 0], events.bounds[:, 1]
    return events.select(np.isfinite(start) & np.isfinite(end) & (end >= start) & (end > 0))


def main_events(events: Events) -> Events:
    """Keep the events of each recording's biggest cluster.

    Noise is left out, unless it is the only event of its recording. Of clusters of one size the
    smallest number wins.

    Args:
        events: Usable events.
    """
    size = np.bincount(events.recording)[events.recording] if len(events) else events.recording
    kept = events.select((events.cluster != NOISE) | (size == 1))
    if not len(kept):
        return kept
    width = int(kept.cluster.max()) - NOISE + 1
    keys, inverse, counts = np.unique(
        kept.recording * width + kept.cluster - NOISE, return_inverse=True, return_counts=True
    )
    # By recording, then the largest first, then the smallest cluster: the first of each wins.
    order = np.lexsort((keys, -counts, keys // width))
    _, winners = np.unique((keys // width)[order], return_index=True)
    return kept.select(np.isin(inverse, order[winners]))


def limited_counts(
    counts: Ints, class_limit: int | None = None, event_limit: int | None = None
) -> Ints:
    """Say how many events of each recording of one class are kept.

    The fullest recordings are cut to the level of the next fullest, again and again, until the
    class has at most ``class_limit`` events and the fullest recording at most ``event_limit``. It
    ends earlier, as published, where the next step would bring the class below ``class_limit``,
    or where every recording has one event. So both limits are soft: a class keeps at least one
    event of every recording, a rare class keeps all events, and a step from one level to the next
    may pass by ``event_limit``. Where all recordings are on one level, the published algorithm
    repeats a step of nothing for ever; here the next level is then ``event_limit``, or 1 if that
    is not lower.

    Args:
        counts: Events of each recording of the class, at least 1 each.
        class_limit: Events of a class; ``None`` sets no limit.
        event_limit: Events of a recording; ``None`` sets no limit.
    """
    most_of_class = np.inf if class_limit is None else class_limit
    most_of_recording = np.inf if event_limit is None else event_limit
    sizes = counts.copy()
    while len(sizes) and (most := int(sizes.max())) not in (1, event_limit):
        total = int(sizes.sum())
        if total <= most_of_class and most <= most_of_recording:
            break
        fullest = sizes == most
        step = (most - _next_level(sizes, event_limit)) * int(fullest.sum())
        if total - step < (class_limit or 0):
            break
        sizes[fullest] = _next_level(sizes, event_limit)
    return sizes


def _next_level(sizes: Ints, event_limit: int | None) -> int:
    most = int(sizes.max())
    lower = sizes[sizes < most]
    if len(lower):
        return int(lower.max())
    return event_limit if event_limit is not None and event_limit < most else 1


def limit_events(
    events: Events,
    classes: Sequence[Hashable],
    class_limit: int | None,
    event_limit: int | None,
    seed: int,
) -> Events:
    """Draw the events that the limits leave, see ``limited_counts``.

    Args:
        events: Events, each recording with at least one that shall count.
        classes: Class of every recording.
        class_limit: Events of a class; ``None`` sets no limit.
        event_limit: Events of a recording; ``None`` sets no limit.
        seed: Seed of the draw.
    """
    if (class_limit is None and event_limit is None) or not len(events):
        return events
    recordings, firsts, counts = np.unique(events.recording, return_index=True, return_counts=True)
    members: dict[Hashable, list[int]] = {}
    for i, recording in enumerate(recordings):
        members.setdefault(classes[recording], []).append(i)
    allowed = counts.copy()
    for group in members.values():
        allowed[group] = limited_counts(counts[group], class_limit, event_limit)
    rng = numpy_generator(seed)
    chosen = [
        # Most recordings keep all events, and a draw of all would only cost time.
        first + (np.arange(count) if size == count else np.sort(rng.permutation(count)[:size]))
        for first, count, size in zip(firsts, counts, allowed, strict=True)
    ]
    return events.select(np.concatenate(chosen))
