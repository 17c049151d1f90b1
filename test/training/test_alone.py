"""A training keeps a second one out of its folder, before that touches anything."""

from types import SimpleNamespace

import pytest
from support.training_sets import fresh_accelerate

from mode_ros.alone import alone
from mode_ros.errors import UserError
from mode_ros.training import train as module


@pytest.mark.parametrize('resume', [False, True])
def test_a_second_training_in_a_folder_is_refused(tmp_path, monkeypatch, resume):
    fresh_accelerate()
    (tmp_path / 'small.yaml').write_text('data: {path: nothing}\n')
    monkeypatch.setattr(module, 'make_plan', lambda _: SimpleNamespace(findings=()))
    monkeypatch.setattr(module, 'describe', lambda _: '')
    monkeypatch.setattr(module, 'Trainer', lambda *_: SimpleNamespace(train=lambda _: pytest.fail('trained'), step=0))
    out = tmp_path / 'out'
    with alone(out, 'training'):
        (out / 'log.jsonl').write_text('one\n')
        with pytest.raises(UserError, match=f'Another training is running in {out}'):
            module.train(tmp_path / 'small.yaml', [], out, resume, cpu=True)
    assert [path.name for path in out.iterdir()] == ['log.jsonl']
