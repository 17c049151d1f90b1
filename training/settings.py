"""What a training is told: one YAML file, validated as a whole before anything starts.

Any key can be given on the command line in its place, as `optimizer.learning_rate=3e-4`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from mode_ros.errors import UserError
from mode_ros.policy.config import (
    DenseWidth,
    DiffusionConfig,
    FilmBegins,
    ImageEncoderConfig,
    Initialisation,
    NoiseConditioning,
    Normalization,
    RoutingKind,
    TextEncoderConfig,
    check_alternatives,
    check_committed,
)
from mode_ros.settings import read_text, read_values, read_yaml
from mode_ros.training.weighting import PolicyFrames

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]

DEFAULT_SHIFTS: Mapping[str, float] = {'wrist': 4 / 224}
"""A camera of a usual name is shifted less; a robot need not have one."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra='forbid', protected_namespaces=())


class DataSettings(_Settings):
    """Which demonstrations, and how they are shown."""

    path: str = Field(default='', description='folder of a data set, as `mode_ros convert` writes it')
    mixture: str = Field(default='', description='instead of path: a YAML file of several data sets with weights')
    contract: str = Field(default='', description="name or path of the robot's contract, for data that carry none")
    cache: Annotated[str | None, AfterValidator(lambda text: text or None)] = Field(
        default=None, description='folder of decoded pictures; empty: inside the data set'
    )
    pictures: Literal['cache', 'device'] = Field(
        default='cache',
        description='where they are picked from: the decoded files, or a copy of all in the memory of the GPU',
    )
    keep_failures: bool = Field(default=False, description='learn from episodes that are marked as failures, too')
    validation_share: Share = Field(default=0.1, description="share of each task's episodes that are held out")
    shift: Mapping[str, float] = Field(
        default_factory=lambda: dict(DEFAULT_SHIFTS),
        description='largest random shift of a camera by name; others have default_shift. Below 0.5 it is a share of '
        'the image, a whole number is in pixels',
    )
    default_shift: float = Field(default=10 / 224, ge=0, description='as shift, for cameras it does not name')
    brightness: Share = Field(default=0.0, description='largest random change of it, as a share; 0: none')
    contrast: Share = Field(default=0.0, description='as brightness')
    saturation: Share = Field(default=0.0, description='as brightness')
    intervention_weight: float = Field(
        default=1.0,
        gt=0,
        le=1000,
        description='how often a frame counts that a person drove to correct the policy, relative to any other of its '
        'data set; between the data sets of a mixture their own weights decide',
    )
    policy_frames: PolicyFrames = Field(
        default='successful',
        description='frames that the policy drove where a person corrected it: all, those of spans that did not fail, '
        'or none',
    )

    @model_validator(mode='after')
    def _fits_together(self) -> DataSettings:
        if bool(self.path) == bool(self.mixture):
            raise ValueError('give either path, a data set, or mixture, a file of several (data.path= empties it)')
        every = {**self.shift, 'default_shift': self.default_shift}
        wrong = {name: shift for name, shift in every.items() if not 0 <= shift < 0.5 and (shift < 1 or shift % 1)}
        if wrong:
            raise ValueError(
                f'shift must lie between 0 and 0.5 of the image, or be a whole number of pixels, and {wrong} does not'
            )
        return self

    @property
    def colours(self) -> tuple[float, float, float]:
        """The largest changes of brightness, contrast and saturation."""
        return self.brightness, self.contrast, self.saturation

    def shift_in_pixels(self, camera: str, width: int) -> int:
        """The largest shift of a camera whose pictures are `width` wide."""
        shift = self.shift.get(camera, self.default_shift)
        return round(shift * width) if shift < 0.5 else int(shift)


