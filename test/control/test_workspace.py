"""Where the robot may be: kinematics against a hand-computed arm, boxes, and a robot that could touch itself."""

import sys

import numpy as np
import pytest
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT, delta_contract
from support.descriptions import THREE_LINKS, TWO_LINKS

from mode_ros.control.contract import differences, parse_contract
from mode_ros.control.kinematics import RobotModel, require_pin
from mode_ros.control.workspace import Workspace
from mode_ros.errors import UserError

needs_pin = pytest.mark.skipif(
    __import__('importlib').util.find_spec('pinocchio') is None, reason='pin is not installed'
)

BOX = 'box: {frame: tool, base: base, lower: [-1, -1, -1], upper: [0.7, 1, 1]}\n    '
# The state lists the joints as b, a.
STRAIGHT, FOLDED = np.array([0.0, 0.0]), np.array([np.pi / 2, 0.0])


def boxed(text=BOX):
    return parse_contract(ABSOLUTE_TEXT.replace('dimensions:', text + 'dimensions:', 1), 'boxed.yaml')


def by_hand(a, b):
    return 0.5 * np.cos(a) + 0.3 * np.cos(a + b), 0.5 * np.sin(a) + 0.3 * np.sin(a + b)


@needs_pin
@pytest.mark.parametrize(('a', 'b'), [(0.0, 0.0), (0.3, 0.0), (0.3, -1.2), (-2.0, 2.5)])
def test_the_hand_is_where_the_two_link_arm_puts_it(a, b):
    model = RobotModel(TWO_LINKS)
    x, y = by_hand(a, b)
    assert model.position('tool', {'a': a, 'b': b}, base='base') == pytest.approx([x, y, 0.0], abs=1e-9)
    assert model.position('tool', {'a': a, 'b': b}) == pytest.approx([x + 0.1, y, 0.0], abs=1e-9)
    assert model.joints == ('a', 'b')


@needs_pin
def test_a_joint_without_ends_turns_as_well():
    model = RobotModel(TWO_LINKS.replace('type="revolute"', 'type="continuous"'))
    assert model.position('tool', {'a': 7.0, 'b': 0.4}, 'base')[:2] == pytest.approx(by_hand(7.0, 0.4))


@needs_pin
def test_a_command_out_of_the_box_is_told_and_one_inside_is_not():
    workspace = Workspace(boxed())
    assert workspace.missing == 'no robot description yet'
    workspace.describe(TWO_LINKS)
    assert workspace.missing == ''
    measured = {'joints': FOLDED}
    assert workspace.problem(np.array([0.0, np.pi / 2]), measured) == ''
    told = workspace.problem(np.array([0.0, 0.1]), measured)
    assert told == f'arm would leave its box: x = {by_hand(0.0, 0.1)[0]:.3f} m, allowed are -1 to 0.7'


@needs_pin
def test_found_outside_it_may_come_back_and_not_go_further_out():
    workspace = Workspace(boxed())
    workspace.describe(TWO_LINKS)
    outside = {'joints': np.array([0.6, 0.0])}
    assert by_hand(0.0, 0.6)[0] > 0.7
    assert workspace.problem(np.array([0.0, 0.7]), outside) == '', 'inwards'
    assert workspace.problem(np.array([0.0, 0.5]), outside) != '', 'outwards'
    assert workspace.problem(np.array([0.0, 0.7]), {'joints': np.array([0.7, 0.0])}) == ''
    assert workspace.problem(np.array([0.0, 0.65]), {'joints': np.array([0.65, 0.0])}) != '', 'out again, bit by bit'


@needs_pin
def test_a_robot_that_would_touch_itself():
    text = ABSOLUTE_TEXT + 'self_collision: {distance: 0.05}\n'
    workspace = Workspace(parse_contract(text, 'self.yaml'))
    workspace.describe(THREE_LINKS)
    # c is neither commanded nor measured, so it stands straight; the neighbours always touch.
    assert workspace.problem(np.array([0.0, 1.0]), {'joints': STRAIGHT}) == ''
    model = RobotModel(THREE_LINKS)
    model.watch_collisions([])
    assert [pair for pair, _ in model.distances({})] == [('one', 'three')]
    apart = dict(model.distances({'b': 2.8, 'c': 2.8}))['one', 'three']
    assert apart < 0.0
    assert dict(model.distances({}))['one', 'three'] == pytest.approx(0.3, abs=0.01)
    allowed = RobotModel(THREE_LINKS)
    allowed.watch_collisions([('three', 'one')])
    assert allowed.distances({}) == []


