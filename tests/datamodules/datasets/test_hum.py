from steadyear.datamodules.datasets.hum import Hum


def test_it_has_clips(tmp_path):
    assert Hum(num_clips=(2, 1, 1)) is not None
