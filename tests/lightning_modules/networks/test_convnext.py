"""ConvNeXt and its linear head: transformers' own model, both front ends, single clips and batches."""

from __future__ import annotations

import pytest
import torch
from transformers import ConvNextConfig, ConvNextForImageClassification

from steadyear.lightning_modules import AudioProtoPNetLogMel, BirdSetLogMel
from steadyear.lightning_modules.networks import AudioProtoPNetHead, ConvNeXt, ConvNeXtHead

SMALL = {"depths": [1, 2, 1, 1], "hidden_sizes": [8, 16, 24, 32]}


@pytest.fixture
def reference() -> ConvNextForImageClassification:
    torch.manual_seed(0)
    model = ConvNextForImageClassification(ConvNextConfig(num_channels=1, num_labels=7, **SMALL))
    # With the published 1e-6 every block is the identity, and a mistake in it would not show.
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=float("norm.weight" in name), std=0.3)
    return model.eval()


def test_logits_equal_those_of_transformers(reference) -> None:
    network, head = ConvNeXt(**SMALL).eval(), ConvNeXtHead(32, 7)
    weights = reference.convnext.state_dict()
    final = {name: weights.pop(f"layernorm.{name}") for name in ("weight", "bias")}
    network.load_state_dict(weights)
    head.layernorm.load_state_dict(final)
    head.classifier.load_state_dict(reference.classifier.state_dict())
    spectrogram = torch.randn(3, 1, 64, 101)
    with torch.no_grad():
        features = network(spectrogram)
        expected = reference.convnext(spectrogram).last_hidden_state
        torch.testing.assert_close(features, expected)
        torch.testing.assert_close(head(features)[0], reference(spectrogram).logits)


def test_base_has_the_published_names_and_size() -> None:
    with torch.device("meta"):
        network, head = ConvNeXt(), ConvNeXtHead(1024, 9736)
    tensors = {**network.state_dict(), **head.state_dict()}
    assert len(tensors) == 344
    assert sum(tensor.numel() for tensor in tensors.values()) == 97_541_768
    assert tensors["encoder.stages.2.layers.26.pwconv1.weight"].shape == (2048, 512)


@pytest.mark.parametrize(
    ("frontend", "shape"), [(BirdSetLogMel, (4, 15)), (AudioProtoPNetLogMel, (8, 19))]
)
def test_both_front_ends_give_the_published_maps(frontend, shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = ConvNeXt(**SMALL)
    with torch.no_grad():
        embedding = network(frontend()(torch.randn(1, 160_000)))
    assert embedding.shape == (1, network.embedding_dim, *shape)


@pytest.mark.parametrize("make_head", [ConvNeXtHead, AudioProtoPNetHead])
def test_a_clip_gives_the_same_logits_alone_and_in_a_batch(make_head) -> None:
    torch.manual_seed(0)
    network, head = ConvNeXt(**SMALL), make_head(32, 5)
    spectrogram = torch.randn(6, 1, 128, 101)
    with torch.no_grad():
        together = head(network(spectrogram))[0]
        alone = torch.cat([head(network(clip[None]))[0] for clip in spectrogram])
    torch.testing.assert_close(alone, together, rtol=1e-6, atol=1e-6)


def test_drop_path_skips_blocks_in_training_only() -> None:
    torch.manual_seed(0)
    network = ConvNeXt(**SMALL, drop_path=0.9)
    for name, parameter in network.named_parameters():
        if "layer_scale" in name:
            torch.nn.init.ones_(parameter)
    spectrogram = torch.randn(1, 1, 32, 32)
    assert not torch.equal(network(spectrogram), network.eval()(spectrogram))
    assert torch.equal(network(spectrogram), network(spectrogram))


def test_every_parameter_gets_a_gradient() -> None:
    network, head = ConvNeXt(**SMALL), ConvNeXtHead(32, 5)
    head(network(torch.randn(2, 1, 64, 64)))[0].square().sum().backward()
    modules = torch.nn.ModuleList([network, head])
    missing = [name for name, p in modules.named_parameters() if p.grad is None]
    assert missing == []


def test_selected_classes_have_the_same_logits() -> None:
    head = ConvNeXtHead(32, 50)
    torch.nn.init.normal_(head.layernorm.weight)
    torch.nn.init.normal_(head.classifier.bias)
    rows = [49, 3, 3]
    part = head.select(rows)
    embedding = torch.randn(4, 32, 3, 5)
    assert part.num_classes == 3
    assert torch.equal(part.classifier.weight, head.classifier.weight[rows])
    torch.testing.assert_close(
        part(embedding)[0], head(embedding)[0][:, rows], rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depths": [1, 1, 1]}, "four stages"),
        ({"hidden_sizes": [8, 0, 8, 8]}, "four stages"),
        ({"drop_path": 1.0}, "drop_path"),
    ],
)
def test_settings_that_make_no_network_are_refused(settings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConvNeXt(**settings)


def test_too_small_spectrograms_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 x 32"):
        ConvNeXt(**SMALL)(torch.randn(1, 1, 31, 100))
