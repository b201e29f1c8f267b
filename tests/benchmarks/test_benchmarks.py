"""Every contender of every case does its work once, on small sizes."""

from dataclasses import replace

import pytest

import minitvlt as mt
from tests.benchmarks.cases import CASES
from tests.benchmarks.contenders import prepare

SMALL = mt.Config.tiny(audio_mask_type="frame-level", num_hidden_layers=1, decoder_num_hidden_layers=1)
EVERY = [(name, contender) for name, case in CASES.items() for contender in case.contenders]


@pytest.mark.parametrize(("name", "contender"), EVERY)
def test_a_contender_can_do_its_work(name, contender):
    pytest.importorskip(contender.split("-")[0])
    config = CASES[name].config if CASES[name].work == "spectrogram" else SMALL
    small = replace(CASES[name], config=config, frames=2, steps=16, batch=3)
    assert prepare(contender, small)() is not None
