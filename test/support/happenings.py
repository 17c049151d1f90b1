"""A controller to which anything happens, by a script: faults, people, jumps of the clock, a policy of random delays.

`World.run` judges every command while it goes: limits, what a latched stop allows, and the order of displacements.
"""

from dataclasses import dataclass

import numpy as np

from mode_ros.control.chunk import ChunkRejected, make_chunk
from mode_ros.control.contract import NANOSECONDS, parse_contract
from mode_ros.control.controller import MISSED_COMMANDS, Controller
from mode_ros.control.execution import ExecutionSettings
from mode_ros.control.request import prefix_of
from mode_ros.control.safety import SUSPECT_STEPS
from mode_ros.control.takeover import TeleopCommand, TeleopRefused
from mode_ros.control.tick import Phase

START = 100_000_000_000
COUNT = 1e-5  # of one numbered displacement
ROUNDING = 1e-6  # of a limit
LATCHING = {'stale', 'tracking', 'frozen', 'clock', 'publishers'}

_HEAD = """
robot: anything
rate: 20.0
observation:
  states:
    - {name: joints, topic: joint_states, type: joint_state, names: [a, b], unit: rad, max_age: 0.12}
action:
"""
_DELTA = """\
  - name: hand
    kind: delta
    dimensions:
      - {name: x, unit: m, lower: -0.04, upper: 0.04}
      - {name: y, unit: m, lower: -0.04, upper: 0.04, max_step: 0.03, max_step_change: 0.01JERK}
      - {name: z, unit: m, lower: -0.01, upper: 0.04, max_step: 0.02}
    output: {adapter: twist, topic: hand/twist, frame_id: base}
"""
_ABSOLUTE = """\
  - name: arm
    kind: absolute
    feedback: joints
    dimensions:
      - {name: a, unit: rad, lower: -0.6, upper: 0.6, max_step: 0.05, max_step_change: 0.02JERK}
      - {name: b, unit: rad, lower: -2.0, upper: 2.0, max_step: 0.1}
    output: {adapter: joint_trajectory, topic: arm/trajectory}
"""
_GRIPPER = """\
  - name: gripper
    kind: absolute
    dimensions:
      - {name: grip, unit: '1', lower: -1.0, upper: 1.0}
    output: {adapter: forward_command, topic: gripper/command}
"""

GROUPS = {'delta': _DELTA, 'absolute': _ABSOLUTE, 'mixed': _DELTA + _ABSOLUTE + _GRIPPER}
HAPPENINGS = (
    'estop', 'silent', 'stalled', 'pushed', 'paused', 'teleop', 'clock', 'crowd', 'no policy', 'slow policy',
    'deactivated', 'no periods', 'release', 'foreign chunk', 'frozen',
)  # fmt: skip


def contract_of(groups, commands=1, jerk=False):
    """delta, absolute or mixed; commands per action; with limited jerk or without."""
    text = (_HEAD + GROUPS[groups]).replace('JERK', ', max_jerk: 400.0' if jerk else '')
    return parse_contract(text.replace('rate: 20.0', f'rate: 20.0\ncontrol_rate: {20.0 * commands}'), 'anything.yaml')


@dataclass(frozen=True)
class Happening:
    """what: of HAPPENINGS; at: the period in which it begins; periods: that it lasts."""

    what: str
    at: int
    periods: int


