"""What a hand feels of what it touches, from MuJoCo's contacts: force, torque, and how hard its fingers press."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mode_ros.sim.simulator import Floats, Forces


class ContactForces:
    """Reads the contacts between a hand, its fingers included, and everything that is not part of it.

    MuJoCo's own sums by body (`cfrc_ext`) hold the pull that moves the hand, too, which no sensor at a wrist would tell
    from the arm's.
    """

    def __init__(self, model: Any, hand: str, fingers: Sequence[str]) -> None:
        """hand: the body that all of the hand hangs on; fingers: the fingers' joints, in the order of the efforts."""
        import mujoco

        self._model, self._force = model, mujoco.mj_contactForce
        self._own = _below(model, model.body(hand).id)
        joints = [model.joint(name).id for name in fingers]
        self._fingers = [(joint, _below(model, model.jnt_bodyid[joint])) for joint in joints]

    def read(self, data: Any, about: Floats) -> Forces:
        """As they are in `data`; about: [3] the point in m, in the world frame, that torques are about."""
        wrench, efforts, local = np.zeros(6), np.zeros(len(self._fingers)), np.zeros(6)
        contact = data.contact
        bodies = self._model.geom_bodyid[contact.geom.reshape(-1, 2)]
        own = self._own[bodies]
        for index in np.flatnonzero(own[:, 0] != own[:, 1]):
            self._force(self._model, data, index, local)
            # The contact's axes are rows, the first from its first geometry to its second, which it pushes that way.
            axes, sign = contact.frame[index].reshape(3, 3), -1.0 if own[index, 0] else 1.0
            force, torque = sign * local[:3] @ axes, sign * local[3:] @ axes
            wrench[:3] += force
            wrench[3:] += torque + np.cross(contact.pos[index] - about, force)
            body = bodies[index, 0] if own[index, 0] else bodies[index, 1]
            for number, (joint, finger) in enumerate(self._fingers):
                if finger[body]:
                    efforts[number] -= data.xaxis[joint] @ force
        return Forces(wrench, efforts)


def _below(model: Any, top: int) -> Any:
    """Whether each body is `top` or hangs on it, bool [bodies]."""
    found = np.zeros(model.nbody, dtype=bool)
    found[top] = True
    for body in range(top + 1, model.nbody):  # parents come first
        found[body] = found[model.body_parentid[body]]
    return found
