"""Which states tell that a group moves: those that cannot stay the same while it does.

The feedback of targets is named by the contract. A displacement has none, so what it moves is told from what the
contract says of the rest: a gripper that holds something, a scene and a goal may stand still, and what only has noise
must not speak for an arm whose own joints are frozen.
"""

from __future__ import annotations

from dataclasses import dataclass

from mode_ros.control.contract import ActionGroup, Contract, State
from mode_ros.control.grippers import ARM_JOINTS, holds

_ANGLES = ('rad', 'deg')


@dataclass(frozen=True)
class Witness:
    """At least one of the states `streams` changes when all of `groups`, places in the action vector, have moved.

    places: whether commands, or the box that they must end in, are reckoned from what these states say.
    """

    streams: tuple[str, ...]
    groups: tuple[slice, ...]
    places: bool


def witnesses(contract: Contract) -> tuple[Witness, ...]:
    """Of every group that something measures, but for grippers, which may hold something."""
    places = contract.group_slices
    found = [
        Witness((group.feedback,), (places[group.name],), places=True)
        for group in contract.action
        if group.kind == 'absolute' and group.feedback is not None and not holds(group)
    ]
    return (*found, *_of_displacements(contract, places))


def _of_displacements(contract: Contract, places: dict[str, slice]) -> list[Witness]:
    """Each state that must change by itself; and of a group that has none, all positions that nothing else moves."""
    groups = [group for group in contract.action if group.kind == 'delta']
    positions = _unclaimed(contract)
    arms = _arms(positions, contract, len(groups))
    alone = {state.name: _moved_by(state, arms, groups) for state in arms}
    boxed: set[str] = set()
    for state in contract.observation.states:
        # A box is judged by this pose, so that one that is frozen holds nothing, however well the joints are.
        if naming := [group for group in groups if state.name in _named_by(group)]:
            alone[state.name] = naming
            boxed.add(state.name)
    found = []
    for name, moving in alone.items():
        # With more groups than arms, as a base's beside an arm's, either may be all that moves the joints.
        apart = [moving] if name in boxed or len(arms) >= len(groups) else [[group] for group in moving]
        found += [Witness((name,), tuple(places[group.name] for group in each), name in boxed) for each in apart]
    for group in groups:
        together = tuple(state.name for state in positions if state.name not in alone or group in alone[state.name])
        if together and [group] not in [alone.get(name) for name in together]:
            found.append(Witness(together, (places[group.name],), places=False))
    return found


def _named_by(group: ActionGroup) -> tuple[str | None, ...]:
    return (group.feedback, group.box.state if group.box is not None else None)


def _moved_by(state: State, arms: list[State], groups: list[ActionGroup]) -> list[ActionGroup]:
    """The groups of which one moves the joints of `state`: where there are as many arms, those of its namespace, as two
    arms in one contract have them, else any.
    """
    space = _namespace(state.topic)
    if not space or len(arms) < len(groups):
        return groups
    return [group for group in groups if _namespace(group.output.topic) == space] or groups


def _namespace(topic: str) -> str:
    return topic.strip('/').rpartition('/')[0].partition('/')[0]


def _arms(positions: list[State], contract: Contract, most: int) -> list[State]:
    """The states that are the joints of an arm of displacements; none where it cannot be told which of them are."""
    claimed, feedback = _claimed_names(contract), _feedback(contract)
    joints = [
        state
        for state in positions
        if state.type == 'joint_state'
        and state.unit in _ANGLES
        and len(set(state.names) - claimed) >= ARM_JOINTS
        # What is measured beside the joints of an arm of targets, as a head, is no arm of displacements.
        and not any(each.feedback == state.name and not holds(each) for each in contract.action)
    ]
    if len(joints) > most:  # a hand of many joints, of which some are commanded, is not the arm
        joints = [state for state in joints if state.name not in feedback and not claimed & set(state.names)]
    return joints if len(joints) <= most else []


def _unclaimed(contract: Contract) -> list[State]:
    """Measured positions that no group of targets moves, or of which it moves no more than fingers beside an arm's
    joints: poses and states of many joints, or, where there are none, those of few.
    """
    claimed, feedback = _claimed_names(contract), _feedback(contract)
    poses = [state for state in contract.observation.states if state.type == 'pose' and state.name not in feedback]
    joints = [s for s in contract.observation.states if s.type == 'joint_state' and s.field == 'position']
    many = [state for state in joints if len(set(state.names) - claimed) >= ARM_JOINTS]
    few = [s for s in joints if s not in many and s.name not in feedback and not claimed & set(s.names)]
    return [*many, *poses] or few


def _claimed_names(contract: Contract) -> set[str]:
    """Names that groups of targets command, and those that are measured with them, as a second finger is."""
    commanded = {name for group in contract.action if group.kind == 'absolute' for name in group.names}
    beside = {
        name
        for feedback in _feedback(contract)
        if (state := contract.state(feedback)).type == 'joint_state' and len(set(state.names) - commanded) < ARM_JOINTS
        for name in state.names
    }
    return commanded | beside


def _feedback(contract: Contract) -> set[str]:
    return {group.feedback for group in contract.action if group.kind == 'absolute' and group.feedback is not None}
