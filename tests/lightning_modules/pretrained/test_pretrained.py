"""Published checkpoints: names and shapes of the real files, strictness, exact slices."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

import pytest
import torch
from huggingface_hub import constants

from steadyear.lightning_modules import (
    AudioProtoPNetHead,
    AudioProtoPNetLogMel,
    BirdSetLogMel,
    ConvNeXtHead,
    load_published,
)
from steadyear.lightning_modules.pretrained import files as pretrained_files
from steadyear.lightning_modules.pretrained import published as pretrained
from tests.lightning_modules.published_files import (
    BASE,
    CODES,
    SMALL,
    audioprotopnet_config,
    audioprotopnet_shapes,
    convnext_shapes,
    labels,
    random_tensors,
    write,
    write_audioprotopnet,
    write_convnext,
)

SPECTROGRAM = torch.randn(2, 1, 64, 96, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def logits(model: pretrained.PublishedModel) -> torch.Tensor:
    return model.head(model.network(SPECTROGRAM))[0]


def test_convnext_of_transformers_gives_its_logits(tmp_path: Path) -> None:
    reference = write_convnext(tmp_path)
    model = load_published(str(tmp_path))
    with torch.no_grad():
        torch.testing.assert_close(logits(model), reference(SPECTROGRAM).logits)
    assert isinstance(model.head, ConvNeXtHead)
    assert isinstance(model.frontend, BirdSetLogMel)
    assert model.class_names == CODES


def test_audioprotopnet(tmp_path: Path) -> None:
    written = write_audioprotopnet(tmp_path)
    model = load_published(str(tmp_path))
    assert isinstance(model.head, AudioProtoPNetHead)
    assert isinstance(model.frontend, AudioProtoPNetLogMel)
    assert torch.equal(model.head.prototype_vectors, written["head.prototype_vectors"])
    assert torch.equal(model.head.last_layer.weight, written["head.last_layer.weight"])
    name = "encoder.stages.1.layers.1.dwconv.weight"
    assert torch.equal(model.network.state_dict()[name], written[f"model.backbone.{name}"])
    assert logits(model).shape == (2, len(CODES))


@pytest.mark.parametrize("write_checkpoint", [write_convnext, write_audioprotopnet])
def test_classes_are_cut_out_exactly(tmp_path: Path, write_checkpoint) -> None:
    write_checkpoint(tmp_path)
    whole = load_published(str(tmp_path))
    part = load_published(str(tmp_path), classes=["melthr", "ostric2", "gamqua"])
    assert part.class_names == ["melthr", "ostric2", "gamqua"]
    for name, tensor in part.head.state_dict().items():
        full = whole.head.state_dict()[name]
        if len(tensor) != len(full):
            per_class = len(full) // len(CODES)
            rows = full.unflatten(0, (len(CODES), per_class))[[5, 0, 3]].flatten(0, 1)
            assert torch.equal(tensor, rows), name
    torch.testing.assert_close(logits(part), logits(whole)[:, [5, 0, 3]], rtol=1e-6, atol=1e-6)


def without_files(monkeypatch, shapes, config) -> None:
    """Show the loader a checkpoint of full size that takes no memory."""
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    monkeypatch.setattr(pretrained, "checkpoint_folder", lambda *_: Path("published"))
    monkeypatch.setattr(pretrained, "read_config", lambda _: config)
    monkeypatch.setattr(pretrained, "read_tensors", lambda _: tensors)


def codes(number: int) -> dict[str, object]:
    return labels([f"code{i}" for i in range(number)])


def test_published_convnext_has_344_tensors(monkeypatch) -> None:
    shapes = convnext_shapes(9736, **BASE)
    assert len(shapes) == 344
    without_files(monkeypatch, shapes, {"hidden_act": "gelu", **BASE, **codes(9736)})
    model = load_published("published")
    assert model.head.classifier.weight.shape == (9736, 1024)


@pytest.mark.parametrize("per_class", [1, 5, 10, 20])
def test_published_audioprotopnet_has_345_tensors(monkeypatch, per_class: int) -> None:
    shapes = audioprotopnet_shapes(9736, per_class, **BASE)
    assert len(shapes) == 345
    without_files(monkeypatch, shapes, {"prototypes_per_class": per_class, **codes(9736)})
    model = load_published("published")
    assert model.head.prototype_vectors.shape == (9736 * per_class, 1024, 1, 1)


def test_the_real_labels_of_a_subset(monkeypatch, shared_data) -> None:
    folder = shared_data / "birdset_labels"
    xcl, hsn = (
        json.loads((folder / f"{name}_ebird_codes.json").read_text()) for name in ("XCL", "HSN")
    )
    rows = pretrained.class_rows(
        pretrained_files.label_names(xcl), pretrained_files.label_names(hsn)
    )
    assert rows[:4] == [7871, 8875, 7829, 1836]
    assert len(rows) == 21


@pytest.mark.parametrize(
    ("shapes", "config", "one"),
    [
        (convnext_shapes(6, **SMALL), {**SMALL, **labels(CODES)}, "classifier.bias"),
        (
            audioprotopnet_shapes(6, 3, **SMALL),
            audioprotopnet_config(),
            "model.backbone.layernorm.bias",
        ),
    ],
)
def test_a_tensor_too_few_too_many_or_of_another_shape(tmp_path, shapes, config, one) -> None:
    tensors = random_tensors(shapes)
    fewer = {name: tensor for name, tensor in tensors.items() if name != one}
    more = {**tensors, "head.frequency_weights": torch.zeros(2)}
    other = {**tensors, one: torch.zeros(5)}
    for changed, message in [
        (fewer, f"1 missing:\n    {one}"),
        (more, "1 too many:\n    head.frequency_weights"),
        (other, rf"1 of another shape:\n    {one} is \(5,\), not \({len(tensors[one])},\)"),
    ]:
        write(tmp_path, changed, config)
        with pytest.raises(ValueError, match=message):
            load_published(str(tmp_path))


def test_prefix_of_compiled_models_is_stripped(tmp_path: Path) -> None:
    tensors = random_tensors(convnext_shapes(6, **SMALL))
    write(tmp_path / "plain", tensors, {**SMALL, **labels(CODES)})
    compiled = {f"_orig_mod.{name}": tensor.half() for name, tensor in tensors.items()}
    write(tmp_path / "compiled", compiled, {**SMALL, **labels(CODES)})
    model = load_published(str(tmp_path / "compiled"))
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}
    torch.testing.assert_close(
        logits(model), logits(load_published(str(tmp_path / "plain"))), rtol=0.05, atol=0.05
    )
    both = {**tensors, "_orig_mod.classifier.bias": torch.zeros(6)}
    write(tmp_path / "both", both, {**SMALL, **labels(CODES)})
    with pytest.raises(ValueError, match="with and without"):
        load_published(str(tmp_path / "both"))


def test_unknown_classes_are_named(tmp_path: Path) -> None:
    write_convnext(tmp_path)
    with pytest.raises(ValueError, match="does not know 1 of 2 classes: houspa"):
        load_published(str(tmp_path), classes=["ostric2", "houspa"])


def test_names_of_classes_are_only_needed_to_select(tmp_path: Path) -> None:
    tensors = random_tensors(audioprotopnet_shapes(6, 3, **SMALL))
    generic = {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}
    write(tmp_path, tensors, {"prototypes_per_class": 3, **SMALL, **generic})
    assert load_published(str(tmp_path)).class_names == []
    with pytest.raises(ValueError, match='add "id2label" as in BirdSet\'s'):
        load_published(str(tmp_path), classes=["ostric2"])


@pytest.mark.parametrize(
    ("option", "value"), [("topk_k", 3), ("margin", 0.1), ("hidden_act", "relu")]
)
def test_options_that_would_change_the_results_are_refused(tmp_path, option, value) -> None:
    tensors = random_tensors(audioprotopnet_shapes(6, 3, **SMALL))
    write(tmp_path, tensors, {**audioprotopnet_config(), option: value})
    with pytest.raises(ValueError, match=f"{option} = {value!r}"):
        load_published(str(tmp_path))


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no config.json and no model.safetensors"):
        load_published(str(tmp_path))
    write(tmp_path, {"backbone.weight": torch.zeros(2)}, {})
    with pytest.raises(ValueError, match="neither a ConvNeXt"):
        load_published(str(tmp_path))
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match="not a JSON object"):
        load_published(str(tmp_path))
    (tmp_path / "config.json").write_text('{"id2label": {"1": "ostric2"}}')
    with pytest.raises(ValueError, match="without gaps"):
        load_published(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0")
    with pytest.raises(ValueError, match="damaged"):
        load_published(str(tmp_path))


def test_a_misspelt_source_is_neither_folder_nor_repository() -> None:
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        load_published("./no/such/folder")


def test_only_two_files_of_a_repository_are_fetched(tmp_path: Path, monkeypatch) -> None:
    write_convnext(tmp_path)
    asked = {}

    def download(repository: str, **settings: object) -> str:
        asked.update(settings, repository=repository)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    load_published("owner/name", revision="abc")
    assert asked == {
        "repository": "owner/name",
        "revision": "abc",
        "allow_patterns": ["config.json", "model.safetensors"],
    }


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as downloading a snapshot needs."""

    folder: ClassVar[Path]
    asked: ClassVar[list[str]] = []
    commit = "0123456789abcdef0123456789abcdef01234567"

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        self.asked.append(self.path)
        names = sorted(file.name for file in self.folder.iterdir())
        content, path = None, unquote(self.path.split("?")[0])
        if path == "/api/models/owner/name/revision/v1":
            files = [{"rfilename": name} for name in names]
            content = json.dumps(
                {"id": "owner/name", "sha": self.commit, "siblings": files}
            ).encode()
        elif path == f"/api/models/owner/name/tree/{self.commit}":
            tree = [{"type": "file", "path": name, "size": 1, "oid": "0"} for name in names]
            content = json.dumps(tree).encode()
        elif path.startswith("/owner/name/resolve/"):
            content = (self.folder / Path(path).name).read_bytes()
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.send_header("ETag", f'"{hash(path) % 10**9}"')
        self.send_header("X-Repo-Commit", self.commit)
        self.end_headers()
        if body and content:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_from_the_hub_without_its_code(tmp_path: Path, monkeypatch) -> None:
    Hub.folder, Hub.asked = tmp_path / "hub", []
    write_audioprotopnet(Hub.folder)
    (Hub.folder / "modeling_protonet.py").write_text("raise SystemExit('remote code was run')")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    try:
        model = load_published("owner/name", ["melthr"], revision="v1")
        with pytest.raises(FileNotFoundError, match="owner/other is not a folder"):
            load_published("owner/other")
    finally:
        server.shutdown()
        server.server_close()
    assert model.class_names == ["melthr"]
    assert any(path.endswith("model.safetensors") for path in Hub.asked)
    assert not any(path.endswith(".py") for path in Hub.asked)


@pytest.mark.slow
def test_full_size_checkpoints_load(tmp_path: Path) -> None:
    for shapes, config in [
        (convnext_shapes(9736, **BASE), {**BASE, **codes(9736)}),
        (audioprotopnet_shapes(9736, 5, **BASE), {"prototypes_per_class": 5, **codes(9736)}),
    ]:
        write(tmp_path, random_tensors(shapes), config)
        started = time.perf_counter()
        model = load_published(str(tmp_path), classes=["code9735", "code0"])
        assert time.perf_counter() - started < 60
        assert logits(model).shape == (2, 2)