@needs_pin
def test_self_collision_is_told_with_both_links_and_the_distance():
    text = ABSOLUTE_TEXT.replace('- {name: b,', '- {name: c,').replace('names: [b, a]', 'names: [c, a]')
    workspace = Workspace(parse_contract(text + 'self_collision: {distance: 0.05}\n', 'self.yaml'))
    # b is folded for good, so that c alone brings the third bar onto the first.
    folded = THREE_LINKS.replace('<origin xyz="0.3 0 0"/>', '<origin xyz="0.3 0 0" rpy="0 0 2.6"/>', 1)
    workspace.describe(folded)
    told = workspace.problem(np.array([0.0, 1.9]), {'joints': STRAIGHT})
    assert 'one and three would be' in told
    assert 'limit 50 mm' in told
    assert workspace.problem(np.array([0.0, -1.0]), {'joints': STRAIGHT}) == ''


def test_the_box_of_a_twist_needs_no_library_and_no_description():
    text = DELTA_TEXT.replace(
        'action:\n',
        '    - {name: hand, topic: hand, type: pose, names: [x, y, z, qx, qy, qz, qw], unit: m, max_age: 1.0}\n'
        'action:\n',
    ).replace('    dimensions:', '    box: {state: hand, lower: [0, -1, 0.1], upper: [1, 1, 1]}\n    dimensions:', 1)
    workspace = Workspace(parse_contract(text, 'twist.yaml'))
    assert not workspace.needs_description
    assert workspace.needed
    low = {'hand': np.array([0.5, 0.0, 0.12, 0.0, 0.0, 0.0, 1.0])}
    assert workspace.problem(np.array([0.0, 0.0, -0.01, 0.5]), low) == ''
    assert workspace.problem(np.array([0.0, 0.0, -0.03, 0.5]), low) == (
        'arm would leave its box: z = 0.090 m, allowed are 0.1 to 1'
    )
    assert workspace.problem(np.full(4, np.nan), low) == '', 'nothing commanded'


def test_without_a_box_nothing_is_judged():
    workspace = Workspace(delta_contract())
    assert not workspace.needed
    assert workspace.problem(np.full(4, 1e9), {}) == ''


def test_a_missing_library_is_refused_with_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pinocchio', None)
    typed = r"apt install ros-\$ROS_DISTRO-pinocchio` beside an installed ROS, `pip install 'mode_ros\[collision\]'`"
    with pytest.raises(UserError, match=typed):
        Workspace(boxed())
    with pytest.raises(UserError, match='The something needs'):
        require_pin('The something')


@needs_pin
@pytest.mark.parametrize(
    ('contract', 'urdf', 'told'),
    [
        (boxed(), '<robot', 'not a valid URDF'),
        (boxed(), TWO_LINKS.replace('name="b"', 'name="elbow"'), r"no joints \['b'\]"),
        (boxed(BOX.replace('tool', 'toll')), TWO_LINKS, "no link 'toll'"),
        (
            parse_contract(ABSOLUTE_TEXT + 'self_collision: {disabled: [[one, tree]]}\n', 'c.yaml'),
            THREE_LINKS,
            "no link 'tree', which self_collision.disabled names",
        ),
        (
            parse_contract(ABSOLUTE_TEXT + 'self_collision: {}\n', 'c.yaml'),
            TWO_LINKS.replace('<cylinder radius="0.02" length="0.5"/>', '<mesh filename="package://arm/upper.stl"/>'),
            'collision shapes .* cannot be read: .*upper.stl',
        ),
    ],
)
def test_a_description_that_does_not_fit_is_refused(contract, urdf, told):
    with pytest.raises(UserError, match=told):
        Workspace(contract).describe(urdf)


@needs_pin
def test_after_a_bad_description_there_is_none_and_the_same_one_is_taken_once(monkeypatch):
    workspace = Workspace(boxed())
    workspace.describe(TWO_LINKS)
    model = workspace._model
    workspace.describe(TWO_LINKS)
    assert workspace._model is model
    with pytest.raises(UserError):
        workspace.describe(TWO_LINKS.replace('tool', 'toll'))
    assert workspace.missing == 'no robot description yet'
    workspace.describe(TWO_LINKS)
    assert workspace.missing == ''


@pytest.mark.parametrize(
    ('box', 'told'),
    [
        ('box: {lower: [0, 0, 0], upper: [1, 1, 1]}', 'needs frame'),
        ('box: {frame: tool, state: joints, lower: [0, 0, 0], upper: [1, 1, 1]}', 'needs frame'),
        ('box: {frame: tool, lower: [0, 0, 2], upper: [1, 1, 1]}', 'must be below'),
        ('box: {frame: tool, lower: [0, 0], upper: [1, 1, 1]}', 'lower'),
    ],
)
def test_a_box_that_makes_no_sense_is_refused(box, told):
    with pytest.raises(UserError, match=told):
        boxed(box + '\n    ')


def test_a_box_may_change_after_a_training():
    plain = parse_contract(ABSOLUTE_TEXT, 'a.yaml')
    bounded = parse_contract(ABSOLUTE_TEXT + 'self_collision: {}\n', 'b.yaml')
    assert differences(plain, boxed()) == []
    assert differences(boxed(), boxed(BOX.replace('0.7', '0.6'))) == []
    assert differences(plain, bounded) == []
