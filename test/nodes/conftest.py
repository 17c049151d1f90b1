"""Fixtures: a bench with real nodes, a contract file and an untrained checkpoint for it."""

import pytest
import rclpy
from support.bench import Bench
from support.contracts import PATIENT_TEXT, patient_contract


@pytest.fixture
def bench():
    rclpy.init()
    made = Bench()
    yield made
    made.close()
    rclpy.shutdown()


@pytest.fixture(scope='session')
def contract_file(tmp_path_factory):
    path = tmp_path_factory.mktemp('contract') / 'tester.yaml'
    path.write_text(PATIENT_TEXT)
    return str(path)


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory):
    from mode_ros.pairing import make_untrained  # here, so that the nodes without a policy are tested without torch

    folder = tmp_path_factory.mktemp('checkpoint') / 'untrained'
    make_untrained(patient_contract(), PATIENT_TEXT, seed=1, chunk_length=4).save(folder)
    return str(folder)
