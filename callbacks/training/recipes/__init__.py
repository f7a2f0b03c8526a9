"""Recipes: how clean and adversarial batches combine in training.

A recipe is one file of this folder, and a row in ``tests/callbacks/training/recipe_rows.py``. All files
are imported here, so that configurations find a recipe by the name of its class. What a recipe spends
is counted by its ``Adversary``; what it demands of a module or a trainer it refuses itself in
``check`` and ``start``.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__, f"{__name__}."):
    import_module(_module.name)
