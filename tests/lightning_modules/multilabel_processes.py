"""What each of two processes does; ``test_multilabel_metrics.py`` starts them.

Run as ``multilabel_processes.py RESULT`` with the environment of a process group.
"""

from __future__ import annotations

import sys

import torch
import torch.distributed

from steadyear.lightning_modules.metrics import CMAP, ClipMean, MultilabelMetrics

CLIPS = 33
"""Odd, so that a sampler for two processes repeats a clip."""


def clips() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(CLIPS, 10, generator=generator)
    return scores, (torch.rand(CLIPS, 10, generator=generator) < 0.1).float()


def main(result: str) -> None:
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    scores, target = clips()
    order = torch.cat([torch.arange(CLIPS), torch.tensor([0])])[rank::2]
    together, separate, mean = MultilabelMetrics(), CMAP(), ClipMean()
    for part in order.split(4):
        together.update(scores[part], target[part], part)
        separate.update(scores[part], target[part], part)
        mean.update(scores[part].mean(1), part)
    found = {name: value.item() for name, value in together.compute().items()}
    found |= {"separate": separate.compute().item(), "mean": mean.compute().item()}
    torch.save(found, result)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
