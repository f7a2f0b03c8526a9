"""Recipes: how clean and adversarial batches combine in training.

A recipe is one file of this folder, and a row in ``tests/callbacks/training/recipe_rows.py``. All files
are imported here, so that configurations find a recipe by the name of its class. What a recipe spends
is counted by its ``Adversary``; what it demands of a module or a trainer it refuses itself in
``check`` and ``start``.
"""

from steadyear.foundation.import_room import import_room

import_room(__name__)
