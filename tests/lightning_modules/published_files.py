"""Checkpoints in the layouts that are published, written without the code that loads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import ConvNextConfig, ConvNextForImageClassification

Shapes = dict[str, tuple[int, ...]]

SMALL = {"depths": [1, 2, 1, 1], "hidden_sizes": [8, 16, 24, 32]}
BASE = {"depths": [3, 3, 27, 3], "hidden_sizes": [128, 256, 512, 1024]}
CODES = ["ostric2", "grerhe1", "chukar", "gamqua", "mouqua", "melthr"]


def backbone_shapes(depths: list[int], hidden_sizes: list[int]) -> Shapes:
    """Names and shapes of a ConvNextModel, from the table of the published files."""
    shapes: Shapes = {
        "embeddings.patch_embeddings.weight": (hidden_sizes[0], 1, 4, 4),
        "embeddings.patch_embeddings.bias": (hidden_sizes[0],),
        **norm("embeddings.layernorm", hidden_sizes[0]),
        **norm("layernorm", hidden_sizes[-1]),
    }
    for s, (depth, d) in enumerate(zip(depths, hidden_sizes, strict=True)):
        stage = f"encoder.stages.{s}"
        if s > 0:
            before = hidden_sizes[s - 1]
            shapes |= norm(f"{stage}.downsampling_layer.0", before)
            shapes[f"{stage}.downsampling_layer.1.weight"] = (d, before, 2, 2)
            shapes[f"{stage}.downsampling_layer.1.bias"] = (d,)
        for layer in (f"{stage}.layers.{i}" for i in range(depth)):
            shapes[f"{layer}.layer_scale_parameter"] = (d,)
            shapes[f"{layer}.dwconv.weight"] = (d, 1, 7, 7)
            shapes[f"{layer}.dwconv.bias"] = (d,)
            shapes |= norm(f"{layer}.layernorm", d)
            shapes[f"{layer}.pwconv1.weight"] = (4 * d, d)
            shapes[f"{layer}.pwconv1.bias"] = (4 * d,)
            shapes[f"{layer}.pwconv2.weight"] = (d, 4 * d)
            shapes[f"{layer}.pwconv2.bias"] = (d,)
    return shapes


def norm(name: str, size: int) -> Shapes:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def convnext_shapes(classes: int, depths: list[int], hidden_sizes: list[int]) -> Shapes:
    backbone = backbone_shapes(depths, hidden_sizes)
    return {
        **{f"convnext.{name}": shape for name, shape in backbone.items()},
        "classifier.weight": (classes, hidden_sizes[-1]),
        "classifier.bias": (classes,),
    }


def audioprotopnet_shapes(
    classes: int, per_class: int, depths: list[int], hidden_sizes: list[int]
) -> Shapes:
    backbone = backbone_shapes(depths, hidden_sizes)
    return {
        **{f"model.backbone.{name}": shape for name, shape in backbone.items()},
        "head.prototype_vectors": (classes * per_class, hidden_sizes[-1], 1, 1),
        "head.last_layer.weight": (classes, per_class),
        "head.last_layer.bias": (classes,),
    }


def labels(codes: list[str]) -> dict[str, Any]:
    return {
        "id2label": {str(i): code for i, code in enumerate(codes)},
        "label2id": {code: i for i, code in enumerate(codes)},
    }


def write(folder: Path, tensors: dict[str, Tensor], config: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def random_tensors(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def write_convnext(folder: Path) -> ConvNextForImageClassification:
    """What transformers itself writes for a small ConvNeXt of six species."""
    torch.manual_seed(0)
    config = ConvNextConfig(num_channels=1, **SMALL, **labels(CODES))
    model = ConvNextForImageClassification(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    return model


def audioprotopnet_config(per_class: int = 3) -> dict[str, Any]:
    own = {"model_type": "AudioProtoNet", "prototypes_per_class": per_class, "topk_k": 1}
    return {**own, "num_classes": len(CODES), **SMALL, **labels(CODES)}


def write_audioprotopnet(folder: Path, per_class: int = 3) -> dict[str, Tensor]:
    """A small AudioProtoPNet of six species; returns what was written."""
    tensors = random_tensors(audioprotopnet_shapes(len(CODES), per_class, **SMALL))
    write(folder, tensors, audioprotopnet_config(per_class))
    return tensors
