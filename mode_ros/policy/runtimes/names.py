"""What a runtime may be called, wherever one is asked for. Imports nothing, so that a command's help may."""

from typing import Literal, get_args

Runtime = Literal['auto', 'torch', 'onnxruntime', 'openvino']
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
