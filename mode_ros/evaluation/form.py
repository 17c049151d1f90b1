"""The evaluation's settings for a form, in a process of its own: its fields, or what is wrong with values.

    python -m mode_ros.evaluation.form                 the fields, as JSON
    python -m mode_ros.evaluation.form < values.json   {"arguments": [...]} of the command, or {"problems": {...}}

The page asks it: evaluating builds on nodes, and the page is a node.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mode_ros.errors import UserError
from mode_ros.evaluation.settings import EvaluationSettings, make_settings, parse_seeds
from mode_ros.forms import WHOLE, describe, problems
from mode_ros.settings import read_yaml
from mode_ros.sim.suites import SUITES

# Paths, and what needs a robot's own domain: not for a form.
APART = ('checkpoint', 'output', 'calvin_data', 'through_ros')
_WORDS = ('tasks', 'seeds')


def fields() -> list[dict[str, Any]]:
    """As mode_ros.forms.describe, with the suites as choices and each field's default as text."""
    shown = [field for field in describe(EvaluationSettings) if field['key'] not in APART]
    for field in shown:
        default = EvaluationSettings.model_fields[field['key']].default
        field['default'] = (
            '' if default in (None, ()) else str(default).lower() if default in (True, False) else default
        )
        if field['key'] == 'suite':
            field |= {'kind': 'choice', 'choices': list(SUITES)}
        if field['key'] in _WORDS:
            field['kind'] = 'text'
    return shown


def judge(values: Mapping[str, str], checkpoint: Path, output: Path) -> dict[str, Any]:
    """What is typed into the form, '' where nothing is: the command's arguments, or the problems by field."""
    shown = {field['key']: field for field in fields()}
    keys = frozenset(shown)
    given: dict[str, Any] = {}
    for key, text in values.items():
        if key not in keys:
            return {'problems': {WHOLE: f'{key} is no setting of an evaluation that is given here.'}}
        if not text.strip():
            continue
        # Nothing that is typed may become another option of the command.
        if any(word.startswith('-') for word in text.replace(',', ' ').split()):
            return {'problems': {key: f'{text!r} begins with a hyphen, which no {key} does.'}}
        if shown[key]['choices'] and text not in shown[key]['choices']:
            return {'problems': {key: f'{text!r} is none of {", ".join(shown[key]["choices"])}.'}}
        try:
            if key == 'seeds':
                given[key] = parse_seeds(text.split())
            elif key == 'tasks':
                given[key] = text.replace(',', ' ').split()
            else:
                given[key] = text if EvaluationSettings.model_fields[key].annotation is str else _value(key, text)
        except UserError as error:
            return {'problems': {key: str(error)}}
    try:
        settings = make_settings(checkpoint=checkpoint, output=output, **given)
    except UserError as error:
        return {'problems': problems(error, EvaluationSettings, keys)}
    return {'arguments': _arguments(values, settings)}


def _value(key: str, text: str) -> Any:
    # A delay such as 2-6 and a number of 4 periods are both words to the settings.
    return text.strip() if key == 'delay' else read_yaml(text, f'The value of {key}')


def _arguments(values: Mapping[str, str], settings: EvaluationSettings) -> list[str]:
    """As typed behind `mode_ros evaluate CHECKPOINT --output OUT`."""
    said: list[str] = []
    for key, text in values.items():
        if text.strip():
            words = text.replace(',', ' ').split() if key in _WORDS else [text.strip()]
            number = getattr(settings, key)
            if type(number) in (int, float):
                words = [repr(number)]  # 50.0, 0x10 and 010 are read by YAML here, and not by the command
            said += [f'--{key.replace("_", "-")}', *words]
    return said


def main() -> None:
    """Reads values from a pipe, and says the fields where there are none."""
    text = '' if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
    if not text:
        print(json.dumps(fields()))
        return
    asked = json.loads(text)
    print(json.dumps(judge(asked['values'], Path(asked['checkpoint']), Path(asked['output']))))


if __name__ == '__main__':
    main()
