"""The services that the page asks for, in a table of node and word: nothing else of another node can be called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from mode_ros.nodes.asking import ANSWER_SECONDS, NotAnswered, ask

_TRIGGERS = {
    'controller': ('start', 'pause', 'reset', 'release'),
    'recorder': ('start', 'stop', 'discard'),
    'simulator': ('reset',),
    'goals': ('next',),
}

# Longer than an answer takes of nodes that do their work first: the recorder's writer is waited for, a minute at most
# (recorder_node.FINISH_SECONDS), and a simulator builds its scene anew. What they say, as how much was lost, must not
# be missed (seconds).
PATIENCE = {'recorder': 65.0, 'simulator': 60.0}


class PageCalls:
    """The clients of one page_node."""

    def __init__(self, node: Node, names: Mapping[str, str]) -> None:
        """names: what a node is to the page ('controller', 'recorder', 'simulator', 'goals') to its name."""
        self._names = names
        self._clients: dict[tuple[str, str], tuple[Any, Any]] = {
            (what, word): (node.create_client(Trigger, f'{names[what]}/{word}'), Trigger.Request())
            for what, words in _TRIGGERS.items()
            for word in words
        }
        mark = node.create_client(SetBool, f'{names["recorder"]}/success')
        for word in ('success', 'failure'):
            self._clients['recorder', word] = mark, SetBool.Request(data=word == 'success')

    def ready(self, node: str, word: str) -> bool:
        """Whether somebody offers it."""
        return bool(self._clients[node, word][0].service_is_ready())

    async def call(self, node: str, word: str) -> tuple[bool, str]:
        """(whether it was done, the node's words, or why there are none)."""
        client, request = self._clients[node, word]
        try:
            patience = PATIENCE.get(node, ANSWER_SECONDS)
            result = await ask(client, request, self._names[node], word, patience)
        except NotAnswered as error:
            return False, str(error)
        return bool(result.success), str(result.message)

    def ask(self, node: str, word: str) -> None:
        """Asks without waiting; whoever is not there is not asked."""
        client, request = self._clients[node, word]
        if client.service_is_ready():
            client.call_async(request)