class World:
    """Follows a script of happenings; `random` decides what the policy and the person want, and how far things jump."""

    def __init__(self, contract, script, seed, mode='realtime'):
        self.contract, self.script, self.random = contract, script, np.random.default_rng(seed)
        self.controller = Controller(contract, 2.0, execution=ExecutionSettings(mode))
        self.now = self.wall = self.judged = START
        self.controller.activate(self.now, self.wall)
        names = list(contract.action_names)
        self.arm = [names.index(name) for name in ('a', 'b')] if 'a' in names else []
        self.joints = np.zeros(2)  # where the arm is
        self.seen, self.anew = self.joints, False  # where it is measured; a driver that is frozen repeats that
        self.last = np.full(len(names), np.nan)  # commands, speeds and accelerations of the command before
        self.speed = np.zeros(len(names))
        self.acceleration = np.zeros(len(names))
        self.told = np.zeros(len(names))  # the speeds that went with the last commands
        self.coming, self.answered = None, ''
        self.tick_number = 0
        self.executed, self.phases, self.checks = [], [], set()
        self.wild = 0.15  # how often what is wanted is anywhere; such a chunk may be refused
        self.resting = False
        self.begins = False  # whether it was released, or taken over from a stop, since the last command
        self.moved = self.latched = False  # since the last release

    # ---- what happens ----------------------------------------------------------------------------------------------

    def run(self, periods):
        for period in range(self.tick_number, self.tick_number + periods):
            begins = [h for h in self.script if h.at == period]
            lasts = {h.what for h in self.script if h.at <= period < h.at + h.periods}
            self._begin(begins, lasts)
            self._period(lasts)
        return self

    def _begin(self, begins, lasts):
        for happening in begins:
            if happening.what == 'clock':
                self.now += int(self.random.choice([-30_000, -70, 90, 5_000])) * 1_000_000
            elif happening.what == 'pushed' and self.arm and 'frozen' not in lasts:  # else nobody can know
                self.joints += self.random.uniform(-0.3, 0.3, 2)
            elif happening.what == 'deactivated':
                for _ in range(200):
                    self._judge(self.controller.stop(self.now, 'over'))
                    if not self.controller.stopping:
                        break
                assert not self.controller.stopping
                self.controller.activate(self.now, self.wall, keep_breach=True)
                self.last[~self.contract.delta_mask] = np.nan
                self.coming, self.moved = None, False
            elif happening.what == 'release':
                self._release()

    def _release(self):
        if self.controller.release(self.now, self.wall) == '':
            assert self.controller.breach is None
            self.begins = True
            self.resting = self.moved = self.latched = False

    def _period(self, lasts):
        controller = self.controller
        if ('estop' in lasts) != controller.permission.estop:
            controller.set_estop('estop' in lasts)
        controller.permission.set_crowd('two speak' if 'crowd' in lasts else '')
        controller.permission.paused = 'paused' in lasts
        if 'teleop' in lasts:
            self._drive()
        if 'foreign chunk' in lasts:
            self._accept(make_chunk(self.contract, self.now, self._wild(4), 'somebody-1'))
        self._answer(lasts)
        for _ in range(self.contract.commands_per_action):
            if 'silent' in lasts:
                self.anew = True  # what speaks again after a silence is a driver that was started anew
            else:
                if 'frozen' not in lasts or self.anew:
                    self.seen = self.joints + self.random.uniform(-1e-9, 1e-9, 2)
                self.anew = False
                controller.measure('joints', self.now, self.seen)
            if 'no periods' in lasts:
                tick = controller.stall(self.now, self.wall)
            else:
                tick = controller.tick(self.now, self.wall)
                self.now += self.contract.period // self.contract.commands_per_action
            self.wall += self.contract.period // self.contract.commands_per_action
            if tick is None:
                continue
            self._judge(tick)
            if self.arm and 'stalled' not in lasts and 'arm' in tick.commands:
                self.joints = tick.commands['arm'].copy()
            if tick.request is not None and 'no policy' not in lasts:
                self._think(tick.request)
        self.tick_number += 1
        if controller.breach is not None and self.tick_number % 50 == 0:
            self._release()

    def _drive(self):
        action = self._wild(1)[0]
        action[self.random.random(len(action)) < 0.2] = np.nan
        wanted = None if self.random.random() < 0.1 else action
        try:
            self.controller.drive(TeleopCommand(self.now, self.contract.action_names, wanted), self.now)
        except TeleopRefused as error:
            self.checks.add(error.check)

    # ---- the policy ------------------------------------------------------------------------------------------------

    def _think(self, request):
        if request.identity == self.answered or self.coming is not None:
            return
        stamp = max(self.now - int(self.random.integers(0, 3)) * self.contract.period, request.not_before or 0)
        self.answered = request.identity
        actions = self._actions(prefix_of(request, stamp))
        if actions is not None:
            delay = int(self.random.integers(1, 5))
            self.coming = self.tick_number + delay, make_chunk(self.contract, stamp, actions, request.identity)

    def _answer(self, lasts):
        if self.coming is not None and self.tick_number >= self.coming[0] and 'slow policy' not in lasts:
            chunk, self.coming = self.coming[1], None
            self._accept(chunk)

    def _accept(self, chunk):
        try:
            self.controller.accept(chunk, self.now)
        except ChunkRejected as error:
            self.checks.add(error.check)

    def _actions(self, plan, length=14):
        known = plan.actions[: plan.committed]
        if len(known) >= length:
            return None
        own = self._wild(length - len(known), known[-1] if len(known) else None)
        if 'x' in self.contract.action_names:  # x counts what is executed; see `in_order`
            last = max([0.0, *known[:, 0], *(COUNT * number for number in self.executed)])
            own[:, 0] = last + COUNT * np.arange(1, len(own) + 1)
        return np.vstack([known, own]) if len(known) else own

    def _wild(self, length, at=None):
        dimensions = self.contract.dimensions
        lower, upper = np.array([d.lower for d in dimensions]), np.array([d.upper for d in dimensions])
        middle, half = (lower + upper) / 2, (upper - lower) / 2
        if self.random.random() < self.wild:
            return middle + 1.2 * half * self.random.uniform(-1, 1, (length, len(dimensions)))
        at = np.where(self.contract.delta_mask, 0.0, np.nan_to_num(self.last) if at is None else at)
        steps = np.array([d.max_step or 0.03 * (d.upper - d.lower) for d in dimensions])
        pace = np.where(self.contract.delta_mask, 0.0, steps) * self.random.uniform(-1, 1, len(dimensions))
        wiggle = np.where(self.contract.delta_mask, half * self.random.uniform(-1, 1, (length, len(dimensions))), 0.0)
        return np.clip(at + pace * np.arange(1, length + 1)[:, None], 1.05 * lower, 1.05 * upper) + wiggle

    # ---- what is allowed -------------------------------------------------------------------------------------------

    def _judge(self, tick):
        self.begins |= tick.phase is Phase.TELEOP and self.phases[-1:] == [Phase.STOPPED]
        self.phases.append(tick.phase)
        flat = np.full(len(self.last), np.nan)
        for name, values in tick.commands.items():
            flat[self.contract.group_slices[name]] = values
        dt, rate, delta = self.contract.command_seconds, self.contract.rate, self.contract.delta_mask
        silent, self.judged = (self.wall - self.judged) / NANOSECONDS, self.wall
        if silent > MISSED_COMMANDS * dt * (1 + ROUNDING):
            # An arm that was told no other target for so long stands at the last one.
            self.speed[~delta] = self.acceleration[~delta] = 0.0
        measured, real = np.full(len(flat), np.nan), np.full(len(flat), np.nan)
        measured[self.arm], real[self.arm] = (self.seen, self.joints) if self.arm else ([], [])
        for i, dimension in enumerate(self.contract.dimensions):
            if np.isnan(flat[i]):
                assert not delta[i], 'a displacement is always told'
                assert self.told[i] == 0.0, f'{dimension.name} falls silent at {self.told[i]} per s'
                self.last[i], self.speed[i], self.acceleration[i] = np.nan, 0.0, 0.0
                continue
            before = self.last[i]
            anew = np.isnan(before) or (self.begins and abs(flat[i] - measured[i]) < 1e-6)
            starts = anew or (self.told[i] == 0.0 and abs(flat[i] - real[i]) < 1e-6)
            if not delta[i] and starts:
                known = measured if anew else real
                assert i not in self.arm or abs(flat[i] - known[i]) <= 1e-6 + (dimension.max_step or 0.0)
                # As far as anybody can tell: a driver that froze during less motion looks like one at rest.
                most = (1 + SUSPECT_STEPS) * (dimension.max_step or 0.0)
                assert i not in self.arm or abs(flat[i] - real[i]) <= 1e-6 + most, f'{dimension.name} starts elsewhere'
                before = known[i] if i in self.arm else flat[i]
            speed = flat[i] / dt if delta[i] else (flat[i] - before) / dt
            acceleration = (speed - self.speed[i]) / dt
            jerk = (acceleration - self.acceleration[i]) / dt
            if delta[i]:
                low, high, place = dimension.lower * rate, dimension.upper * rate, speed
            else:
                low, high, place = min(dimension.lower, before), max(dimension.upper, before), flat[i]
            slack = ROUNDING * (high - low)
            assert low - slack <= place <= high + slack, f'{dimension.name} = {place} beyond its bounds'
            for limit, found, scale, what in (
                (dimension.max_step, speed, rate, 'step'),
                (dimension.max_step_change, acceleration, rate**2, 'change of step'),
                (dimension.max_jerk, jerk, 1.0, 'jerk'),
            ):
                # 1e-9 of noise in what is measured is a start at a little speed
                noise = 0.0 if delta[i] else 3e-9 / dt ** ('step', 'change of step', 'jerk').index(what) / dt
                assert limit is None or abs(found) <= limit * scale * (1 + ROUNDING) + noise, (
                    f'{what} of {dimension.name}: {found} of {limit * scale}, {tick.phase}'
                )
            self.last[i], self.speed[i], self.acceleration[i] = flat[i], speed, acceleration
        self.told[:], self.begins = 0.0, False
        for name, speeds in tick.velocities.items():
            self.told[self.contract.group_slices[name]] = speeds
        self._judge_stop(tick)
        if tick.phase is Phase.EXECUTING and 'x' in self.contract.action_names:
            self.executed.append(round(flat[0] / COUNT))

    def _judge_stop(self, tick):
        self.latched |= 'estop' in tick.problems or (self.moved and bool(LATCHING & set(tick.problems)))
        self.moved |= tick.phase in (Phase.EXECUTING, Phase.TELEOP)
        if self.controller.breach is None:
            assert not self.latched, 'it was stopped, and nobody has released it'
            self.resting = False
            return
        assert tick.phase in (Phase.STOPPED, Phase.TELEOP)
        assert tick.request is None
        still = bool((np.abs(self.speed) <= ROUNDING).all())
        if tick.phase is Phase.TELEOP:
            self.resting = False
        elif self.resting:
            assert still, 'it moves before it is released'
        else:
            self.resting = still

    @property
    def in_order(self):
        """Whether the displacements x that were executed are 1, 2, 3 and so on: none twice, none left out."""
        return self.executed == list(range(1, len(self.executed) + 1))
