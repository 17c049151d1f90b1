"""From chunks to commands: what the robot is told in each control period, and why.

`execution` decides which action is due and when to ask for the next chunk, `safety` whether the robot may move at all,
`motion` how it moves there. While a person drives, their commands count and the policy's do not. The controller reads
no clock and knows no middleware; a node feeds it and sends what it returns.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.chunk import Chunk, ChunkRejected, check_chunk, check_times
from mode_ros.control.contract import NANOSECONDS, Contract
from mode_ros.control.execution import Execution, ExecutionSettings
from mode_ros.control.freshness import StreamAge, describe_stale
from mode_ros.control.measured import Measured
from mode_ros.control.motion import make_motion
from mode_ros.control.permission import ESTOP, Permission
from mode_ros.control.safety import Breach, ClockWatch, FrozenWatch, Problem, SafetySettings
from mode_ros.control.takeover import Takeover, TeleopCommand
from mode_ros.control.tick import Phase, Tick
from mode_ros.control.workspace import Workspace

# A control period may be late by so many commands before the clock counts as standing, however slow the contract is; an
# arm that heard nothing for so long stands at its last target, and sets off from there as from rest.
MISSED_COMMANDS = 3

# What keeps the policy from moving the robot, and not a person; a release looks past it.
OF_THE_POLICY = ('paused', 'deadman', 'goal')


class Controller:
    """The state between two control periods."""

    def __init__(
        self,
        contract: Contract,
        max_chunk_age: float,
        name: str = 'controller',
        execution: ExecutionSettings | None = None,
        safety: SafetySettings | None = None,
    ) -> None:
        """max_chunk_age: seconds after its observation at which a chunk is too old to be started; name: begins the
        identities of requests, so that no other controller's are alike.
        """
        self._contract = contract
        self._max_chunk_age = round(max_chunk_age * NANOSECONDS)
        self._settings = safety or SafetySettings()
        self.execution = Execution(contract, execution or ExecutionSettings(), name)
        self._motion = make_motion(contract)
        self._measured = Measured(contract)
        self._clock = ClockWatch(self._settings.max_clock_speed)
        self._frozen = FrozenWatch(contract)
        self.permission = Permission(self._settings)
        self._takeover = Takeover(contract)
        self.workspace = Workspace(contract)
        self._delay = contract.motion_delay
        self._moved_at = -1  # when the last motion was told, on the clock of the stamps
        self._now = self._wall = self._sent_wall = 0
        self.activate(0)

    def activate(self, now: int, wall: int | None = None, keep_breach: bool = False) -> None:
        """Starts from a standing robot, without a chunk or a memory of commands; measured states are kept.

        keep_breach: what has latched stays so until `release`, and who drives must let go first; else there is none.
        Either way nothing moves while a state is the same as before, in spite of motion.
        """
        self._wall = self._sent_wall = now if wall is None else wall
        self.permission.begin(self._wall, keep_breach)
        self.execution.unkept = False  # the policy may be another one now
        self.chunks_before = self.execution.chunks
        self.underruns = self.periods = self.held = 0
        self._takeover.begin(now if keep_breach else None)
        self._phase, self._reason = Phase.WAITING, 'no chunk'
        self._limited: tuple[str, ...] = ()
        self._clock.clear()
        # A target from before may be far from where the arm has been brought meanwhile.
        self._motion.start_from(np.nan)
        self._moved_at = min(self._moved_at, now)
        self._begun = now
        self._begin(now)

    @property
    def breach(self) -> Breach | None:
        """What has stopped the robot and keeps it stopped."""
        return self.permission.breach

    @property
    def chunks(self) -> int:
        """Chunks taken since the activation."""
        return self.execution.chunks - self.chunks_before

    def _begin(self, now: int) -> None:
        """From a standing robot on, with nothing planned: as after an activation or a release."""
        self._now = self._still_since = self._goal_since = now
        self._waiting_since: int | None = None
        self._sub = 0
        # What was sent since the last action: the place, and the sum of displacements.
        self._sent: NDArray[np.float64] = np.zeros(len(self._contract.dimensions))
        self._started = self._moved = False
        self._implausible = self.refusal = ''
        self._last_chunk_stamp = -1
        self.execution.clear()
        # What was frozen while it moved is so in another episode, too.
        self._frozen.stopped()
        self._frozen.clear()

    def measure(self, stream: str, stamp: int, values: NDArray[np.float64], wall: int | None = None) -> None:
        """Takes a state [n] of the contract's stream, stamped in nanoseconds; one that is not finite is none.

        wall: when, on a clock that nobody sets; None: at the last control period.
        """
        wall = self._wall if wall is None else wall
        if self._measured.update(stream, stamp, values):
            self._frozen.measured(stream, stamp, values, wall, periods=not self._stands(wall))

    def set_estop(self, engaged: bool) -> None:
        """Engaged: everything planned is dropped, and nothing moves until it is released and `release` is called. A
        person who drives must let go.
        """
        self.permission.estop = engaged
        if engaged:
            # At once: it may be released before the next period.
            self._latch([ESTOP], self._now)
            self._let_go()

    def read_clock(self, now: int) -> None:
        """A reading of the robot's clock between two periods."""
        self._clock.read(now)

    def sent(self, wall: int) -> None:
        """The last tick's commands have been sent, at `wall`."""
        self._sent_wall = wall

    def set_goal(self, now: int) -> None:
        """A new goal: its time begins."""
        self._goal_since = now

    def release(self, now: int, wall: int | None = None) -> str:
        """Lets the policy move the robot again after a breach; '' or why not."""
        wall = now if wall is None else wall
        # The goal's time begins anew.
        lasting = [p for p in self._problems(now, wall) if p.name not in OF_THE_POLICY]
        if standing := self._stands(wall):
            return standing
        if unsettled := self._clock.unsettled(wall):
            return unsettled
        if lasting:
            return lasting[0].reason
        if unchanged := self._frozen.unchanged():
            return unchanged
        if self._motion.moving:
            return 'the robot is still coming to rest'
        self.permission.breach = None
        self._motion.start_from(np.nan)
        self._begin(now)
        return ''

    def drive(self, command: TeleopCommand, now: int) -> None:
        """Takes a person's command, which overrides the policy while it is fresh.

        Raises TeleopRefused naming the failed check. After an emergency stop or a breach the person must let go before
        driving on: the robot must not move by the release of the stop.
        """
        self._takeover.take(command, now, self.permission.estop)

    def accept(self, chunk: Chunk, now: int) -> None:
        """Takes a chunk to play; raises ChunkRejected naming the failed check, and then keeps what it was doing, and
        asks anew.
        """
        try:
            self._accept(chunk, now)
        except ChunkRejected as error:
            self.execution.refuse(chunk.identity, error.check)
            raise

    def _accept(self, chunk: Chunk, now: int) -> None:
        check_chunk(chunk, self._contract)
        if self.permission.estop:
            raise ChunkRejected(ESTOP.name, ESTOP.reason)
        if self.breach is not None:
            raise ChunkRejected('stopped', f'the robot is stopped: {self.breach.problem.reason}')
        check_times(chunk, now, self._contract.period, self._last_chunk_stamp, self._max_chunk_age)
        if self._takeover.wish(now) is not None:
            raise ChunkRejected('teleop', 'a person drives the robot')
        if self._takeover.over and chunk.stamp < self._still_since:
            raise ChunkRejected('teleop', 'it was planned before the robot came to rest after a person had driven it')
        playing = self.execution.playing
        try:
            far = '' if playing else self._measured.far(chunk.actions[0])
            if far:
                raise ChunkRejected('far', f'it begins too far away: {far}')
            self.execution.accept(chunk)
        except ChunkRejected as error:
            if playing and error.check == 'jump':
                self._implausible = str(error)
            raise
        self._implausible = self.refusal = ''
        self._last_chunk_stamp = chunk.stamp
        self._takeover.over = False

    def tick(self, now: int, wall: int | None = None) -> Tick:
        """The commands of the control period that begins at `now`; wall: the same moment on a clock nobody sets."""
        wall = now if wall is None else wall
        self._note_silence(wall)
        self._frozen.passed(self._contract.period // self._contract.commands_per_action)
        self._wall = wall
        back = self._clock.problem(now, wall)
        if back:
            # Times from before mean nothing.
            self._measured.clear()
            self._let_go()
            self._takeover.time_jumped(now)
            self._begin_anew(now)
            self._moved_at = now
        self._now = max(now, self._now)
        if self._motion.moving:
            self._moved_at = now
        problems = ([Problem('clock', back)] if back else []) + self._problems(now, wall)
        wish = self._takeover.wish(now)
        driven = wish is not None
        self.permission.speak(driven)
        mine = [p for p in problems if not driven or not self._holds_only_the_policy(p)]
        self._latch(mine, now)
        if mine or (self.breach is not None and not driven):
            return self._held_by(mine, now)
        if not self._started:
            if not self._motion.moving:  # else it goes on from what it was told: no jump
                self._motion.start_from(self._measured.positions)
            self._started = True
            if driven:
                # What is under suspicion may have been made to stand: whoever drives gets it a little way from there.
                self._frozen.clear()
        first = self._sub == 0
        self._sub = (self._sub + 1) % self._contract.commands_per_action
        if not first:
            return self._sample(self._phase, self._reason, self._limited)
        if wish is not None:
            return self._drive(wish)
        self._takeover.forget()
        return self._play(now)

    def stall(self, now: int, wall: int) -> Tick | None:
        """To be called on wall time: the commands of a stop where the control periods do not come, else None.

        An emergency stop does not wait for the robot's clock either.
        """
        standing = self._stands(wall)
        if self.permission.estop:
            stopped = (wall - self._wall) / NANOSECONDS > 2 * self._contract.period_seconds
        else:
            stopped = bool(standing) and (self._moved or self._motion.moving)
        if not stopped:
            return None
        found = self._problems(now, wall) if self.permission.estop else [Problem('clock', standing)]
        self._note_silence(wall)
        self._latch(found, now)
        return self._held_by(found, now)

    def _note_silence(self, wall: int) -> None:
        if (wall - self._sent_wall) / NANOSECONDS > MISSED_COMMANDS * self._contract.command_seconds:
            self._motion.pause()  # this process, or the clock, was kept from its work
        self._sent_wall = wall

    def _stands(self, wall: int) -> str:
        """'' while control periods come, else for how long they did not."""
        silent = (wall - self._wall) / NANOSECONDS
        if silent <= max(self._settings.clock_seconds, MISSED_COMMANDS * self._contract.command_seconds):
            return ''
        return f'no control period for {silent:.2f} s: the clock stands still'

    def stop(self, now: int, reason: str) -> Tick:
        """One period of a safe stop; `stopping` tells when it is done."""
        self.execution.clear()
        if self._motion.moving:
            self._moved_at = now
        return self._rest(Phase.STOPPED, reason)

    def halt(self, now: int, reason: str) -> Tick:
        """The last command where a stop may not take longer: no displacement, for a velocity that is left goes on."""
        self._motion.start_from(self._motion.rest)
        return self.stop(now, reason)

    @property
    def stopping(self) -> bool:
        """Whether the last command still moved the robot."""
        return self._motion.moving

    # ---- may it move -------------------------------------------------------------------------------------------

    def _problems(self, now: int, wall: int) -> list[Problem]:
        found = self.permission.forbidden(wall)
        if stale := describe_stale(self.ages(now)):
            found.append(Problem('stale', stale))
        elif not self._started:
            # The robot no longer is where older states say.
            if unseen := '' if self._motion.moving else self._measured.older_than(self._moved_at):
                found.append(Problem('stale', unseen))
            if unchanged := self._frozen.unchanged():
                # A person would start from there, too, but for displacements, which start from anywhere.
                found.append(Problem('frozen', unchanged, latches=self._frozen.lost))
        else:
            if far := self._measured.far(self._motion.rest):
                found.append(Problem('tracking', far))
            if frozen := self._frozen.problem(now):
                found.append(Problem('frozen', frozen))
        limit = self._settings.goal_seconds
        if limit and self._moved and now - self._goal_since > limit * NANOSECONDS:
            found.append(Problem('goal', f'the goal has been pursued for {limit:g} s'))
        if self.workspace.missing:
            found.append(Problem('workspace', self.workspace.missing, latches=False))
        return found + self.permission.unasked(wall)

    def _holds_only_the_policy(self, problem: Problem) -> bool:
        return problem.name in OF_THE_POLICY or (problem.name == 'frozen' and not problem.latches)

    def _latch(self, problems: list[Problem], now: int) -> None:
        # A stopped robot that a person drives is stopped again by what would latch, and what does not stop a person.
        stops = any(problem.latches and not self._holds_only_the_policy(problem) for problem in problems)
        again = self.breach is not None and self._started and stops
        if self.permission.latch(problems, now, self._wall, self._moved) or again:
            self._frozen.stopped()
            self._let_go()

    def _let_go(self) -> None:
        self.execution.clear()
        self._takeover.stop()

    def _begin_anew(self, now: int) -> None:
        moved = self._moved
        self._begin(now)
        self._moved = moved

    def _held_by(self, problems: list[Problem], now: int) -> Tick:
        # Nothing old may resume when the input comes back.
        self.execution.clear()
        self._implausible = ''
        self._sub = 0
        self._waiting_since = None
        reasons = [problem.reason for problem in problems]
        if self.breach is not None and self.breach.problem.name not in {problem.name for problem in problems}:
            reasons.insert(0, self.breach.problem.reason)
        stopped = self.breach is not None or any(problem.name == 'estop' for problem in problems)
        stood = not self._motion.moving
        tick = self._rest(Phase.STOPPED if stopped else Phase.HOLDING, '; '.join(reasons))
        tick = replace(tick, problems=tuple(problem.name for problem in problems))
        if (stopped or any(problem.latches for problem in problems)) and stood and not self._motion.moving:
            # Targets are no longer sent: the arm may be moved by hand, and is started from where it then is. Not so
            # right after the ramp: who drives on then goes on from the last target, which the driver still follows.
            self._motion.start_from(np.nan)
            self._started = False
            self._frozen.stopped()  # on the way to rest, too
        return tick

    # ---- what it does ------------------------------------------------------------------------------------------

    def _drive(self, wish: NDArray[np.float64]) -> Tick:
        # The policy begins anew afterwards, from an observation of where the person has left the robot.
        self.execution.clear()
        self._implausible = ''
        self._takeover.over = True
        action = np.where(np.isnan(wish), self._motion.rest, wish)
        # An arm beyond a bound must not set off by itself when a person puts a hand on the stick.
        if outside := self._outside(action, None, pull_in=False):
            # A person may bring it back, so nothing latches.
            return self._held_by([Problem('workspace', outside, latches=False)], self._now)
        reached, reduced = self._motion.aim(action, pull_in=False)
        return self._moving(Phase.TELEOP, reached, reduced)

    def _play(self, now: int) -> Tick:
        self.execution.correct(self._sent)
        self._sent = np.zeros(len(self._sent))
        action = self.execution.next()
        self.periods += self.chunks > 0
        if action is not None:
            self._waiting_since = None
            following = self.execution.following()
            if outside := self._outside(action, following):
                problems = [Problem('workspace', outside)]
                self._latch(problems, now)
                return self._held_by(problems, now)
            reached, reduced = self._motion.aim(action, following)
            self.execution.commanded(now, reached)
            tick = self._moving(Phase.EXECUTING, reached, reduced)
            return self._with_request(tick, now, None)
        if self._implausible and self._moved:
            # What it was doing is over, and how the policy would go on is not believed.
            problems = [Problem('jump', f"the policy's chunk was refused: {self._implausible}")]
            self._latch(problems, now)
            return self._held_by(problems, now)
        self._motion.hold()
        self.underruns += self.chunks > 0
        self.held += self.chunks > 0
        self._waiting_since = now if self._waiting_since is None else self._waiting_since
        waited = (now - self._waiting_since) / NANOSECONDS
        reason = f'no policy: no chunk for {waited:.1f} s' if waited > self._settings.policy_seconds else 'no chunk'
        if self.refusal:
            reason += f'; the last one was refused ({self.refusal})'
        self._phase, self._reason, self._limited = Phase.WAITING, reason, ()
        tick = self._sample(Phase.WAITING, reason)
        # What is left of a ramp is only known when its period is over.
        self.execution.commanded(now, np.where(self._contract.delta_mask, self._sent, self._motion.rest))
        return self._with_request(tick, now, None if self._motion.moving else self._still_since)

    def _outside(self, action: NDArray[np.float64], following: NDArray[np.float64] | None, pull_in: bool = True) -> str:
        """'' where a stop after `action` [d] would end where the robot may be, else why not."""
        if not self.workspace.needed:
            return ''
        return self.workspace.problem(self._motion.rest_after(action, following, pull_in), self._measured.values)

    def _with_request(self, tick: Tick, now: int, still_since: int | None) -> Tick:
        request = self.execution.request(now, still_since)
        return replace(tick, request=request and replace(request, begun=self._begun))

    def _moving(self, phase: Phase, reached: NDArray[np.float64], reduced: NDArray[np.float64]) -> Tick:
        self._moved = True
        self._still_since = self._now + self._contract.period + self._delay
        limited = tuple(name for name, by in zip(self._contract.action_names, reduced, strict=True) if by > 1e-9)
        self._phase, self._reason, self._limited = phase, '', limited
        return self._sample(phase, '', limited)

    def _rest(self, phase: Phase, reason: str) -> Tick:
        self._motion.hold()
        self._phase, self._reason, self._limited = phase, reason, ()
        tick = self._sample(phase, reason)
        return replace(tick, commands={}, velocities={}) if self.permission.mute else tick

    def _sample(self, phase: Phase, reason: str, limited: tuple[str, ...] = ()) -> Tick:
        sample = self._motion.advance()
        self._sent = np.where(self._contract.delta_mask, self._sent + sample.values, sample.values)
        if self._motion.moving:
            self._still_since = max(self._still_since, self._now + self._contract.period + self._delay)
            self._frozen.commanded(sample.velocities * self._contract.command_seconds)
        slices = self._contract.group_slices
        commands = {name: sample.values[place] for name, place in slices.items()}
        known = {name: values for name, values in commands.items() if not np.isnan(values).any()}
        return Tick(known, phase, reason, None, limited, {name: sample.velocities[slices[name]] for name in known})

    def ages(self, now: int) -> list[StreamAge]:
        """How old each state is at `now`, by its own stamp."""
        return self._measured.ages(now)
