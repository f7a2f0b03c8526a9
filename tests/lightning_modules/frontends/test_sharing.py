from __future__ import annotations

from types import SimpleNamespace

from steadyear.lightning_modules.frontends import LogMel
from steadyear.lightning_modules.frontends.sharing import share_frontend


def test_data_without_a_front_end_get_that_of_the_module():
    module, data = SimpleNamespace(frontend=LogMel(64, 32, 8, 800)), SimpleNamespace(frontend=None)
    share_frontend(module, data)
    assert data.frontend is module.frontend


def test_a_configured_front_end_stays():
    module, own = SimpleNamespace(frontend=LogMel(64, 32, 8, 800)), LogMel(64, 32, 8, 800)
    data = SimpleNamespace(frontend=own)
    share_frontend(module, data)
    assert data.frontend is own


def test_foreign_modules_and_foreign_data_are_left_alone():
    data, foreign = SimpleNamespace(frontend=None), SimpleNamespace()
    share_frontend(SimpleNamespace(frontend="something else"), data)
    share_frontend(SimpleNamespace(), data)
    share_frontend(SimpleNamespace(frontend=LogMel(64, 32, 8, 800)), foreign)
    share_frontend(SimpleNamespace(), None)
    assert data.frontend is None
    assert not vars(foreign)
