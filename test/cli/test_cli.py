"""The command `mode_ros`: verbs, words for mistakes, exit statuses."""

import subprocess
import sys

import numpy as np
import pytest
from support.contracts import ABSOLUTE_TEXT
from support.depth import BOTH

from mode_ros.cli.main import VERBS, build_parser, main
from mode_ros.control.contract import load_contract
from mode_ros.control.observation import Observation
from mode_ros.pairing import load_paired, predict


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, '-m', 'mode_ros', *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        **options,
    )


def test_help_names_every_verb_and_imports_nothing_heavy():
    code = (
        'import sys; from mode_ros.cli.main import build_parser; build_parser().format_help(); '
        'print([m for m in ("torch", "rclpy", "transformers", "mujoco") if m in sys.modules])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'
    for verb in VERBS:
        assert verb in build_parser().format_help()


@pytest.mark.parametrize('verb', VERBS)
def test_every_verb_explains_itself(verb):
    done = run(verb, '--help')
    assert done.returncode == 0
    assert len(done.stdout) > 200


def test_init_then_check(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(['init', 'metaworld_sawyer', str(tmp_path / 'policy')])
    assert ended.value.code == 0
    with pytest.raises(SystemExit) as ended:
        main(['check', 'metaworld_sawyer', '--checkpoint', str(tmp_path / 'policy')])
    assert ended.value.code == 0
    assert 'fits (untrained)' in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(['check', 'libero_panda', '--checkpoint', str(tmp_path / 'policy')])
    assert ended.value.code == 1
    assert "robot: 'libero_panda', not 'metaworld_sawyer'" in capsys.readouterr().err


def test_what_init_makes_for_a_camera_of_depth_predicts(tmp_path):
    contract, policy = tmp_path / 'deep.yaml', tmp_path / 'policy'
    contract.write_text(BOTH)
    with pytest.raises(SystemExit) as ended:
        main(['init', str(contract), str(policy)])
    assert ended.value.code == 0
    images = {'static': np.zeros((32, 32, 3), np.uint8), 'far': np.full((32, 32, 1), 999, np.uint16)}
    loaded = load_paired(str(policy), load_contract(contract), 'cpu')
    chunk = predict(loaded, Observation(0, images, {}), 'open the drawer', np.random.default_rng(0))
    assert chunk.shape == (10, 4)


def test_check_tells_what_looks_like_a_slip(tmp_path, capsys):
    (tmp_path / 'mine.yaml').write_text(ABSOLUTE_TEXT)
    with pytest.raises(SystemExit) as ended:
        main(['check', str(tmp_path / 'mine.yaml')])
    assert ended.value.code == 0, 'it is legal'
    assert '  look at this: b of arm has no max_step' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(['check', 'ros2_control_arm'])
    assert 'look at this' not in capsys.readouterr().out


def test_a_mistake_is_one_sentence_and_status_1():
    done = run('check', 'metaworld_sawyr')
    assert done.returncode == 1
    assert done.stderr.strip().endswith("did you mean 'metaworld_sawyer'?")
    assert 'Traceback' not in done.stderr


def test_a_wrong_command_line_is_status_2():
    assert run('chekc').returncode == 2


def test_keys_in_place_of_the_yaml_may_stand_behind_the_options(monkeypatch):
    from mode_ros.cli import train

    seen = []
    monkeypatch.setattr(train, 'run', lambda parsed: seen.append(parsed.changes) or 0)
    with pytest.raises(SystemExit) as ended:
        main(['train', 'small', 'data.path=drawers', '--output', 'out', 'run.steps=3', '--check', 'run.keep=1'])
    assert ended.value.code == 0
    assert seen == [['data.path=drawers', 'run.steps=3', 'run.keep=1']]


@pytest.mark.parametrize(
    'words', [['train', 'small', '--output', 'out', '--stpes=3'], ['check', 'metaworld_sawyer', 'rate=3']]
)
def test_other_words_too_many_are_refused(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert f'unrecognized arguments: {words[-1]}' in capsys.readouterr().err


def test_progress_in_a_log_is_a_line_now_and_then():
    code = (
        'import io, sys; from mode_ros.cli.main import calm_progress_bars; log = io.StringIO(); '
        'calm_progress_bars(log); from tqdm import tqdm; import time\n'
        'for _ in tqdm(range(30), file=log): time.sleep(0.02)\n'
        'print(log.getvalue().count("\\r"))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 3
