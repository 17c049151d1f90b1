"""The shared memory that a benchmark's publisher of pictures has: config/fastdds.xml, or Fast DDS's own."""

from __future__ import annotations

from collections.abc import Mapping

from mode_ros.paths import share_folder

# Fast DDS reads its settings from the file that this variable names.
_PROFILE = 'FASTRTPS_DEFAULT_PROFILES_FILE'


def with_transport(environment: Mapping[str, str], large: bool) -> dict[str, str]:
    """The environment of the publisher's process. large: with room for pictures."""
    made = {name: value for name, value in environment.items() if name != _PROFILE}
    return made | ({_PROFILE: str(share_folder() / 'config' / 'fastdds.xml')} if large else {})
