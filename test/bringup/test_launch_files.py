"""The launch files, under a Python that has the standard library and stand-ins for launch and launch_ros, no more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.launch_stand_in import STAND_IN

from mode_ros.paths import share_folder

# Runs one launch file as ros2 launch does: the defaults, then what is given, then the function that makes the nodes.
RUN = """
import importlib.util, json, sys
stand_in, share, file, given = json.loads(sys.argv[1])
sys.path[:0] = [stand_in, share]
spec = importlib.util.spec_from_file_location('launch_file', f'{share}/launch/{file}')
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
*arguments, start = module.generate_launch_description().entities
from launch import LaunchContext
from mode_ros.errors import UserError
context = LaunchContext()
context.launch_configurations = {a.name: a.default_value for a in arguments if a.default_value is not None} | given
def plain(value):
    return [value.value, value.value_type.__name__] if hasattr(value, 'value_type') else value
def told(node, status):
    class Event:
        returncode = status
    try:
        node.options['on_exit'](Event, context)
    except UserError as error:
        return str(error)
try:
    nodes = start.function(context)
except UserError as error:
    print(json.dumps({'refused': str(error)}))
else:
    print(json.dumps({
        'nodes': {n.options['executable']: {k: plain(v) for k, v in n.options['parameters'][1].items()} for n in nodes},
        'settings': nodes[0].options['parameters'][0], 'namespace': nodes[0].options['namespace'],
        'respawn': nodes[0].options['respawn'], 'delay': nodes[0].options['respawn_delay'],
        'environment': {n.options['executable']: n.options['additional_env'] for n in nodes},
        'refusal': told(nodes[0], 1), 'crash': told(nodes[0], -6), 'end': told(nodes[0], 0),
        'loaded': sorted({name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)),
    }))
"""


def launch(file, **given):
    arguments = json.dumps([str(STAND_IN), str(share_folder()), file, given])
    # -I -S: no site-packages, no PYTHONPATH, no user's folder, as the system's Python without mode_ros's packages.
    result = subprocess.run([sys.executable, '-I', '-S', '-c', RUN, arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ('file', 'given', 'nodes'),
    [
        ('sim.launch.py', {}, ['sim_node', 'policy_node', 'controller_node']),
        ('policy.launch.py', {'contract': 'c', 'checkpoint': 'p'}, ['policy_node', 'controller_node']),
        ('record.launch.py', {'contract': 'c'}, ['controller_node', 'teleop_node', 'recorder_node']),
        ('sim.launch.py', {'page': 'true'}, ['sim_node', 'policy_node', 'controller_node', 'page_node']),
        ('sim.launch.py', {'view': '1'}, ['sim_node', 'policy_node', 'controller_node', 'view_node']),
        (
            'record.launch.py',
            {'contract': 'c', 'teleop': '0', 'view': '1'},
            ['controller_node', 'recorder_node', 'view_node'],
        ),
        ('record.launch.py', {'contract': 'c', 'controller': '0', 'teleop': 'False'}, ['recorder_node']),
    ],
)
def test_they_need_the_standard_library_and_launch_alone(file, given, nodes):
    made = launch(file, **given)

    assert list(made['nodes']) == nodes
    assert set(made['loaded']) <= {'launch', 'launch_ros', 'mode_ros', 'launch_file', '__main__', '__mp_main__'}
    assert made['settings'] == str(share_folder() / 'config' / 'nodes.yaml')


@pytest.mark.parametrize('name', ['controller', 'teleop', 'use_sim_time', 'respawn'])
def test_neither_true_nor_false_is_refused(name):
    made = launch('record.launch.py', contract='c', **{name: 'maybe'})

    assert made == {'refused': f"The launch argument {name} is 'maybe'; it can be true, false, 1 or 0."}


def test_simulated_time_can_be_1():
    made = launch('policy.launch.py', contract='c', checkpoint='p', use_sim_time='1')

    assert {node['use_sim_time'] for node in made['nodes'].values()} == {True}


def test_a_text_that_looks_like_a_number_stays_a_text():
    made = launch('record.launch.py', contract='c', folder='2026')

    assert made['nodes']['recorder_node']['folder'] == ['2026', 'str']


def test_settings_that_do_not_exist_are_refused():
    made = launch('policy.launch.py', contract='c', checkpoint='p', settings='/nowhere/mine.yaml')

    assert made['refused'].startswith("The settings file '/nowhere/mine.yaml' does not exist")


@pytest.mark.parametrize('respawn', ['false', 'true'])
def test_a_refusal_ends_the_launch_and_a_crash_unless_it_starts_again(respawn):
    made = launch('policy.launch.py', contract='c', checkpoint='p', respawn=respawn)

    assert made['refusal'] == 'policy_node ended with status 1; what it said is above.'
    assert made['end'] is None
    assert (made['crash'] is None) == made['respawn'] == (respawn == 'true')
    assert made['delay'] > 0, 'launch must see why it ended before it starts it again'


def test_a_node_that_may_be_started_again_is_told_where_to_leave_that_it_was_started():
    made = launch('policy.launch.py', contract='c', checkpoint='p', respawn='true')
    again = launch('policy.launch.py', contract='c', checkpoint='p', respawn='true')

    places = [Path(each['environment']['controller_node']['MODE_ROS_STARTED']) for each in (made, again)]
    assert places[0] != places[1], 'of one launch alone'
    for place in places:
        assert place.name == 'controller_node'
        place.parent.rmdir()  # it is there, and empty
    assert made['environment']['policy_node'] == {}, 'what it starts would take itself for a second one'
    assert launch('policy.launch.py', contract='c', checkpoint='p')['environment']['controller_node'] == {}
