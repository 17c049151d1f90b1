"""The files for Foxglove, RViz and rqt: they can be read, and every topic in them is one that the nodes have."""

import ast
import json
import re

import pytest
import yaml

from mode_ros.paths import share_folder
from mode_ros.robots import load_named_contract

FOLDER = share_folder() / 'config' / 'view'
# Of view_node, the controller, every node, and ROS's own.
OF_NODES = {
    '/view_node/image',
    '/view_node/image/compressed',
    '/view_node/path',
    '/safety_state',
    '/diagnostics',
    '/tf',
    '/robot_description',
}


def topics_of_contract():
    contract = load_named_contract('metaworld_sawyer')[0]
    streams = [*contract.observation.cameras, *contract.observation.states]
    return (
        {f'/{each.topic}' for each in streams}
        | {f'/{topic}' for topic in contract.outputs}
        | {f'/{contract.goal_topic}'}
    )


def foxglove():
    panels = json.loads((FOLDER / 'foxglove.json').read_text())['configById'].values()
    for panel in panels:
        yield from filter(None, [panel.get('imageMode', {}).get('imageTopic'), panel.get('topicToRender')])
        yield from panel.get('topics', {})
        paths = [path['value'] for path in panel.get('paths', [])]
        paths += [panel['topicPath']] if 'topicPath' in panel else []
        yield from (re.split(r'[.\[]', path)[0] for path in paths)


def rviz():
    for display in yaml.safe_load((FOLDER / 'rviz.rviz').read_text())['Visualization Manager']['Displays']:
        yield from (display[key]['Value'] for key in ('Topic', 'Description Topic') if key in display)


def rqt():
    manager = json.loads((FOLDER / 'rqt.perspective').read_text())['groups']['pluginmanager']
    for group in manager['groups'].values():
        plugin = group['groups'].get('plugin', {'keys': {}})
        if 'topic' in plugin['keys']:
            yield ast.literal_eval(plugin['keys']['topic']['repr'])


@pytest.mark.parametrize('named', [foxglove, rviz, rqt])
def test_every_topic_is_one_that_the_nodes_have(named):
    found = set(named())
    assert len(found) >= 3
    assert found <= topics_of_contract() | OF_NODES


def test_foxgloves_panels_are_those_of_its_layout():
    file = json.loads((FOLDER / 'foxglove.json').read_text())

    def panels(place):
        return [place] if isinstance(place, str) else panels(place['first']) + panels(place['second'])

    assert sorted(panels(file['layout'])) == sorted(file['configById'])


def test_rqts_plugins_are_those_that_run():
    manager = json.loads((FOLDER / 'rqt.perspective').read_text())['groups']['pluginmanager']
    running = ast.literal_eval(manager['keys']['running-plugins']['repr'])
    wanted = {f'plugin__{name.replace("/", "__")}__{number}' for name, numbers in running.items() for number in numbers}
    assert wanted == set(manager['groups'])


def test_the_topics_of_nodes_are_in_their_code():
    root = share_folder() / 'mode_ros' / 'nodes'
    if not root.is_dir():
        pytest.skip('not a checkout')
    code = (root / 'view_node.py').read_text()
    for topic in ('image', 'image/compressed', 'path'):
        assert f"'~/{topic}'" in code
