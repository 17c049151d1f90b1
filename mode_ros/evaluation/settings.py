"""What is evaluated and how; and which of it makes two episodes comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mode_ros.control.execution import Mode
from mode_ros.errors import UserError
from mode_ros.policy.plans import Continuation
from mode_ros.policy.runtimes.names import Runtime
from mode_ros.settings import read_values

Goals = Literal['trained', 'held-out', 'contrary']
Perturbation = Literal['language', 'object', 'position', 'task']
Count = Annotated[int, Field(ge=1)]

# The ways of execution in which `actions` changes nothing.
WHOLE = ('synchronous', 'ensemble')

# As config/nodes.yaml sets it for controller_node (seconds).
MAX_CHUNK_AGE = 10.0


class EvaluationSettings(BaseModel):
    """One evaluation. Empty or None: the suite's, the checkpoint's or the machine's own choice."""

    model_config = ConfigDict(frozen=True, extra='forbid')

    checkpoint: Path
    output: Path
    suite: str = Field(default='metaworld-demo', description='tasks')
    tasks: tuple[str, ...] = Field(default=(), description="instead of all of the suite's")
    rollouts: Count | None = Field(default=None, description='episodes per task')
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(), description='initial states, instead')
    goals: Goals = Field(
        default='trained', description='sentences: of the training, such as it never saw, or the contrary'
    )
    perturb: Perturbation | None = Field(default=None, description="LIBERO-PRO's change of the scene or its words")
    image_noise: float = Field(default=0.0, ge=0, le=255, description='grey levels, standard deviation')
    state_noise: float = Field(default=0.0, ge=0, description="a state's own unit, standard deviation")
    drop_frames: float = Field(default=0.0, ge=0, lt=1, description='probability that a picture is repeated')
    latency: float | None = Field(default=None, ge=0, le=MAX_CHUNK_AGE, description='s; empty: measured')
    execution: Mode = Field(default='synchronous', description='how chunks are executed, as by controller_node')
    actions: int = Field(
        default=0,
        ge=0,
        description='of a chunk before the next is asked for; 0: all that is useful',
    )
    delay: Annotated[str, Field(pattern=r'^\d{1,3}(-\d{1,3})?$')] | None = Field(
        default=None, description='control periods, instead of latency: 4, or 2-6 for each chunk another'
    )
    continuation: Continuation | None = Field(default=None, description="empty: the checkpoint's")
    number_format: Literal['float32', 'bfloat16', 'int8'] = Field(default='float32', description='of large products')
    runtime: Runtime = Field(default='torch', description='what computes the chunks')
    solver: Literal['ddim', 'dpmpp_2m'] | None = Field(default=None, description="empty: the checkpoint's")
    steps: Count | None = Field(default=None, description='denoising steps')
    device: str = Field(default='auto', description='auto, cpu, cuda or cuda:N')
    jobs: Count = Field(default=1, description='processes')
    threads: Count | None = Field(default=None, description='CPU threads per process')
    videos: int = Field(default=1, ge=0, description='films of failures per task')
    through_ros: bool = False
    calvin_data: Path | None = None

    @model_validator(mode='after')
    def _fits_together(self) -> EvaluationSettings:
        if self.rollouts is not None and self.seeds:
            raise ValueError('rollouts and seeds both say how many episodes there are: give one of them')
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f'the seeds {list(self.seeds)} repeat one, which would count an episode twice')
        if self.delay is not None:
            if self.latency is not None:
                raise ValueError('latency and delay both say how long a chunk takes: give one of them')
            if self.delays[1] < self.delays[0]:
                raise ValueError(f'the delay {self.delay!r} ends before it begins')
        if self.actions and self.execution in WHOLE:
            raise ValueError(
                f'actions {self.actions} changes nothing in the execution {self.execution!r}: give it with receding, '
                'realtime or naive'
            )
        if self.through_ros:
            given = [name for name in ('image_noise', 'state_noise', 'drop_frames') if getattr(self, name)]
            given += [] if self.latency is None else ['latency']
            given += ['delay'] if self.delay is not None else []
            given += ['jobs'] if self.jobs > 1 else []
            if given:
                raise ValueError(f'{given[0]} is for episodes in one process: leave it out with through_ros')
        return self

    @property
    def delays(self) -> tuple[int, int]:
        """The shortest and the longest delay, in control periods; a chunk is never played by the tick that asks."""
        first, _, last = (self.delay or '1').partition('-')
        return max(int(first), 1), max(int(last or first), 1)


# What an episode depends on beside its task and seed; the option of each has the same name. Tasks and seeds are not
# among them: an evaluation may be widened.
OF_AN_EPISODE = (
    'suite',
    'goals',
    'perturb',
    'image_noise',
    'state_noise',
    'drop_frames',
    'latency',
    'execution',
    'actions',
    'delay',
    'continuation',
    'number_format',
    'runtime',
    'device',
    'calvin_data',
    'solver',
    'steps',
    'through_ros',
)


def make_settings(**values: Any) -> EvaluationSettings:
    """The settings with these values; UserError names each that cannot be used."""
    return read_values(values, EvaluationSettings, 'The evaluation')


def of_an_episode(settings: EvaluationSettings) -> dict[str, Any]:
    """What must be the same for episodes that are counted together, as plain values."""
    found = {name: getattr(settings, name) for name in OF_AN_EPISODE}
    return {name: str(value) if isinstance(value, Path) else value for name, value in found.items()}


def differing(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """The settings in which two evaluations differ, each as `name A here, B there`.

    What an older evaluation does not tell, it did as is done without being asked.
    """
    fields = EvaluationSettings.model_fields
    usual = {name: fields[name].default for name in OF_AN_EPISODE if name in fields}
    here, there = {**usual, **here}, {**usual, **there}
    return [
        f'{name.replace("_", "-")} is {say(here.get(name))} now and {say(there.get(name))} there'
        for name in sorted({*here, *there})
        if here.get(name) != there.get(name)
    ]


def say(value: Any) -> str:
    """A setting's value for people."""
    return 'not given' if value is None else str(value)


def parse_seeds(texts: Sequence[str]) -> tuple[int, ...]:
    """Seeds from words such as '7' and '0-49', also joined by commas; UserError names what is neither."""
    seeds: list[int] = []
    for text in (part for words in texts for part in words.split(',') if part):
        first, dash, last = text.partition('-')
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise UserError(f'{text!r} names no seeds; give numbers such as 7, or a span such as 0-49.')
        seeds += range(int(first), int(last or first) + 1)
    return tuple(seeds)
