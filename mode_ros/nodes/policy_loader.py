"""Another checkpoint for a running policy_node, through its lifecycle, as `ros2 lifecycle` and `ros2 param` would.

Deactivate, cleanup, the parameter `checkpoint`, configure, activate. Where the new one is refused, the old one comes
back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Log, Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.node import Node

from mode_ros.control.contract import Contract
from mode_ros.errors import UserError
from mode_ros.made_for import require_made_for
from mode_ros.nodes.asking import NotAnswered, ask

# Loading reads hundreds of megabytes and computes a first chunk (seconds).
CONFIGURE_SECONDS = 180.0
CHECKPOINT = 'checkpoint'
_ERROR = 40  # of rcl_interfaces/Log
# What a node logs of a transition comes by another way than its answer.
_LOG_SECONDS = 0.3

_UP = {Transition.TRANSITION_CONFIGURE: 'configure', Transition.TRANSITION_ACTIVATE: 'activate'}
_DOWN = {Transition.TRANSITION_DEACTIVATE: 'deactivate', Transition.TRANSITION_CLEANUP: 'cleanup'}
_WORDS = {**_UP, **_DOWN}


class PolicyLoader:
    """For one policy_node."""

    def __init__(self, node: Node, policy: str, pause: Callable[[], Awaitable[tuple[bool, str]]]) -> None:
        """policy: its name; pause: of the controller, so that nothing moves by itself once the new policy runs."""
        self._name, self._pause = policy, pause
        self._state = node.create_client(GetState, f'{policy}/get_state')
        self._change = node.create_client(ChangeState, f'{policy}/change_state')
        self._get = node.create_client(GetParameters, f'{policy}/get_parameters')
        self._set = node.create_client(SetParameters, f'{policy}/set_parameters')
        self._said = ''
        self._busy = False
        node.create_subscription(Log, '/rosout', self._hear, 100)

    def _hear(self, message: Log) -> None:
        if message.level >= _ERROR and message.name.split('.')[-1] == self._name.split('/')[-1]:
            self._said = message.msg

    async def load(self, folder: Path, contract: Contract) -> tuple[bool, str]:
        """(whether policy_node runs the checkpoint now, what there is to say)."""
        if self._busy:
            return False, 'Another policy is being loaded.'
        self._busy = True
        try:
            # Before anything is given up for it.
            await asyncio.to_thread(partial(require_made_for, str(folder), contract))
            return await self._exchange(folder)
        except (UserError, NotAnswered) as error:
            return False, str(error)
        finally:
            self._busy = False

    async def _exchange(self, folder: Path) -> tuple[bool, str]:
        before = await self._ask(self._get, GetParameters.Request(names=[CHECKPOINT]), 'get_parameters')
        earlier = before.values[0].string_value if before.values else ''
        state = (await self._ask(self._state, GetState.Request(), 'get_state')).current_state.id
        if state == State.PRIMARY_STATE_ACTIVE:
            paused, words = await self._pause()
            if not paused:
                return False, f'The controller does not pause, so the policy stays as it is: {words}'
            await self._go(Transition.TRANSITION_DEACTIVATE)
        if state in (State.PRIMARY_STATE_ACTIVE, State.PRIMARY_STATE_INACTIVE):
            await self._go(Transition.TRANSITION_CLEANUP)
        try:
            await self._put(str(folder))
            for transition in _UP:
                await self._go(transition)
        except NotAnswered as error:
            back = await self._back(earlier) if earlier else 'It has none now.'
            return False, f'{error} {back}'
        return True, f'{self._name} runs {folder}. The controller is paused: Start lets the robot move.'

    async def _back(self, earlier: str) -> str:
        """The old checkpoint again."""
        try:
            state = (await self._ask(self._state, GetState.Request(), 'get_state')).current_state.id
            if state == State.PRIMARY_STATE_INACTIVE:
                await self._go(Transition.TRANSITION_CLEANUP)
            await self._put(earlier)
            for transition in _UP:
                await self._go(transition)
        except NotAnswered as error:
            return f'The one before, {earlier}, does not come back either: {error}'
        return f'The one before, {earlier}, is back.'

    async def _put(self, checkpoint: str) -> None:
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=checkpoint)
        request = SetParameters.Request(parameters=[Parameter(name=CHECKPOINT, value=value)])
        result = (await self._ask(self._set, request, 'set_parameters')).results[0]
        if not result.successful:
            raise NotAnswered(f'{self._name} takes no other checkpoint: {result.reason}')

    async def _go(self, transition: int) -> None:
        self._said = ''
        request = ChangeState.Request(transition=Transition(id=transition))
        done = await self._ask(self._change, request, _WORDS[transition], CONFIGURE_SECONDS)
        if not done.success:
            await asyncio.sleep(_LOG_SECONDS)
            raise NotAnswered(self._said or f'{self._name} refuses to {_WORDS[transition]}; its log says why.')

    async def _ask(self, client: Any, request: Any, word: str, seconds: float = 5.0) -> Any:
        return await ask(client, request, self._name, word, seconds)
