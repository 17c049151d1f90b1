"""Evaluations from the page: the form, starting, stopping, going on, results and films."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mode_ros.errors import UserError
from mode_ros.forms import WHOLE
from mode_ros.page import jobs, places
from mode_ros.page.named_jobs import NamedJobs, gone
from mode_ros.page.places import Places
from mode_ros.page.trainings import MAX_TEXT

FORM_SECONDS = 60.0
FILM, POSTER = '.mp4', '.jpg'


class Evaluations:
    """Of one work folder. Methods may be called from any thread, and touch the disk."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._jobs = NamedJobs(places.evaluations, 'evaluation', 'still runs')
        self._lock = threading.Lock()
        self._fields: list[dict[str, Any]] | None = None

    def form(self) -> dict[str, Any]:
        """`fields`, as mode_ros.evaluation.form has them. Raises UserError where it does not run."""
        if self._fields is None:
            self._fields = _ask_form('')
        return {'fields': self._fields}

    def start(self, policy: Any, values: Any) -> tuple[str, dict[str, str]]:
        """Begins an evaluation of a policy; its name, or what is wrong, by field."""
        folder = self._places.all_policies().get(policy) if isinstance(policy, str) else None
        if folder is None:
            return '', {'policy': 'Choose a policy: those of the trainings and such as come along are listed.'}
        if not isinstance(values, dict) or not all(
            isinstance(key, str) and isinstance(text, str) and len(text) <= MAX_TEXT for key, text in values.items()
        ):
            return '', {WHOLE: f'A value is no text, or longer than {MAX_TEXT} characters.'}
        with self._lock:
            if busy := self._jobs.busy():
                return '', {WHOLE: busy}
            name = self._jobs.new_name()
            out = self._places.evaluations / name
            try:
                found = _ask_form(json.dumps({'values': values, 'checkpoint': str(folder), 'output': str(out)}))
            except UserError as error:
                return '', {WHOLE: str(error)}
            if 'problems' in found:
                return '', dict(found['problems'])
            command = [str(folder), '--output', str(out), *found['arguments']]
            problem = self._jobs.begin(name, _evaluate(command), {'policy': policy, 'arguments': command})
        return ('', {WHOLE: problem}) if problem else (name, {})

    def stop(self, name: str) -> tuple[bool, str]:
        """What is finished is kept."""
        return jobs.stop(self._jobs.of(name)) if name in self.names() else (False, gone(name))

    def resume(self, name: str) -> tuple[bool, str]:
        """Runs what is missing."""
        if name not in self.names():
            return False, gone(name)
        with self._lock:
            if busy := self._jobs.busy():
                return False, busy
            about = jobs.tell(self._jobs.of(name)).about
            if 'arguments' not in about:
                return False, f'{name} was not started here: go on with the command that it was started with.'
            problem = self._jobs.begin(name, _evaluate(list(about['arguments'])), about)
        return not problem, problem or f'{name} goes on.'

    def names(self) -> list[str]:
        return self._jobs.names(self._places.evaluated())

    def lines(self) -> list[dict[str, Any]]:
        """One line for each: name, policy, suite, state, words, done (episodes), solved, can."""
        return [self._line(name) for name in self.names()]

    def one(self, name: str) -> dict[str, Any] | None:
        """The line with tasks (rates with their intervals), mean, and films."""
        if name not in self.names():
            return None
        results = _read(self._places.evaluations / name / places.RESULTS)
        rows = [
            {key: each.get(key) for key in ('task', 'successes', 'rollouts', 'rate', 'low', 'high')}
            for each in [*results.get('tasks', []), *([{'task': 'all', **results['mean']}] if results else [])]
        ]
        films = [path.stem for path in sorted(self._films(name).glob(f'*{FILM}')) if not path.name.startswith('.')]
        return {**self._line(name), 'rows': rows, 'films': films, 'intervals': results.get('intervals', '')}

    def film(self, name: str, film: str, kind: str) -> Path | None:
        """A film, or the picture that stands for it; None for what is not there."""
        if name not in self._places.evaluated():
            return None
        return next((path for path in self._films(name).glob(f'*{kind}') if path.stem == film), None)

    def _line(self, name: str) -> dict[str, Any]:
        out, told = self._places.evaluations / name, jobs.tell(self._jobs.of(name))
        settings, episodes = _read(out / 'settings.json'), _lines(out / 'episodes.jsonl')
        results = (out / places.RESULTS).is_file()
        if not (self._jobs.of(name) / jobs.JOB).exists():
            told = jobs.Told('done' if results else 'elsewhere', '')
        checkpoint = settings.get('checkpoint', {})
        return {
            'name': name,
            'policy': told.about.get('policy') or Path(str(checkpoint.get('folder', '?'))).name,
            'suite': settings.get('settings', {}).get('suite', ''),
            'state': told.state,
            'words': told.words,
            'done': len(episodes),
            'solved': sum(bool(episode.get('success')) for episode in episodes),
            'can': ['stop']
            if told.state == 'running'
            else ['resume']
            if not told.alive and not results and 'arguments' in told.about
            else [],
        }

    def _films(self, name: str) -> Path:
        return self._places.evaluations / name / places.FILMS


def _evaluate(arguments: list[str]) -> list[str]:
    return [sys.executable, '-m', 'mode_ros', 'evaluate', *arguments]


def _ask_form(question: str) -> Any:
    command = [sys.executable, '-m', 'mode_ros.evaluation.form']
    try:
        found = subprocess.run(
            command,
            input=question,
            capture_output=True,
            text=True,
            timeout=FORM_SECONDS,
            env=jobs.child_environment(),
        )
        return json.loads(found.stdout)
    except subprocess.TimeoutExpired:
        raise UserError(f'The form of evaluations has not answered for {FORM_SECONDS:g} s: try again.') from None
    except (OSError, ValueError) as error:
        last = (found.stderr.strip().splitlines() or [str(error)])[-1] if 'found' in locals() else str(error)
        raise UserError(f'Evaluating does not work here: {last}') from error


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _lines(path: Path) -> list[Mapping[str, Any]]:
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # being written
    return found
