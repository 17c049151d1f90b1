"""The sentences beside the policies that come along are those that they were trained with."""

from importlib.util import find_spec

import pytest

from mode_ros.paths import share_folder
from mode_ros.policy.checkpoint_info import read_info
from mode_ros.sim.instructions import held_out_instructions, training_instructions
from mode_ros.sim.suites import METAWORLD_GROUPS


def goals(policy):
    return read_info(share_folder() / 'config' / 'policies' / policy).goals


def test_meta_worlds_are_those_that_demonstrations_are_recorded_with():
    tasks = sum(METAWORLD_GROUPS.values(), ())

    assert len(tasks) == 50
    assert sorted(goals('metaworld_sawyer')) == sorted(sum((training_instructions(task) for task in tasks), ()))
    assert not set(goals('metaworld_sawyer')) & set(sum((held_out_instructions(task) for task in tasks), ()))


@pytest.mark.slow
@pytest.mark.skipif(find_spec('libero') is None, reason='LIBERO is not installed')
def test_liberos_are_those_of_the_benchmark():
    from mode_ros.sim.suites import suite_tasks

    names = suite_tasks('libero-spatial')[1] + suite_tasks('libero-object')[1]
    assert sorted(goals('libero_panda')) == sorted(name.partition('/')[2].replace('_', ' ') for name in names)
