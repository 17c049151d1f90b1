"""What a scene file of LIBERO says of its task: known in milliseconds, where the scene takes seconds to build."""

from collections.abc import Mapping
from typing import Any

from mode_ros.sim.libero_expert_scene import read_goals


class LiberoProblem:
    """The goals of a task and the categories of what they name, as `Kinds`."""

    def __init__(self, parsed: Mapping[str, Any]) -> None:
        """parsed: of the benchmark's parser, with objects and fixtures by category, regions and goal_state."""
        categories = [*parsed['objects'].items(), *parsed['fixtures'].items()]
        self._kinds: dict[str, str] = {name: kind for kind, names in categories for name in names}
        self._owners: dict[str, str] = {name: region['target'] for name, region in parsed['regions'].items()}
        self.goals = read_goals(parsed)

    def kind(self, name: str) -> str:
        """As in `Kinds`."""
        return self._kinds[name]

    def place_kind(self, name: str) -> str:
        """As in `Kinds`."""
        if name in self._kinds:
            return self.kind(name)
        owner = self._owners[name]
        return f'{self.kind(owner)}/{name.removeprefix(f"{owner}_")}'
