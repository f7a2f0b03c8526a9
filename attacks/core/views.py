"""Views: where a perturbation lives, and what is read from the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from steadyear.attacks.domains.base import Domain

Model = Callable[[Tensor], Any]

_SAME = 1e-4  # share of the largest prediction that is rounding


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
            ``concepts`` or ``prototype_activations``; several are read side by side, along their
            last dimension.
        domain: Space in which the model's input is perturbed; ``None`` perturbs the input as it is.

    Raises:
        ValueError: If a submodule and a field are named, or a domain and a submodule to perturb.
    """

    perturb_at: str | None = None
    read_at: str | None = None
    field: str | Sequence[str] = "prediction"
    domain: Domain | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        if not isinstance(self.field, str):
            # From YAML it comes as a list, which has no hash.
            object.__setattr__(self, "field", tuple(self.field))
        if self.read_at is not None and self.field != "prediction":
            raise ValueError(
                f"View reads the submodule '{self.read_at}' or the field '{self.field}', not both."
            )
        if self.perturb_at is not None and self.domain is not None:
            raise ValueError(
                f"View perturbs the submodule '{self.perturb_at}' or the domain "
                f"'{self.domain.name}', not both."
            )

    @property
    def at_input(self) -> bool:
        """Whether the perturbation is added to the model's input as it is."""
        return self.perturb_at is None and self.domain is None

    @property
    def place(self) -> str | None:
        """Name of the submodule or the domain that is perturbed; ``None`` for the input."""
        return self.perturb_at if self.domain is None else self.domain.name

    def rendered(self, adversarial: Tensor, x: Tensor) -> Tensor:
        """The model's input that belongs to attacked tensors; not for perturbed submodules.

        Args:
            adversarial: What an attack returned, shape (batch, ...).
            x: Clean input of the model, shape (batch, ...).
        """
        return adversarial if self.domain is None else self.domain.render(adversarial, x)

    def read(self, output: Any) -> Tensor:
        """What the objective sees of the output of the bound model, at least in fp32."""
        if self.field == "prediction":
            prediction = prediction_of(output)
        elif isinstance(self.field, str):
            prediction = field_of(output, self.field)
        else:
            prediction = torch.cat([field_of(output, name) for name in self.field], -1)
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
            TypeError: If a submodule is named and the model is no ``nn.Module``, or the model lacks what
                a domain needs.
            ValueError: If a named submodule does not exist or was not called exactly once in the forward
                pass, or a domain does not fit the model or does not give the clean prediction back at
                budget 0.
        """
        run, source = model, x
        if self.perturb_at is not None:
            start = _capture(model, self.perturb_at, x)

            def run(value: Tensor) -> Any:
                with inject(model, str(self.perturb_at), value):
                    return model(source.clone())

            x = start
        if self.domain is not None:
            domain = self.domain.for_model(model)

            def run(value: Tensor) -> Any:
                return model(domain.render(value, source))

            with torch.no_grad():
                x = domain.start(source)
                clean = self._reader(model, model)(source.clone())
                self._check_domain(self._reader(model, run)(x.clone()), clean)
        yield self._reader(model, run), x

    def _reader(self, model: Model, run: Model) -> Model:
        if self.read_at is None:
            return run
        name = self.read_at

        def read(value: Tensor) -> Tensor:
            seen: list[Tensor] = []
            with _hook(model, name, lambda output: seen.append(prediction_of(output))):
                run(value)
            return _once(seen, name)

        return read

    def _check_domain(self, found: Any, clean: Any) -> None:
        ours, own = self.read(found), self.read(clean)
        gap = float((ours - own).abs().max()) if ours.shape == own.shape else torch.inf
        if not gap <= _SAME * max(float(own.abs().max()), 1.0):
            raise ValueError(
                f"Without a perturbation the domain '{self.place}' changes the prediction by {gap:g}: "
                "it does not fit this model (another front end, or other settings), and figures of "
                "its attacks would be wrong."
            )


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
    with modules[name].register_forward_hook(lambda _m, _i, output: action(output)):
        yield


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
