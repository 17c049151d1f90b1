"""What a hand feels, on a model whose forces are known: two fingers that hold a thing of 0.2 kg with 10 N."""

import numpy as np
import pytest

from mode_ros.sim.factory import make_simulator
from mode_ros.sim.rendering import choose_backend

mujoco = pytest.importorskip('mujoco', exc_type=ImportError)
from mode_ros.sim.contact_forces import ContactForces  # noqa: E402

WEIGHT = 0.2 * 9.81
MODEL = """
<mujoco>
  <option timestep="0.002"/>
  <default><geom condim="4" friction="2 0.1 0.002"/></default>
  <worldbody>
    <geom type="plane" size="2 2 0.1"/>
    <body name="hand" pos="0.3 0 1">
      <geom type="box" size="0.02 0.1 0.01" pos="0 0 0.06"/>
      <body pos="0 -0.0405 0">
        <joint name="right" type="slide" axis="0 1 0" damping="20"/>
        <geom type="box" size="0.02 0.01 0.03" mass="0.1"/>
      </body>
      <body pos="0 0.0405 0">
        <joint name="left" type="slide" axis="0 1 0" damping="20"/>
        <geom type="box" size="0.02 0.01 0.03" mass="0.1"/>
      </body>
    </body>
    <body name="thing" pos="0.3 0 1">
      <freejoint name="thing"/>
      <geom type="box" size="0.015 0.03 0.015" mass="0.2"/>
    </body>
  </worldbody>
  <actuator><motor joint="right"/><motor joint="left"/></actuator>
</mujoco>
"""


def held(thing_at=1.0, seconds=2.0):
    """A model and its data after the fingers have pressed for a while; thing_at: where the thing began, m above 0."""
    model = mujoco.MjModel.from_xml_string(MODEL)
    data = mujoco.MjData(model)
    data.qpos[model.joint('thing').qposadr[0] + 2] = thing_at
    data.ctrl[:] = 10.0, -10.0
    for _ in range(round(seconds / model.opt.timestep)):
        mujoco.mj_step(model, data)
    return model, data


def test_a_hand_feels_the_weight_that_it_holds_and_its_fingers_what_they_press():
    model, data = held()

    felt = ContactForces(model, 'hand', ('right', 'left')).read(data, np.array([0.2, 0.0, data.body('thing').xpos[2]]))

    assert felt.wrench == pytest.approx([0, 0, -WEIGHT, 0, 0.1 * WEIGHT, 0], abs=0.02), 'a lever of 0.1 m along x'
    assert felt.efforts == pytest.approx([10, -10], abs=0.1)


def test_what_is_held_feels_the_contrary():
    model, data = held()

    felt = ContactForces(model, 'thing', ()).read(data, data.body('thing').xpos)

    assert felt.wrench[:3] == pytest.approx([0, 0, WEIGHT], abs=0.02)
    assert felt.efforts.shape == (0,)


def test_fingers_are_named_in_any_order():
    model, data = held()

    assert ContactForces(model, 'hand', ('left', 'right')).read(data, np.zeros(3)).efforts == pytest.approx(
        [-10, 10], abs=0.1
    )


def test_fingers_that_press_each_other_and_a_thing_on_the_floor_are_not_felt():
    model, data = held(thing_at=0.02)
    assert data.ncon >= 2, 'both touch something'

    felt = ContactForces(model, 'hand', ('right', 'left')).read(data, np.zeros(3))

    assert not felt.wrench.any()
    assert not felt.efforts.any()


def test_without_any_contact_there_is_no_force():
    model, data = held(seconds=0.0)
    assert data.ncon == 0

    assert not ContactForces(model, 'hand', ('right', 'left')).read(data, np.zeros(3)).wrench.any()


@pytest.mark.rendering
def test_metaworlds_arm_feels_the_peg():
    pytest.importorskip('metaworld')
    choose_backend()
    with make_simulator('metaworld', 'peg-insert-side') as simulator:
        simulator.reset(1)
        free = simulator.forces()
        while simulator.scene()[2] < 0.1 and simulator.steps < simulator.time_limit_steps:
            for action in [simulator.expert_action()] * 4:
                simulator.step(action)
        for _ in range(80):
            simulator.step([0, 0, 0, 1.0])
        lifted = simulator.forces()
    assert not free.wrench.any()
    assert not free.efforts.any()
    assert lifted.wrench[2] == pytest.approx(-0.1 * 9.81, abs=0.3), 'the peg weighs 100 g'
    assert lifted.efforts[0] > 50 > -50 > lifted.efforts[1], 'the right finger closes along its joint, the left against'
