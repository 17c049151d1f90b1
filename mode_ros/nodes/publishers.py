"""Counting the publishers of topics through the ROS graph."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.node import Node

from mode_ros.control.publishers import Voice


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
