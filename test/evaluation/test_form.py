"""The evaluation's form: what is typed becomes arguments of the command, judged by its own settings."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mode_ros.evaluation.form import APART, fields, judge
from mode_ros.evaluation.settings import EvaluationSettings
from mode_ros.forms import WHOLE

SOMEWHERE = Path('somewhere')


def test_every_setting_is_there_or_left_out_on_purpose():
    shown = {field['key']: field for field in fields()}
    assert set(shown) | set(APART) == set(EvaluationSettings.model_fields)
    assert all(field['words'] for field in shown.values())
    assert 'metaworld-demo' in shown['suite']['choices']


def test_what_is_typed_becomes_the_commands_arguments():
    values = {'suite': 'metaworld-demo', 'tasks': 'reach, door-open', 'seeds': '0-2 7', 'latency': '0.1', 'delay': ''}
    assert judge(values, SOMEWHERE, SOMEWHERE) == {
        'arguments': [
            *('--suite', 'metaworld-demo'),
            *('--tasks', 'reach', 'door-open'),
            *('--seeds', '0-2', '7'),
            *('--latency', '0.1'),
        ]
    }


@pytest.mark.parametrize(('typed', 'said'), [('50.0', '50'), ('0x10', '16'), ('010', '8')])
def test_a_number_is_the_one_that_was_judged(typed, said):
    assert judge({'rollouts': typed}, SOMEWHERE, SOMEWHERE) == {'arguments': ['--rollouts', said]}


@pytest.mark.parametrize(
    ('values', 'key'),
    [
        ({'rollouts': '0'}, 'rollouts'),
        ({'rollouts': 'many'}, 'rollouts'),
        ({'seeds': 'a'}, 'seeds'),
        ({'suite': 'everything'}, 'suite'),
        ({'rollouts': '3', 'seeds': '0-4'}, WHOLE),
        ({'output': '/tmp/elsewhere'}, WHOLE),
        ({'tasks': 'reach --output /tmp/elsewhere'}, 'tasks'),
        ({'suite': '--compare'}, 'suite'),
        ({'device': '-x'}, 'device'),
    ],
)
def test_a_refusal_belongs_to_its_field(values, key):
    assert list(judge(values, SOMEWHERE, SOMEWHERE)['problems']) == [key]


def test_it_answers_in_a_process_of_its_own_without_torch():
    question = json.dumps({'values': {'rollouts': '2'}, 'checkpoint': 'a', 'output': 'b'})
    code = 'import sys; from mode_ros.evaluation.form import main; main(); assert "torch" not in sys.modules'
    done = subprocess.run([sys.executable, '-c', code], input=question, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {'arguments': ['--rollouts', '2']}