class PolicySettings(_Settings):
    """The network, apart from what the robot contract decides (cameras, action and state sizes)."""

    chunk_length: Count = Field(default=10, description='actions in one chunk (A)')
    embed_dim: Count = Field(default=256, description='token width (D)')
    layers: Count = Field(default=6, description='transformer blocks (L)')
    heads: Count = Field(default=8, description='attention heads (H)')
    experts: Count = Field(default=4, description='experts in each block (E)')
    top_k: Count = Field(default=2, description='experts used per token (k)')
    attention_dropout: Share = Field(default=0.3, description='share of the attention weights set to 0 in training')
    expert_dropout: Share = Field(default=0.1, description='as attention_dropout, of what an expert computes')
    routing: RoutingKind = Field(default='noise', description='what chooses the experts; dense: one network for all')
    dense_width: DenseWidth = Field(default='total', description='dense only: as wide as all experts, or as k of them')
    shared_expert: bool = Field(default=False, description='one more expert, which every token uses')
    selection_bias: bool = Field(
        default=False, description='a bias for each expert on which are taken, which loss.bias_rate moves'
    )
    noise_token: bool = Field(default=True, description='the noise level as the first token')
    noise_conditioning: NoiseConditioning = Field(
        default='attention', description='how the noise level enters attention: added, not at all, or scale and shift'
    )
    max_committed: int = Field(
        default=0, ge=0, description='train to continue up to so many first actions that are already decided (d_max)'
    )
    states: tuple[str, ...] | Literal['all'] = Field(
        default=(), description="the contract's state streams that the policy sees; a robot without cameras: all"
    )
    initialisation: Initialisation = Field(
        default='published', description='random weights as MoDE begins with, or all with a deviation of 0.02'
    )
    film_begins: FilmBegins | None = Field(
        default=None, description="resnet18's FiLM: random (published) or identity; null: as initialisation has it"
    )
    image_encoder: ImageEncoderConfig = ImageEncoderConfig()
    image_sizes: Mapping[str, Annotated[int, Field(ge=32)]] = Field(
        default_factory=dict, description="rows and columns of a camera's picture for the network, where not its own"
    )
    imagenet_weights: str = Field(default='', description="file of torchvision's ImageNet weights to start from")
    text_encoder: TextEncoderConfig = TextEncoderConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    action_normalization: Normalization | Literal['limits'] = Field(
        default='min_max',
        description="how actions are scaled; none: not at all; limits: by the contract's, to -1 and 1",
    )
    state_normalization: Normalization = Field(default='mean_std', description='how state numbers are scaled')

    @model_validator(mode='after')
    def _fits_together(self) -> PolicySettings:
        if self.top_k > self.experts:
            raise ValueError(f'top_k is {self.top_k}, but there are only {self.experts} experts: lower top_k')
        if self.embed_dim % self.heads:
            raise ValueError(f'embed_dim {self.embed_dim} cannot be divided into {self.heads} heads')
        check_committed(self.max_committed, self.chunk_length)
        check_alternatives(
            self.routing, self.shared_expert, self.noise_token, self.noise_conditioning, self.selection_bias
        )
        if self.dense_width != 'total' and self.routing != 'dense':
            raise ValueError(
                f'dense_width {self.dense_width} is of routing dense, and this is {self.routing}: set routing to '
                'dense, or leave dense_width out'
            )
        if self.film_begins == 'random' and self.image_encoder.architecture != 'resnet18':
            raise ValueError(
                f'film_begins random is of resnet18, and the FiLM of {self.image_encoder.architecture} begins as the '
                'identity: leave film_begins out'
            )
        return self


class LossSettings(_Settings):
    """What is minimised (MoDE, sections 3.1 and 3.2)."""

    balancing: float = Field(default=0.01, ge=0, le=1, description='weight of the load-balancing loss (gamma)')
    balancing_by: Literal['softmax', 'selected'] = Field(
        default='softmax',
        description="the p of E·Σ f·p: the router's probabilities (the paper), or the selected's weights (its code)",
    )
    bias_rate: float = Field(
        default=0.0,
        ge=0,
        le=0.1,
        description='how far a step moves policy.selection_bias towards an even load (loss-free balancing: 0.001)',
    )
    draws: Literal['token', 'sample'] = Field(
        default='token', description='what draws its own experts; routers that look at tokens always draw for each'
    )
    goal_dropout: Share = Field(default=0.1, description='share of the goals, or of their numbers, that are set to 0')
    goal_dropped: Literal['numbers', 'whole'] = Field(
        default='numbers',
        description='numbers: each by itself, for the denoiser alone (published); whole: also for the image encoders',
    )
    sigma_scale: float = Field(default=0.5, gt=0, description='scale of the log-logistic noise levels')
    padding: Literal['hold', 'mask', 'repeat', 'none'] = Field(
        default='hold',
        description='after the end of a demonstration: learn to stand still (hold), to repeat the last action as it is '
        '(repeat; LIBERO as published), nothing (mask), or take no chunk that reaches there (none; CALVIN)',
    )


