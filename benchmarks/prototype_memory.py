"""How much memory one training step of the prototype head takes, chunk by chunk and as a whole.

Run: python benchmarks/prototype_memory.py [--clips 2]
The head has the size of AudioProtoPNet-5 (9736 classes, 5 prototypes each) and maps of
1024 x 8 x 19. Every way runs in a process of its own: forward, loss, backward. Prints how far the
resident memory rises above that of the prototypes, of which 199 MB are their gradient, and writes
prototype_memory.json into the working directory. The orthogonality loss is left out: it adds 200
to 380 MB, whatever the number of clips, because its gradient is as large.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from multiprocessing import get_context
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from steadyear.lightning_modules import AudioProtoPNetHead

CLASSES, PER_CLASS = 9736, 5
WAYS = ("chunks", "one chunk", "plain convolution")


def plain(head: AudioProtoPNetHead, embedding: Tensor) -> Tensor:
    """Logits by a 1 x 1 convolution with all prototypes, which autograd differentiates."""
    features = head.upsample(embedding)
    length = (features.square().sum(1, keepdim=True) + 1e-4).sqrt()
    prototypes = head.prototype_vectors
    scaled = prototypes / (1.01 * ((prototypes.square().sum(1, keepdim=True) + 1e-4).sqrt() + 1e-4))
    activations = F.conv2d(features / length, scaled).relu().amax((-2, -1))
    return head.last_layer(activations)


def peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def step(way: str, clips: int) -> float:
    """Peak memory of one training step, in MB above its start."""
    torch.manual_seed(0)
    chunk = CLASSES * PER_CLASS if way == "one chunk" else 1024
    head = AudioProtoPNetHead(1024, CLASSES, PER_CLASS, chunk_size=chunk)
    embedding = torch.randn(clips, 1024, 8, 19, requires_grad=True)
    before = peak_bytes()
    logits = plain(head, embedding) if way == "plain convolution" else head(embedding)[0]
    logits.square().mean().backward()
    return (peak_bytes() - before) / 1e6


def main() -> None:
    """Measure all ways and print them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=2)
    clips = parser.parse_args().clips
    results = {}
    # Freed memory goes back at once; otherwise the figures would show the habits of the allocator.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "262144"
    for way in WAYS:
        with get_context("spawn").Pool(1) as pool:
            results[way] = round(pool.apply(step, (way, clips)))
        print(f"{way:>18}: {results[way]:6d} MB above the model, {clips} clips")
    Path("prototype_memory.json").write_text(
        json.dumps({"clips": clips, "peak_mb": results}) + "\n"
    )


if __name__ == "__main__":
    main()
