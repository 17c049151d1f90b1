"""ROS messages as bytes without rclpy and its middleware: rosbags writes the same CDR as they would send."""

from __future__ import annotations

from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_typestore


class Wire:
    """Serialises messages of standard types."""

    def __init__(self) -> None:
        self._types = get_typestore(Stores.ROS2_HUMBLE)

    def encode(self, message: Any, message_type: str) -> bytes:
        """The CDR bytes of a ROS message; message_type: such as 'sensor_msgs/msg/Image'."""
        return bytes(self._types.serialize_cdr(self._translated(message, message_type), message_type))

    def _translated(self, message: Any, message_type: str) -> Any:
        """The same message in the library's classes, which hold numbers in NumPy arrays."""
        fields = self._types.fielddefs[message_type][1]
        return self._types.types[message_type](
            **{name: self._value(getattr(message, name), description) for name, description in fields}
        )

    def _value(self, value: Any, description: Any) -> Any:
        kind, detail = description
        if kind == Nodetype.NAME:
            return self._translated(value, detail)
        if kind == Nodetype.BASE:
            return value
        (item_kind, item), _ = detail
        if item_kind == Nodetype.NAME:
            return [self._translated(each, item) for each in value]
        return list(value) if item[0] == 'string' else np.asarray(value, dtype=item[0])
