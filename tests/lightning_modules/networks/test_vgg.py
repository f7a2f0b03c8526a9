"""The network of the music emotion models and its heads: sizes by hand, and the linear bottleneck."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from steadyear.lightning_modules.networks import A2B2E, A2E, A2M2E, AudioVGG

# (kernel, channels in, channels out) of the nine convolutions.
CONVOLUTIONS = [
    (5, 1, 64), (3, 64, 64), (3, 64, 128), (3, 128, 128), (3, 128, 256),
    (3, 256, 256), (3, 256, 384), (3, 384, 512), (1, 512, 256),
]  # fmt: skip


def num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_number_of_parameters() -> None:
    # Weights, one bias, and scale and shift of the batch normalisation per channel.
    by_hand = sum(k * k * c_in * c_out + 3 * c_out for k, c_in, c_out in CONVOLUTIONS)
    assert by_hand == 3_935_808
    assert num_parameters(AudioVGG()) == by_hand


def test_published_input_gives_the_published_maps() -> None:
    network = AudioVGG().eval()
    spectrogram = torch.randn(2, 1, 313, 149)
    with torch.no_grad():
        maps = network.layers(spectrogram)
        embedding = network(spectrogram)
    assert maps.shape == (2, 256, 39, 18)
    assert embedding.shape == (2, network.embedding_dim) == (2, 256)
    torch.testing.assert_close(embedding, maps.flatten(2).mean(dim=2))


def test_every_convolution_is_normalised_and_rectified_and_pooling_comes_twice() -> None:
    kinds = [type(module).__name__ for module in AudioVGG().modules()]
    assert [kinds.count(k) for k in ("Conv2d", "BatchNorm2d", "ReLU")] == [9, 9, 9]
    assert [kinds.count(k) for k in ("MaxPool2d", "Dropout2d")] == [2, 2]


@pytest.mark.parametrize(("width", "embedding_dim"), [(0.5, 128), (0.05, 13), (0.001, 1)])
def test_width_scales_every_channel(width: float, embedding_dim: int) -> None:
    network = AudioVGG(width=width).eval()
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    expected = [max(1, round(width * c_out)) for *_, c_out in CONVOLUTIONS]
    assert [m.out_channels for m in convolutions] == expected
    assert network.embedding_dim == embedding_dim
    assert network(torch.randn(1, 1, 7, 7)).shape == (1, embedding_dim)


def test_in_channels() -> None:
    assert AudioVGG(width=0.1, in_channels=3)(torch.randn(2, 3, 20, 20)).shape == (2, 26)


def test_convolutions_start_kaiming_normal_with_zero_bias() -> None:
    torch.manual_seed(0)
    for module in AudioVGG().modules():
        if isinstance(module, nn.Conv2d) and module.in_channels > 1:
            fan_in = module.weight[0].numel()
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.03)
            assert not module.bias.any()


def test_same_seed_same_network() -> None:
    networks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        networks.append(nn.utils.parameters_to_vector(AudioVGG(width=0.1).parameters()))
    assert torch.equal(networks[0], networks[1])
    assert not torch.equal(networks[0], networks[2])


def test_dropout_drops_in_training_only() -> None:
    network, spectrogram = AudioVGG(width=0.1, dropout=0.5), torch.randn(2, 1, 20, 20)
    assert not torch.equal(network(spectrogram), network(spectrogram))
    network.eval()
    assert torch.equal(network(spectrogram), network(spectrogram))


def test_width_must_be_positive() -> None:
    with pytest.raises(ValueError, match="width"):
        AudioVGG(width=0)


def test_direct_head_is_one_linear_map() -> None:
    head, embedding = A2E(256, 8), torch.randn(5, 256)
    prediction, concepts = head(embedding)
    assert concepts is None
    assert num_parameters(head) == 256 * 8 + 8
    torch.testing.assert_close(prediction, embedding @ head.to_targets.weight.T)


@pytest.mark.parametrize("head_class", [A2M2E, A2B2E])
def test_bottleneck_is_linear_and_complete(head_class: type[A2M2E]) -> None:
    head, embedding = head_class(256, 8), torch.randn(5, 256)
    nn.init.normal_(head.to_targets.bias)
    prediction, concepts = head(embedding)
    assert concepts is not None
    assert concepts.shape == (5, 7)
    assert num_parameters(head) == 256 * 7 + 7 + 7 * 8 + 8
    expected = concepts @ head.to_targets.weight.T + head.to_targets.bias
    torch.testing.assert_close(prediction, expected)
    torch.testing.assert_close(concepts, embedding @ head.to_concepts.weight.T)


def test_only_named_concepts_are_supervised() -> None:
    assert A2M2E.supervised_concepts
    assert not A2B2E.supervised_concepts
    assert not A2E.supervised_concepts


def test_heads_of_one_seed_are_equal_with_and_without_supervision() -> None:
    embedding, predictions = torch.randn(3, 16), []
    for head_class in (A2M2E, A2B2E):
        torch.manual_seed(3)
        predictions.append(head_class(16, num_targets=4, num_concepts=2)(embedding)[0])
    assert torch.equal(*predictions)


def test_heads_start_kaiming_normal_with_zero_bias() -> None:
    torch.manual_seed(0)
    layer = A2M2E(512, 8, num_concepts=64).to_concepts
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / 512), rel=0.03)
    assert not layer.bias.any()
