"""Where the files that come with mode_ros lie: its contracts, settings and launch files.

Standard library only, beside ament_index_python where there is one: launch files import this.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mode_ros.errors import UserError

_PACKAGE = Path(__file__).resolve().parent


def share_folder() -> Path:
    """Return the folder that holds `config/`, `launch/` and `package.xml`.

    That is the checkout when mode_ros runs from one (editable and symlinked installs too), otherwise share/mode_ros
    of the place it was installed in. The files beside the running code come first, so that code never reads the
    contracts of another release that a sourced workspace also offers.

    Raises:
        UserError: none of these places has the files; the message lists them.
    """
    candidates = [
        _PACKAGE.parent,
        # prefix/lib/pythonX.Y/site-packages/mode_ros: a virtual environment, --user, a colcon install space
        *([_PACKAGE.parents[3] / 'share' / 'mode_ros'] if len(_PACKAGE.parents) > 3 else []),
        *_ament_share(),
        Path(sys.prefix) / 'share' / 'mode_ros',
    ]
    for folder in candidates:
        if (folder / 'package.xml').is_file() and (folder / 'config').is_dir():
            return folder
    tried = ', '.join(str(folder) for folder in dict.fromkeys(candidates))
    raise UserError(
        f"mode_ros's config folder was found in none of: {tried}. "
        'Install mode_ros again with pip or colcon; after colcon, source install/setup.bash.'
    )


def shipped_policy(robot: str) -> Path | None:
    """The checkpoint folder in config/policies for the contract of this name; None where there is none."""
    folder = share_folder() / 'config' / 'policies' / robot
    return folder if folder.is_dir() else None


def _ament_share() -> list[Path]:
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
    except ImportError:
        return []
    try:
        return [Path(get_package_share_directory('mode_ros'))]
    except (OSError, PackageNotFoundError):  # OSError: AMENT_PREFIX_PATH is not set
        return []