class OptimizerSettings(_Settings):
    """AdamW, and how its learning rate goes: warm-up, hold, cosine."""

    learning_rate: float = Field(default=1e-4, gt=0, description='the highest, after the warm-up')
    betas: tuple[Share, Share] = Field(default=(0.9, 0.95), description="decay of AdamW's two running means")
    weight_decay: float = Field(default=0.05, ge=0, description="AdamW's, relative to the learning rate")
    decay_reaches: Literal['matrices', 'all_but_biases'] = Field(
        default='matrices',
        description='matrices: no bias, gain or position; all_but_biases: those too, and all of the image encoders '
        '(published)',
    )
    clip: float = Field(default=1.0, ge=0, description='largest norm of the gradient; 0: not clipped (published)')
    schedule_steps: int | None = Field(
        default=None, ge=1, description='steps over which the rate goes, not fewer than run.steps; null: run.steps'
    )
    warmup: Share = Field(default=0.02, description='share of those steps in which the rate rises')
    warmup_from: float = Field(default=0.1, gt=0, le=1, description='where it starts, relative to learning_rate')
    hold: Share = Field(default=0.08, description='share of those steps at learning_rate')
    final: float = Field(default=1e-6, gt=0, le=1, description='where the cosine ends, relative to learning_rate')
    ema_decay: Share = Field(default=0.999, description='of the averaged weights, which are what is kept; at most')
    ema_form: Literal['constant', 'power'] = Field(
        default='constant', description='constant after a short rise, or 1 − (1 + n)^(−2/3) after n steps (published)'
    )

    @model_validator(mode='after')
    def _fits_together(self) -> OptimizerSettings:
        if self.warmup + self.hold >= 1:
            raise ValueError(f'warmup {self.warmup} and hold {self.hold} leave no step for the decay')
        return self


class StartSettings(_Settings):
    """Where the weights come from."""

    checkpoint: str = Field(default='', description='a checkpoint folder, also an imported one; empty: random weights')
    encoders: str = Field(
        default='', description='a checkpoint, also of another robot, that gives its image encoders and nothing else'
    )
    statistics: Literal['data', 'checkpoint'] = Field(
        default='data',
        description="numbers are scaled by the data's statistics, or as before by those of the checkpoint begun from",
    )
    freeze_routers: bool = Field(default=False, description='keep its routing; experts are still drawn by it')

    @model_validator(mode='after')
    def _fits_together(self) -> StartSettings:
        if self.statistics == 'checkpoint' and not self.checkpoint:
            raise ValueError('statistics are to be those of a checkpoint, and none is given')
        if self.freeze_routers and not self.checkpoint:
            raise ValueError('freeze_routers keeps the routing of a checkpoint, and none is given')
        if self.encoders and self.checkpoint:
            raise ValueError('checkpoint gives the image encoders, too: leave encoders out')
        return self


class RunSettings(_Settings):
    """How long, how much at once, and what is written when."""

    steps: Count = Field(default=20_000, description='optimiser steps')
    batch_size: Count = Field(default=64, description='samples per optimiser step, over all processes')
    accumulate: Count = Field(default=1, description='parts in which a step is computed, one after the other')
    shard: bool = Field(default=False, description='spread weights and optimiser over the processes (FSDP)')
    precision: Literal['float32', 'bfloat16'] = Field(default='float32', description='of products and convolutions')
    recorded: bool = Field(
        default=False,
        description='on one GPU: record a step once and replay it, which is faster where launching bounds it',
    )
    seed: int = Field(default=0, ge=0, description='of the weights, the batches and everything else that is drawn')
    log_every: Count = Field(default=20, description='steps between two lines of the log')
    validate_every: Count = Field(default=1000, description='steps between two validations')
    validation_samples: Count = Field(default=256, description='held-out moments, spread over the tasks')
    checkpoint_minutes: float = Field(default=10.0, gt=0, description='between two checkpoints to go on from')
    keep: Count = Field(default=2, description='newest checkpoints that are kept, besides the best')

    @model_validator(mode='after')
    def _fits_together(self) -> RunSettings:
        if self.batch_size % self.accumulate:
            raise ValueError(f'batch_size {self.batch_size} cannot be cut into {self.accumulate} equal parts')
        if self.recorded and (self.accumulate > 1 or self.shard):
            which = 'accumulate 1' if self.accumulate > 1 else 'shard false'
            raise ValueError(f'recorded takes a whole step on one GPU: set {which}, or recorded to false')
        return self


