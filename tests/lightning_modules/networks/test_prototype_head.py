"""The prototype head: the reference's numbers, its gradient, slicing, maps and matches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck

from steadyear.lightning_modules.networks import AudioProtoPNetHead
from steadyear.lightning_modules.networks.prototype_similarity import MaxSimilarity, unit_patches


@pytest.fixture(scope="module")
def oracle(shared_data) -> dict[str, Tensor]:
    path = shared_data / "reference/audioprotopnet_head.npz"
    return {name: torch.from_numpy(values) for name, values in np.load(path).items()}


def reference_head(oracle: dict[str, Tensor], chunk_size: int) -> AudioProtoPNetHead:
    head = AudioProtoPNetHead(16, 6, 3, chunk_size=chunk_size)
    head.load_state_dict(
        {
            "prototype_vectors": oracle["prototype_vectors"],
            "last_layer.weight": oracle["last_layer_weight"],
            "last_layer.bias": oracle["last_layer_bias"],
        }
    )
    return head


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("chunk_size", [1, 4, 7, 1000])
def test_head_equals_the_reference(oracle, chunk_size: int) -> None:
    head = reference_head(oracle, chunk_size)
    features = oracle["features"].clone().requires_grad_()
    logits, activations = head(features)
    (gradient,) = torch.autograd.grad(logits.square().sum(), features)
    close(head.upsample(features), oracle["upsampled_features"])
    close(activations, oracle["max_activations"])
    close(logits, oracle["logits"])
    close(gradient, oracle["grad_of_sum_of_squared_logits"])


def test_orthogonality_equals_the_reference(oracle) -> None:
    head = reference_head(oracle, 4)
    residuals = oracle["orthogonality_residuals"]
    close(head.orthogonality_residuals(), residuals)
    close(head.regularization(), residuals.norm() / (6 * 3**2))


def dense_similarity(features: Tensor, prototypes: Tensor) -> Tensor:
    """Maximum over the map of the published formula, with the two constant channels appended."""
    eps = torch.full((1, 2, 1, 1), 1e-4, dtype=features.dtype)
    z = torch.cat([features, eps.expand(len(features), -1, *features.shape[2:])], 1)
    p = torch.cat([prototypes[..., None, None], eps.expand(len(prototypes), -1, 1, 1)], 1)
    long_z = (z.square().sum(1, keepdim=True) + 1e-4).sqrt()
    long_p = ((p.square().sum(1) + 1e-4).sqrt() + 1e-4).view(1, -1, 1, 1)
    return (F.conv2d(z, p) / (long_z * long_p * 1.01)).amax((-2, -1))


def random_case() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    features = torch.randn(3, 5, 4, 3, dtype=torch.double, generator=generator)
    return features, torch.randn(11, 5, dtype=torch.double, generator=generator)


@pytest.mark.parametrize("chunk_size", [3, 11, 50])
def test_gradients_of_chunks_equal_those_of_the_whole(chunk_size: int) -> None:
    features, prototypes = (x.requires_grad_() for x in random_case())
    weights = torch.randn(3, 11, dtype=torch.double)
    ours = MaxSimilarity.apply(*unit_patches(features), prototypes, chunk_size)
    dense = dense_similarity(features, prototypes)
    torch.testing.assert_close(ours, dense)
    pairs = [
        torch.autograd.grad((s * weights).sum(), (features, prototypes)) for s in (ours, dense)
    ]
    for ours_grad, dense_grad in zip(*pairs, strict=True):
        torch.testing.assert_close(ours_grad, dense_grad)


def test_gradcheck() -> None:
    features, prototypes = random_case()
    patches, offset = unit_patches(features)
    for tensor in (patches, offset, prototypes):
        tensor.requires_grad_()
    assert gradcheck(lambda *x: MaxSimilarity.apply(*x, 4), (patches, offset, prototypes))


def test_frozen_prototypes_get_no_gradient_and_the_map_does() -> None:
    head = AudioProtoPNetHead(4, 3, 2).requires_grad_(False)
    embedding = torch.randn(2, 4, 3, 3, requires_grad=True)
    head(embedding)[0].sum().backward()
    assert embedding.grad is not None
    assert float(embedding.grad.abs().max()) > 0
    assert head.prototype_vectors.grad is None


def test_untrained_logits_are_between_the_bias_and_the_number_of_prototypes() -> None:
    head = AudioProtoPNetHead(8, 4, 5, init="normal")
    head.prototype_vectors.data[0, :, 0, 0] = 10.0
    logits, activations = head(torch.full((1, 8, 2, 2), 7.0))
    assert float(activations.min()) >= 0
    assert 0.98 < float(activations[0, 0]) < 1 / 1.01
    torch.testing.assert_close(logits, activations.view(1, 4, 5).sum(-1) - 2)


def test_negative_weights_count_as_zero() -> None:
    head = AudioProtoPNetHead(3, 2, 2)
    head.last_layer.weight.data[1, 0] = -5.0
    logits, activations = head(torch.rand(1, 3, 2, 2))
    torch.testing.assert_close(logits[0, 1], activations[0, 3] - 2)


def test_start_of_prototypes() -> None:
    torch.manual_seed(0)
    uniform = F.normalize(AudioProtoPNetHead(1024, 10, 5).prototypes.detach())
    normal = AudioProtoPNetHead(1024, 10, 5, init="normal").prototypes.detach()
    other = ~torch.eye(50, dtype=torch.bool)
    assert (uniform @ uniform.T)[other].mean() == pytest.approx(0.75, abs=0.01)
    assert (F.normalize(normal) @ F.normalize(normal).T)[other].abs().max() < 0.2
    assert normal.norm(dim=1).mean() == pytest.approx((1024 / 3) ** 0.5, rel=0.01)


def test_selected_classes_have_the_same_logits() -> None:
    torch.manual_seed(1)
    head = AudioProtoPNetHead(32, 20, 3)
    torch.nn.init.normal_(head.last_layer.weight)
    torch.nn.init.normal_(head.last_layer.bias)
    rows = [17, 2, 2, 9]
    part = head.select(rows)
    embedding = torch.randn(4, 32, 3, 5)
    assert (part.num_classes, part.prototypes_per_class) == (4, 3)
    kept = head.prototype_vectors.view(20, 3, 32)[rows]
    assert torch.equal(part.prototype_vectors.view(4, 3, 32), kept)
    torch.testing.assert_close(
        part(embedding)[0], head(embedding)[0][:, rows], rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("rows", [[], [3], [-1, 0]])
def test_classes_that_do_not_exist_are_refused(rows: list[int]) -> None:
    with pytest.raises(ValueError, match="classes 0 to 2"):
        AudioProtoPNetHead(4, 3).select(rows)


def test_half_precision_features_do_not_overflow() -> None:
    head = AudioProtoPNetHead(64, 3, 2)
    embedding = torch.randn(2, 64, 3, 3).mul_(300).half()
    with torch.autocast("cpu", torch.bfloat16):
        logits, activations = head(embedding)
    assert logits.dtype == activations.dtype == torch.float32
    torch.testing.assert_close(logits, head(embedding.float())[0])


def planted(head: AudioProtoPNetHead, prototype: int) -> Tensor:
    """A map that is noise everywhere but shows a prototype in its lower right corner."""
    embedding = 0.1 * torch.randn(1, head.prototypes.shape[1], 4, 6)
    embedding[0, :, 2:, 4:] = head.prototypes.detach()[prototype].view(-1, 1, 1)
    return embedding


def test_maps_show_the_loudest_prototype_where_it_is() -> None:
    torch.manual_seed(2)
    head = AudioProtoPNetHead(64, 5, 2, init="normal")
    found = head.prototype_maps(planted(head, 7), top_k=3, size=(64, 96))
    assert found.prototypes[0, 0] == 7
    assert found.classes[0, 0] == 3
    assert found.maps.shape == (1, 3, 64, 96)
    assert 0.98 < float(found.contributions[0, 0]) < 1 / 1.01
    top = found.maps[0, 0]
    assert float(top[40:, 72:].mean()) > 0.9
    assert float(top[:24, :48].max()) < 0.5
    raw = head.prototype_maps(planted(head, 7), top_k=99)
    assert raw.maps.shape == (1, 10, 8, 12)


def test_matches_come_from_clips_of_the_class() -> None:
    torch.manual_seed(3)
    head = AudioProtoPNetHead(16, 3, 2, init="normal")
    # Clip 1 looks like prototype 0, but only clip 0 has its class.
    embedding = torch.cat([planted(head, 4), planted(head, 0)])
    target = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    prototypes, similarities, patches = head.matches(embedding, target)
    assert prototypes.tolist() == [0, 1, 4, 5]
    upsampled = head.upsample(embedding)
    for i, clip in enumerate([0, 0, 1, 1]):
        places = upsampled[clip].flatten(1).T
        expected = dense_similarity(
            places.T[None, :, :, None].double(),
            head.prototypes.detach()[prototypes[i]][None].double(),
        )
        assert float(similarities[i]) == pytest.approx(float(expected), rel=1e-4)
        assert (places == patches[i]).all(1).any()


def test_no_class_no_match() -> None:
    head = AudioProtoPNetHead(4, 3, 2)
    found = head.matches(torch.randn(2, 4, 2, 2), torch.zeros(2, 3))
    assert len(found.prototypes) == len(found.patches) == 0
