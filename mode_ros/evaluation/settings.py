"""What is evaluated and how; and which of it makes two episodes comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mode_ros.errors import UserError
from mode_ros.evaluation.rollout import MAX_CHUNK_AGE
from mode_ros.settings import read_values

Goals = Literal['trained', 'held-out']
Perturbation = Literal['language', 'object', 'position', 'task']
Count = Annotated[int, Field(ge=1)]


class EvaluationSettings(BaseModel):
    """One evaluation. Empty or None: the suite's, the checkpoint's or the machine's own choice."""

    model_config = ConfigDict(frozen=True, extra='forbid')

    checkpoint: Path
    output: Path
    suite: str = 'metaworld-demo'
    tasks: tuple[str, ...] = ()
    rollouts: Count | None = Field(default=None, description='episodes per task')
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(), description='initial states, instead')
    goals: Goals = 'trained'
    perturb: Perturbation | None = Field(default=None, description="LIBERO-PRO's change of the scene or its words")
    image_noise: float = Field(default=0.0, ge=0, le=255, description='grey levels, standard deviation')
    state_noise: float = Field(default=0.0, ge=0, description="a state's own unit, standard deviation")
    drop_frames: float = Field(default=0.0, ge=0, lt=1, description='probability that a picture is repeated')
    latency: float | None = Field(default=None, ge=0, le=MAX_CHUNK_AGE, description='s; None: measured')
    number_format: Literal['float32', 'bfloat16', 'int8'] = 'float32'
    solver: Literal['ddim', 'dpmpp_2m'] | None = None
    steps: Count | None = Field(default=None, description='denoising steps')
    device: str = 'auto'
    jobs: Count = 1
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
        if self.through_ros:
            given = [name for name in ('image_noise', 'state_noise', 'drop_frames') if getattr(self, name)]
            given += [] if self.latency is None else ['latency']
            given += ['jobs'] if self.jobs > 1 else []
            if given:
                raise ValueError(f'{given[0]} is for episodes in one process: leave it out with through_ros')
        return self


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
    'number_format',
    'solver',
    'steps',
    'through_ros',
)


def make_settings(**values: Any) -> EvaluationSettings:
    """The settings with these values; UserError names each that cannot be used."""
    return read_values(values, EvaluationSettings, 'The evaluation')


def of_an_episode(settings: EvaluationSettings) -> dict[str, Any]:
    """What must be the same for episodes that are counted together, as plain values."""
    return {name: getattr(settings, name) for name in OF_AN_EPISODE}


def differing(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """The settings in which two evaluations differ, each as `name A here, B there`."""
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
