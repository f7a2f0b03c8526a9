"""Plain networks: from spectrograms to embeddings, and from embeddings to predictions."""

from steadyear.lightning_modules.networks.bird_heads import ConvNeXtHead
from steadyear.lightning_modules.networks.convnext import ConvNeXt
from steadyear.lightning_modules.networks.heads import A2B2E, A2E, A2M2E
from steadyear.lightning_modules.networks.prototype_head import AudioProtoPNetHead
from steadyear.lightning_modules.networks.vgg import AudioVGG

__all__ = [
    "A2B2E",
    "A2E",
    "A2M2E",
    "AudioProtoPNetHead",
    "AudioVGG",
    "ConvNeXt",
    "ConvNeXtHead",
]