class TrainSettings(_Settings):
    """A whole training."""

    data: DataSettings
    policy: PolicySettings = PolicySettings()
    loss: LossSettings = LossSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    start: StartSettings = StartSettings()
    run: RunSettings = RunSettings()

    @model_validator(mode='after')
    def _fits_together(self) -> TrainSettings:
        if self.start.encoders and self.policy.imagenet_weights:
            raise ValueError('start.encoders and policy.imagenet_weights both give the image encoders: leave one out')
        if self.start.checkpoint and self.policy.imagenet_weights:
            raise ValueError('start.checkpoint gives the image encoders, too: leave policy.imagenet_weights out')
        if self.start.freeze_routers and self.loss.balancing:
            raise ValueError('frozen routers cannot be balanced: set loss.balancing to 0')
        if self.loss.bias_rate and not self.policy.selection_bias:
            raise ValueError(
                'loss.bias_rate moves policy.selection_bias, and there is none: set that to true, or bias_rate to 0'
            )
        if self.policy.selection_bias and not self.loss.bias_rate and not self.start.checkpoint:
            raise ValueError(
                'policy.selection_bias stays 0 where loss.bias_rate does not move it: set that to 0.001, or '
                'selection_bias to false'
            )
        if self.start.freeze_routers and self.loss.bias_rate:
            raise ValueError('frozen routers cannot be balanced: set loss.bias_rate to 0')
        begun = not self.start.checkpoint and self.policy.initialisation == 'published'
        if begun and self.loss.goal_dropout and self.loss.goal_dropped == 'whole':
            raise ValueError(
                'policy.initialisation published begins with positions of zero, so that a goal that is dropped whole '
                'would be a token of zeros, whose gradient through its norm is a thousand times too large: set '
                'loss.goal_dropped to numbers, or policy.initialisation to small'
            )
        length = self.optimizer.schedule_steps
        if length is not None and length < self.run.steps:
            raise ValueError(
                f'optimizer.schedule_steps {length} ends before run.steps {self.run.steps}, and nothing would be '
                'learnt after it: raise the one or lower the other'
            )
        if self.loss.balancing and self.loss.balancing_by == 'selected' and self.policy.routing == 'expert_choice':
            raise ValueError(
                'routing expert_choice selects no experts for a token: set loss.balancing_by to softmax, or '
                'loss.balancing to 0'
            )
        if self.start.freeze_routers and self.policy.routing == 'dense':
            raise ValueError('routing dense has no routers to freeze: set start.freeze_routers to false')
        return self

    def to_yaml(self) -> str:
        """Every key with its value, to train the same again."""
        return yaml.safe_dump(self.model_dump(mode='json'), sort_keys=False)


# What trainings did before there was a key for it.
_BEFORE = {
    'data': {'policy_frames': 'all'},
    'policy': {'initialisation': 'small'},
    'loss': {'draws': 'sample', 'goal_dropped': 'whole'},
}


def as_begun(values: Mapping[str, Any]) -> dict[str, Any]:
    """Stored settings, by section, with the keys that did not exist when they were stored."""
    return {name: {**_BEFORE.get(name, {}), **section} for name, section in values.items()}


def load_train_settings(path: Path | str, changes: Sequence[str] = ()) -> TrainSettings:
    """The settings in a YAML file, with changes such as 'run.steps=100' in place of its own.

    Paths of data are relative to the folder one is in. Raises UserError that names each key that does not fit.
    """
    what = f'The training {path}'
    values = read_yaml(read_text(path, 'The training'), what)
    if not isinstance(values, dict):
        raise UserError(f'{what} is no mapping; it must have the key data, and may have {_sections()}.')
    for change in changes:
        _put(values, change)
    return read_values(values, TrainSettings, what)


def _sections() -> str:
    return ', '.join(name for name in TrainSettings.model_fields if name != 'data')


def _put(values: dict[str, Any], change: str) -> None:
    """Set the key that `change`, 'a.b=value', names."""
    key, sign, text = change.partition('=')
    if not sign or not key:
        raise UserError(f'{change!r} changes no setting; write a key and its value, as optimizer.learning_rate=3e-4.')
    place = values
    *sections, last = key.split('.')
    for section in sections:
        if place.get(section) is None:  # also a section that the file leaves empty
            place[section] = {}
        below = place[section]
        if not isinstance(below, dict):
            raise UserError(f'{change!r} changes no setting: {section} is {below!r}, and has no keys.')
        place = below
    if not text:
        place[last] = ''
    elif _is_words(key):
        place[last] = _words(text)
    else:
        place[last] = _number(read_yaml(text, f'The value of {key}'))


def _is_words(key: str) -> bool:
    """Whether a setting is a text, such as a folder, whose name may be a date or a number."""
    model: Any = TrainSettings
    for name in key.split('.'):
        field = getattr(model, 'model_fields', {}).get(name)
        if field is None:
            return False
        model = field.annotation
    return model in (str, str | None)


def _words(text: str) -> str:
    """As YAML has it where that is a text (quotes go, `null` is none), else as it was typed; ~/ is the home."""
    found = read_yaml(text, 'The value')
    words = found if isinstance(found, str) else '' if found is None else text
    return str(Path(words).expanduser()) if words.startswith('~/') else words


def _number(value: Any) -> Any:
    """YAML takes 3e-4 for a word, because it wants a point and a sign: 3.0e-4."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
