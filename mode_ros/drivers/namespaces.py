"""Two robots in one graph: which names of a contract do not follow a node's namespace. Needs no ROS."""

from __future__ import annotations

from collections.abc import Iterator

from mode_ros.control.contract import Contract


def absolute_commands(contract: Contract, namespace: str) -> Iterator[str]:
    """A sentence for every command topic that a node in `namespace` shares with nodes of any other namespace."""
    if namespace in ('', '/'):
        return
    for group in contract.action:
        for topic in filter(None, (group.output.topic, group.output.action)):
            if topic.startswith('/') and not topic.startswith(f'{namespace}/'):
                yield (
                    f'The group {group.name!r} of the robot {contract.robot} commands {topic!r}, which is the same in '
                    f'every namespace, while this node is in {namespace!r}: a second robot would be commanded too. '
                    f'Write {topic.lstrip("/")!r}, which becomes {namespace + topic!r} here.'
                )
