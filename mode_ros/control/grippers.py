"""What is a gripper, where the contract does not say it: told by how things are called."""

from __future__ import annotations

from mode_ros.control.contract import ActionGroup, Dimension

# A hand that goes three ways hangs on as many joints at least; fewer are a gripper's.
ARM_JOINTS = 3
_WORDS = ('grip', 'finger', 'claw', 'jaw')


def is_gripper(*names: str) -> bool:
    """Whether something is called like a gripper. A hand may be that, or the end of an arm."""
    return any(word in name.lower() for name in names for word in _WORDS)


def opens(group: ActionGroup, dimension: Dimension) -> bool:
    """Whether a dimension of `group` opens and shuts a gripper, which an arm's group may have beside its joints."""
    if group.output.adapter == 'pose':
        return False
    if group.output.adapter == 'gripper_command':
        return True
    return is_gripper(dimension.name) or (is_gripper(group.name) and len(group.dimensions) < ARM_JOINTS)


def holds(group: ActionGroup) -> bool:
    """Whether the whole group is a gripper, which what it holds may keep from moving."""
    return all(opens(group, dimension) for dimension in group.dimensions)
