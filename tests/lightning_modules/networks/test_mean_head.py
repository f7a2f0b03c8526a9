import torch

from steadyear.lightning_modules.networks.mean_head import MeanHead


def test_it_gives_logits():
    assert MeanHead()(torch.zeros(3, 8, 2, 2)).shape == (3, 2)
