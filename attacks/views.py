"""Views: where a perturbation lives, and what is read from the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Model = Callable[[Tensor], Any]


def prediction_of(output: Any) -> Tensor:
    """The prediction in a model's output: a tensor, or its field or key ``prediction``.

    Raises:
        TypeError: If there is no prediction to read.
    """
    return output if isinstance(output, Tensor) else field_of(output, "prediction")


def field_of(output: Any, name: str) -> Tensor:
    """A tensor in a model's output, by the name of its field or key.

    Raises:
        TypeError: If there is none of this name.
    """
    found = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
    if isinstance(found, Tensor):
        return found
    raise TypeError(
        f"The model returned {type(output).__name__}; an attack reads a tensor, or a field or key "
        f"named '{name}'. Use View(read_at=...) to read a submodule instead."
    )


@dataclass(frozen=True)
class View:
    """Where the perturbation is added, and what the objective sees.

    Args:
        perturb_at: Name of the submodule whose output is perturbed; ``None`` perturbs the input.
        read_at: Name of the submodule whose output is read; ``None`` reads the model's output.
        field: Field or key of the model's output that is read, such as ``embedding``,
            ``concepts`` or ``prototype_activations``.

    Raises:
        ValueError: If a submodule and a field are named.
    """

    perturb_at: str | None = None
    read_at: str | None = None
    field: str = "prediction"

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.read_at is not None and self.field != "prediction":
            raise ValueError(
                f"View reads the submodule '{self.read_at}' or the field '{self.field}', not both."
            )

    def read(self, output: Any) -> Tensor:
        """What the objective sees of the output of the bound model, at least in fp32."""
        plain = self.field == "prediction"
        prediction = prediction_of(output) if plain else field_of(output, self.field)
        half = prediction.dtype in (torch.float16, torch.bfloat16)
        return prediction.float() if half else prediction

    @contextmanager
    def bind(self, model: Model, x: Tensor) -> Iterator[tuple[Model, Tensor]]:
        """Turn ``model`` and its input into a function of the perturbed tensor, and that tensor.

        Args:
            model: The model; an ``nn.Module`` if a submodule is named.
            x: Its input, shape (batch, ...).

        Yields:
            A function of the perturbed tensor, and the clean perturbed tensor.

        Raises:
            TypeError: If a submodule is named and the model is no ``nn.Module``.
            ValueError: If a named submodule does not exist or was not called exactly once in the forward
                pass.
        """
        run = model
        if self.perturb_at is not None:
            start = _capture(model, self.perturb_at, x)
            source = x

            def run(value: Tensor) -> Any:
                with inject(model, str(self.perturb_at), value):
                    return model(source.clone())

            x = start
        if self.read_at is None:
            yield run, x
            return
        name, inner = self.read_at, run

        def read(value: Tensor) -> Tensor:
            seen: list[Tensor] = []
            with _hook(model, name, lambda output: seen.append(prediction_of(output))):
                inner(value)
            return _once(seen, name)

        yield read, x


@contextmanager
def inject(model: Model, name: str, value: Tensor) -> Iterator[None]:
    """Replace the output of the submodule ``name`` by ``value`` in every forward pass inside.

    Raises:
        ValueError: If the submodule does not exist, or no forward pass reached it.
    """
    calls: list[Tensor] = []

    def replace(_output: Any) -> Tensor:
        calls.append(value)
        return value

    with _hook(model, name, replace):
        yield
    _fired(calls, name)


def _capture(model: Model, name: str, x: Tensor) -> Tensor:
    seen: list[Tensor] = []

    def keep(output: Any) -> None:
        seen.append(prediction_of(output))

    with torch.no_grad(), _hook(model, name, keep):
        model(x.clone())
    return _once(seen, name).clone()


@contextmanager
def _hook(model: Model, name: str, action: Callable[[Any], Any]) -> Iterator[None]:
    if not isinstance(model, nn.Module):
        raise TypeError(f"View names the submodule '{name}', but the model is no nn.Module.")
    modules = dict(model.named_modules())
    if name not in modules:
        known = ", ".join(sorted(n for n in modules if n and "." not in n))
        raise ValueError(f"The model has no submodule '{name}'. At its top level: {known}.")
    handle = modules[name].register_forward_hook(lambda _m, _i, output: action(output))
    try:
        yield
    finally:
        handle.remove()


def _fired(seen: list[Tensor], name: str) -> Tensor:
    if not seen:
        # Hooks inside a compiled network are ignored silently: never mistake that for robustness.
        raise ValueError(
            f"The submodule '{name}' was not called in the forward pass (a hook inside a compiled "
            "network does not fire); name a submodule that is."
        )
    return seen[-1]


def _once(seen: list[Tensor], name: str) -> Tensor:
    if len(seen) > 1:
        raise ValueError(
            f"The submodule '{name}' was called {len(seen)} times in one forward pass, so it has "
            "no single output to perturb or to read; name a submodule that is called once."
        )
    return _fired(seen, name)
