"""Trainings from the page: the form, starting, stopping, going on, and what there is to say of each."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from mode_ros.errors import UserError
from mode_ros.forms import WHOLE, describe, problems, texts
from mode_ros.page import jobs, places
from mode_ros.page.named_jobs import NamedJobs, gone
from mode_ros.page.places import Places
from mode_ros.page.run_log import RunLog
from mode_ros.training.settings import TrainSettings, load_train_settings

# Settings that name something on the disk: given as one of the names that the page lists, or not at all.
NAMED = {'data.path': 'data', 'start.checkpoint': 'policies', 'start.encoders': 'policies', 'data.contract': 'robots'}
APART = frozenset({'data.mixture', 'data.cache', 'policy.imagenet_weights', 'policy.text_encoder.source'})
# What the form shows without being asked for more.
FIRST = ('data.path', 'run.steps', 'run.batch_size', 'start.checkpoint')

MAX_TEXT = 300
MAX_LABEL = 60
_COMMENT = re.compile(r'^#\s?(.*)$')


class Trainings:
    """Of one work folder. Methods may be called from any thread, and touch the disk."""

    def __init__(self, places: Places, presets: Path, robots: Path) -> None:
        """presets: folder of training files; robots: of contracts."""
        self._places, self._presets, self._robots = places, presets, robots
        self._jobs = NamedJobs(places.runs, 'train', 'is being trained')
        self._lock = threading.Lock()
        self._logs: dict[str, RunLog] = {}
        self._fields = [field for field in describe(TrainSettings) if field['key'] not in APART]
        self._keys = frozenset(field['key'] for field in self._fields)

    # ---- the form ---------------------------------------------------------------------------------------------

    def form(self) -> dict[str, Any]:
        """`fields` (mode_ros.forms.describe, kind 'name' where one of `names` is chosen), first, presets, names."""
        fields = [
            {**field, 'kind': 'name', 'names': NAMED[field['key']]} if field['key'] in NAMED else field
            for field in self._fields
        ]
        return {'fields': fields, 'first': FIRST, 'presets': self._preset_values(), 'names': self.choices()}

    def _preset_values(self) -> dict[str, dict[str, Any]]:
        """Each training file that comes along, without what it says of the disk."""
        found = {}
        for path in sorted(self._presets.glob('*.yaml')):
            try:
                values = load_train_settings(path).model_dump(mode='json')
            except UserError:  # another kind of file
                continue
            shown = {key: text for key, text in texts(values, self._keys).items() if key not in NAMED}
            found[path.stem] = {'words': _first_words(path), 'values': shown}
        return found

    def choices(self) -> dict[str, dict[str, str]]:
        """What there is now to choose from: of each of `names` the words to each name."""
        sets = self._places.data_sets()
        return {
            'data': {name: f'{name} ({places.describe_data_set(path)})' for name, path in sets.items()},
            'policies': {name: name for name in self._places.all_policies()},
            'robots': {name: name for name in self._known('robots')},
        }

    def check(self, preset: Any, changes: Any) -> tuple[list[str], dict[str, str]]:
        """The arguments of `mode_ros train` for what is typed, and what is wrong with it, by field ({}: nothing)."""
        path = next((each for each in self._presets.glob('*.yaml') if each.stem == preset), None)
        if path is None or not isinstance(changes, dict):
            return [], {WHOLE: 'There is no such preset: choose one of the list.'}
        arguments, wrong = [str(path)], {}
        for key, given in changes.items():
            try:
                arguments.append(self._argument(key, given))
            except UserError as error:
                wrong[key if key in self._keys else WHOLE] = str(error)
        # What the file says of the disk is not shown, so it is not taken either.
        said = yaml.safe_load(path.read_text(encoding='utf-8'))
        arguments += [f'{key}=' for key in (*NAMED, 'data.mixture') if key not in changes and _says(said, key)]
        if not changes.get('data.path') and 'data.path' not in wrong:
            wrong['data.path'] = 'Choose a data set: they are looked for in the folder data of the work folder.'
        if not wrong:
            try:
                load_train_settings(path, arguments[1:])
            except UserError as error:
                wrong = problems(error, TrainSettings, self._keys)
        return arguments, wrong

    def _argument(self, key: Any, text: Any) -> str:
        if key not in self._keys:
            raise UserError(f'{str(key)[:MAX_TEXT]} is no setting that is given here; a training file may have it.')
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise UserError(f'It is longer than {MAX_TEXT} characters: write it into a training file.')
        if key not in NAMED:
            if '&' in text or '\n' in text:
                raise UserError(f'{text!r} has a character that is no part of a value: & or an end of line.')
            return f'{key}={text}'
        known = self._known(NAMED[key])
        if text and text not in known:
            raise UserError(f'{text!r} is not there any more: choose another one.')
        # In quotes, as a folder may have a name that means something in YAML.
        return f'{key}={json.dumps(str(known[text]), ensure_ascii=False)}' if text else f'{key}='

    def _known(self, what: str) -> Mapping[str, Path | str]:
        if what == 'robots':
            return {path.stem: path.stem for path in sorted(self._robots.glob('*.yaml'))}
        return self._places.data_sets() if what == 'data' else self._places.all_policies()

    # ---- what is done -----------------------------------------------------------------------------------------

    def start(self, preset: Any, changes: Any, label: Any) -> tuple[str, dict[str, str]]:
        """Begins a training; its name, or what is wrong, by field."""
        arguments, wrong = self.check(preset, changes)
        if wrong:
            return '', wrong
        words = ' '.join(label.split())[:MAX_LABEL] if isinstance(label, str) else ''
        with self._lock:
            if busy := self._jobs.busy():
                return '', {WHOLE: busy}
            name = self._jobs.new_name()
            command = _train([*arguments, '--output', str(self._places.runs / name)])
            about = {'preset': str(preset), 'label': words}
            problem = self._jobs.begin(name, command, about)
        return ('', {WHOLE: problem}) if problem else (name, {})

    def stop(self, name: str) -> tuple[bool, str]:
        """As Ctrl-C: it saves and can go on later."""
        return jobs.stop(self._jobs.of(name)) if name in self.names() else (False, gone(name))

    def resume(self, name: str) -> tuple[bool, str]:
        """Goes on from the newest checkpoint, with the settings that it began with."""
        if name not in self.names():
            return False, gone(name)
        run = self._places.runs / name
        with self._lock:
            if busy := self._jobs.busy():
                return False, busy
            if (run / places.POLICY).is_dir():
                return False, f'{name} has done all of its steps: begin a new training from its policy.'
            saved = places.checkpoints(run)
            if not (run / places.SETTINGS).is_file():
                return False, f'{name} never began, so there is nothing to go on from: start it anew.'
            command = [str(run / places.SETTINGS), '--output', str(run), *(['--resume'] if saved else [])]
            if problem := self._jobs.begin(name, _train(command), jobs.tell(self._jobs.of(name)).about):
                return False, problem
        return True, f'{name} goes on from {saved[-1].name.replace("_", " ")}.' if saved else f'{name} begins anew.'

    # ---- what is shown ----------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Of all trainings, also such as were started elsewhere, and such as ended before they had a folder."""
        return self._jobs.names(self._places.trainings())

    def lines(self) -> list[dict[str, Any]]:
        """One line for each."""
        with self._lock:
            return [self._line(name) for name in self.names()]

    def one(self, name: str) -> dict[str, Any] | None:
        """The line with curves, by_task, the settings that differ from its preset's, and the policies that it has."""
        if name not in self.names():
            return None
        with self._lock:
            line, log = self._line(name), self._log(name)
            run = self._places.runs / name
            policies = [each for each, path in self._places.all_policies().items() if run in path.parents]
            return {**line, 'curves': log.curves(), 'by_task': log.by_task(), 'policies': policies}

    def _line(self, name: str) -> dict[str, Any]:
        run, told = self._places.runs / name, jobs.tell(self._jobs.of(name))
        log = self._log(name)
        log.read_on()
        done = (run / places.POLICY).is_dir()
        if not told.about and not (self._jobs.of(name) / jobs.JOB).exists():  # started in a terminal
            told = jobs.Told('done' if done else 'elsewhere', '')
        steps = _steps(run)
        can = ['stop'] if told.state == 'running' else ['resume'] if not told.alive and not done and steps else []
        if told.state == 'elsewhere':
            can = []
        label, preset = told.about.get('label', ''), told.about.get('preset', '')
        return {
            'name': name,
            'label': label,
            'preset': preset,
            'state': told.state,
            'words': told.words,
            'can': can,
            **log.now(steps),
        }

    def _log(self, name: str) -> RunLog:
        return self._logs.setdefault(name, RunLog(self._places.runs / name / places.LOG))


def _train(arguments: list[str]) -> list[str]:
    return [sys.executable, '-m', 'mode_ros', 'train', *arguments]


def _steps(run: Path) -> int | None:
    try:
        return _steps_of(run / places.SETTINGS, (run / places.SETTINGS).stat().st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=1024)
def _steps_of(path: Path, changed: int) -> int | None:
    """Once for each that is written: the process that parses it also drives."""
    try:
        return int(yaml.safe_load(path.read_text(encoding='utf-8'))['run']['steps'])
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return None


def _says(found: Any, key: str) -> bool:
    """Whether what a training file says has a value for a setting such as `data.path`."""
    for name in key.split('.'):
        found = found.get(name) if isinstance(found, dict) else None
    return bool(found)


def _first_words(path: Path) -> str:
    """The comment that a training file begins with, without the commands in it."""
    words = []
    for line in path.read_text(encoding='utf-8').splitlines():
        found = _COMMENT.match(line)
        if found is None or found[1].startswith('  '):
            break
        words.append(found[1].strip())
    return ' '.join(words)
