"""Published bird sound models by name: ConvNeXt of BirdSet, and AudioProtoPNet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from steadyear.foundation.extras import optional_imports
from steadyear.lightning_modules.frontends import AudioProtoPNetLogMel, BirdSetLogMel, Frontend
from steadyear.lightning_modules.networks import AudioProtoPNetHead, ConvNeXt, ConvNeXtHead
from steadyear.lightning_modules.pretrained.files import (
    CONFIG,
    LISTED,
    check_tensors,
    checkpoint_folder,
    label_names,
    read_config,
    read_tensors,
)

Head = ConvNeXtHead | AudioProtoPNetHead

# What the code computes without asking; other values would load and give other results silently.
_CONVNEXT_OPTIONS: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("gelu",),
    "layer_norm_eps": (1e-12,),
    "num_stages": (4,),
}
_PROTOTYPE_OPTIONS: dict[str, tuple[Any, ...]] = {
    "topk_k": (1,),
    "margin": (None, 0),
    "add_on_layers_type": ("upsample",),
    "incorrect_class_connection": (None,),
}


class PublishedModel(NamedTuple):
    """The parts of a published model, in evaluation mode.

    Attributes:
        network: From spectrograms to maps of features.
        head: From maps to logits.
        frontend: From waveforms to spectrograms, with the constants of the publication.
        class_names: Names of the classes in the order of the logits; empty if they are unknown.
    """

    network: ConvNeXt
    head: Head
    frontend: Frontend
    class_names: list[str]

    def select(self, classes: Sequence[str]) -> PublishedModel:
        """The model for some of the classes; the weights of these stay as they are.

        Args:
            classes: Names of the classes, in the wanted order.

        Raises:
            ValueError: If the checkpoint has no names, or does not know one.
        """
        rows = class_rows(self.class_names, classes)
        return self._replace(head=self.head.select(rows), class_names=list(classes))


def load_published(
    source: str, classes: Sequence[str] | None = None, revision: str | None = None
) -> PublishedModel:
    """Load a published model; nobody's code is run.

    Reads ``config.json`` and ``model.safetensors`` in the layouts of
    ``DBD-research-group/ConvNeXT-Base-BirdSet-*`` (344 tensors) and
    ``DBD-research-group/AudioProtoPNet-*-BirdSet-*`` (345 tensors). Every tensor must be there, no
    other, each of its shape. The former gets the front end of BirdSet, the latter that of
    AudioProtoPNet, which have other bands, frames and scales.

    Args:
        source: A folder with the two files, or a repository of the Hugging Face hub, as
            ``owner/name``.
        classes: Names (eBird codes) of the classes to keep, in the wanted order; ``None`` keeps all.
        revision: Branch, tag or commit of the repository; ``None`` takes the newest.

    Raises:
        FileNotFoundError: If the files are not there and cannot be downloaded.
        ValueError: If tensors do not fit, the configuration asks for what this model does not do,
            or a class is unknown.
    """
    folder = checkpoint_folder(source, revision)
    config, tensors = read_config(folder), read_tensors(folder)
    names = label_names(config)
    if any(name.startswith("convnext.") for name in tensors):
        model = _convnext(config, tensors, names)
    elif any(name.startswith("model.backbone.") for name in tensors):
        model = _audioprotopnet(config, tensors, names)
    else:
        raise ValueError(
            f"{folder} holds neither a ConvNeXt (names start with convnext.) nor an AudioProtoPNet "
            f"(model.backbone.), but {sorted(tensors)[:3]} ..."
        )
    return model if classes is None else model.select(classes)


def class_rows(known: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where the wanted classes stand among the known ones.

    Args:
        known: Names of all classes of a checkpoint.
        wanted: Names of the classes to keep.

    Raises:
        ValueError: If no name is known at all, or a wanted one is not.
    """
    if not known:
        raise ValueError(
            f"The checkpoint's {CONFIG} does not name its classes, so none can be selected: copy "
            'its files to a folder, add "id2label" as in BirdSet\'s <NAME>_ebird_codes.json to '
            f"{CONFIG}, and give that folder."
        )
    rows = {name: row for row, name in enumerate(known)}
    unknown = [name for name in wanted if name not in rows]
    if unknown:
        more = " ..." if len(unknown) > LISTED else ""
        raise ValueError(
            f"The checkpoint does not know {len(unknown)} of {len(wanted)} classes: "
            f"{', '.join(unknown[:LISTED])}{more}. It knows {len(known)}, such as "
            f"{', '.join(known[:3])}: use eBird codes of the same taxonomy."
        )
    return [rows[name] for name in wanted]


