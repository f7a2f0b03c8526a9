"""Errors of libraries, told to a user."""

from __future__ import annotations

import pytest
import torch

from steadyear.cli.messages import is_misfit, plain

OPTION = """Parser key "model":
  Does not validate against any of the Union subtypes
  Subtypes: [<class 'lightning.pytorch.core.module.LightningModule'>, <class 'NoneType'>]
  Errors:
    - Problem with given class_path 'steadyear.lightning_modules.AudioVGG':
        Option 'widht' is not accepted
    - Expected a <class 'NoneType'>
  Given value type: <class 'jsonargparse._util.NestedArg'>
  Given value: NestedArg(key='network.init_args.widht', val='1')"""


def test_a_misspelt_option_is_answered_with_those_that_exist():
    text = plain(OPTION)
    assert "Option 'widht' is not accepted" in text
    assert "steadyear.lightning_modules.AudioVGG has: width, in_channels, dropout." in text
    assert "NoneType" not in text
    assert "NestedArg" not in text


def test_options_that_a_class_hands_on_to_its_parent_are_named_too():
    text = plain(
        "Problem with given class_path 'steadyear.datamodules.SyntheticMusic':\n"
        "  unrecognized arguments: --batchsize=1"
    )
    assert "shortcut" in text
    assert "batch_size" in text


def test_a_misspelt_class_is_answered_with_the_nearest():
    assert "Did you mean PGD" in plain("Expected a dot import path string: PDG")
    assert "no class Zzzz" in plain("Expected a dot import path string: Zzzz")


def test_a_checkpoint_that_does_not_fit_names_one_difference_and_the_cure():
    with pytest.raises(RuntimeError, match="size mismatch") as found:
        torch.nn.Linear(2, 3).load_state_dict(torch.nn.Linear(4, 3).state_dict())
    assert is_misfit(found.value)
    text = plain(str(found.value))
    assert "size mismatch for weight" in text
    assert "config-fit.yaml" in text


def test_other_messages_stay():
    assert plain("The file x does not exist.") == "The file x does not exist."


def test_the_reason_stands_alone_behind_an_aside():
    text = "Errors:\n  - The table x holds no rows.\n  - Expected a <class 'NoneType'>"
    assert plain(text) == "The table x holds no rows."
