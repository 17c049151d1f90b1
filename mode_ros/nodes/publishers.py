"""Counting who publishes and who listens on topics, through the ROS graph.

rclpy's own counts take a name as it is: a relative one gets the namespace, and no remapping. Two robots that share a
topic by one (`estop:=/estop`) would count nobody there. So every name is resolved first.
"""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.node import Node

from mode_ros.control.publishers import Voice


def count_publishers(node: Node, topic: str) -> int:
    """How many publish on the topic that the node means by this name."""
    return int(node.count_publishers(node.resolve_topic_name(topic)))


def count_subscribers(node: Node, topic: str) -> int:
    """How many listen to it."""
    return int(node.count_subscribers(node.resolve_topic_name(topic)))


def publishing_nodes(node: Node, watched: Iterable[Voice]) -> dict[str, list[str]]:
    """Topic to the names of the nodes that publish on it, one entry per publisher, as `too_many` wants them.

    Relative topics are the node's own, in its namespace. A publisher that was found by discovery a moment ago has no
    name yet, and counts.
    """
    found: dict[str, list[str]] = {}
    for voice in watched:
        topic = node.resolve_topic_name(voice.topic)
        infos = node.get_publishers_info_by_topic(topic)
        found[voice.topic] = [f'{info.node_namespace.rstrip("/")}/{info.node_name}' for info in infos]
    return found


def everybody(node: Node) -> frozenset[tuple[str, str]]:
    """The nodes that discovery has found so far, as (name, namespace)."""
    return frozenset(node.get_node_names_and_namespaces())