def _convnext(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], names: list[str]
) -> PublishedModel:
    _check_options(config, _CONVNEXT_OPTIONS)
    with optional_imports("A published checkpoint"):
        from transformers import ConvNextConfig
    default = ConvNextConfig()  # transformers leaves out of the file what equals its defaults
    sizes = config.get("hidden_sizes", default.hidden_sizes)
    classes = _num_classes(config, names, tensors.get("classifier.bias"))
    # On the meta device nothing is drawn for weights that are replaced anyway.
    with torch.device("meta"):
        network = ConvNeXt(config.get("depths", default.depths), sizes)
        head = ConvNeXtHead(sizes[-1], classes)
    final = ("layernorm.weight", "layernorm.bias")
    places = _places("convnext.", network.state_dict())
    places |= _places("", ("classifier.weight", "classifier.bias"))
    places |= _places("convnext.", final)
    _load(network, head, places, tensors)
    return PublishedModel(network.eval(), head.eval(), BirdSetLogMel(), names)


def _audioprotopnet(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor], names: list[str]
) -> PublishedModel:
    _check_options(config, _CONVNEXT_OPTIONS | _PROTOTYPE_OPTIONS)
    base = {key: config[key] for key in ("depths", "hidden_sizes") if key in config}
    classes = _num_classes(config, names, tensors.get("head.last_layer.bias"))
    with torch.device("meta"):
        network = ConvNeXt(**base)
        channels = network.embedding_dim
        head = AudioProtoPNetHead(channels, classes, config.get("prototypes_per_class", 1))
    places = _places("model.backbone.", network.state_dict())
    places |= _places("head.", head.state_dict())
    # The backbone's own final normalisation is in the file, and no prototype reads it.
    unused = {f"model.backbone.layernorm.{name}": (channels,) for name in ("weight", "bias")}
    _load(network, head, places, tensors, unused)
    return PublishedModel(network.eval(), head.eval(), AudioProtoPNetLogMel(), names)


def _places(prefix: str, names: Iterable[str]) -> dict[str, str]:
    """Our name of each published tensor."""
    return {f"{prefix}{name}": name for name in names}


def _load(
    network: nn.Module,
    head: nn.Module,
    places: Mapping[str, str],
    tensors: Mapping[str, Tensor],
    unused: Mapping[str, tuple[int, ...]] | None = None,
) -> None:
    shapes = {name: tensor.shape for name, tensor in _own_tensors(network, head).items()}
    expected = {published: shapes[own] for published, own in places.items()}
    expected |= {name: torch.Size(shape) for name, shape in (unused or {}).items()}
    check_tensors(tensors, expected)
    for module in (network, head):
        mine = module.state_dict()
        state = {own: tensors[published] for published, own in places.items() if own in mine}
        module.load_state_dict(state, assign=True)


def _own_tensors(network: nn.Module, head: nn.Module) -> dict[str, Tensor]:
    return {**network.state_dict(), **head.state_dict()}


def _num_classes(config: Mapping[str, Any], names: list[str], bias: Tensor | None) -> int:
    if names:
        return len(names)
    if bias is None:
        return 1  # the check of the tensors says what is missing
    return int(config.get("num_classes", len(bias)))


def _check_options(config: Mapping[str, Any], options: Mapping[str, tuple[Any, ...]]) -> None:
    for name, known in options.items():
        if name in config and config[name] not in known:
            raise ValueError(
                f"{CONFIG} asks for {name} = {config[name]!r}; this model has {known[0]!r} only."
            )
