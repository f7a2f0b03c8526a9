"""The one batch that every data module yields and every module reads."""

from __future__ import annotations

from typing import TypedDict

from torch import Tensor


class AudioBatch(TypedDict, total=False):
    """A batch of clips; a data module fills what its task has.

    Attributes:
        waveform: Clips at the front end's sampling rate, full scale 1, shape (batch, time), float32.
        spectrogram: Standardised spectrograms in z-units, shape (batch, 1, height, width), float32.
        target: Ratings, shape (batch, num_targets), float32; or labels, shape (batch, num_classes).
        concepts: Mid-level features, shape (batch, num_concepts), float32.
        index: Position of each clip in the data module's ``clip_ids``, shape (batch,), int64.
    """

    waveform: Tensor
    spectrogram: Tensor
    target: Tensor
    concepts: Tensor
    index: Tensor
