"""Comparison: the draws of the intervals; networks: what a seed makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from steadyear.compare.scores.multilabel import drawn_cmap
from steadyear.compare.statistics.bootstrap import (
    score_interval,
    seed_and_clip_interval,
    seed_interval,
)
from steadyear.lightning_modules import A2M2E, AudioProtoPNetHead, AudioVGG, ConvNeXtHead
from tests.golden.streams import some, stream

# Comparison: the draws of the intervals.


@stream
def intervals(_folder: Path) -> Any:
    left, right = np.arange(5.0) ** 2, np.arange(5.0)[::-1] * 2.7
    clips = np.arange(40.0) % 7
    many, few = np.add.outer(left, clips), np.add.outer(right, np.sqrt(clips))
    draws = np.add.outer(np.arange(300.0) % 11, left), np.add.outer(np.arange(300.0) % 5, right)
    return {
        "seeds, paired": seed_interval(left, right, paired=True),
        "seeds": seed_interval(left, right[:4], paired=False),
        "seeds and clips, paired": seed_and_clip_interval(many, few, paired=True),
        "seeds and clips": seed_and_clip_interval(many, few[:4], paired=False),
        "scores, paired": score_interval(*draws, paired=True),
        "scores": score_interval(draws[0], draws[1][:, :4], paired=False),
    }


@stream
def drawn_clips_of_cmap(_folder: Path) -> Any:
    scores = np.sin(np.arange(60.0)).reshape(20, 3)
    found = drawn_cmap(scores, (np.cos(np.arange(60.0)).reshape(20, 3) > 0.3).astype(float))
    return {
        "draws": len(found),
        "first": found[:4],
        "last": found[-2:],
        "mean": float(found.mean()),
    }


# Networks: what a seed makes of them.


@stream
def first_weights(_folder: Path) -> Any:
    makers: dict[str, Callable[[], nn.Module]] = {
        "AudioVGG": lambda: AudioVGG(0.1),
        "A2M2E": lambda: A2M2E(16, 8),
        "ConvNeXtHead": lambda: ConvNeXtHead(16, 8),
        "AudioProtoPNetHead": lambda: AudioProtoPNetHead(16, 3),
    }
    found = {}
    for name, make in makers.items():
        torch.manual_seed(5)
        parameters = [values.detach() for values in make().parameters() if values.ndim > 1]
        found[name] = [some(values, 2) for values in (parameters[0], parameters[-1])]
        found[f"after {name}"] = torch.rand(1)
    return found
