"""`mode_ros export`: a policy in half the bytes."""

import numpy as np
import pytest
import torch

from mode_ros.cli.main import main
from mode_ros.pairing import make_untrained
from mode_ros.policy.checkpoint import load_checkpoint
from mode_ros.policy.policy import Policy
from mode_ros.robots import load_named_contract


@pytest.fixture(scope='module')
def policy_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('policies') / 'whole'
    make_untrained(*load_named_contract('metaworld_sawyer'), seed=0).save(folder)
    (folder / 'README.md').write_text('# A card\n')
    return folder


def export(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(['export', *map(str, arguments)])
    return ended.value.code


def test_half_the_bytes_and_nearly_the_same_chunk(policy_folder, tmp_path):
    target = tmp_path / 'half'
    assert export(policy_folder, target) == 0
    sizes = [(folder / 'weights.safetensors').stat().st_size for folder in (policy_folder, target)]
    assert sizes[1] / sizes[0] == pytest.approx(0.5, abs=0.01)
    assert (target / 'README.md').read_text() == '# A card\n'
    (info, whole), (copied, half) = load_checkpoint(policy_folder), load_checkpoint(target)
    assert copied == info
    for (name, theirs), ours in zip(whole.state_dict().items(), half.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs.to(torch.bfloat16).to(theirs.dtype), msg=name)
    chunks = []
    for folder in (policy_folder, target):
        policy = Policy.load(folder, device='cpu')
        images = {
            camera.name: np.full((camera.height, camera.width, 3), 90, np.uint8) for camera in info.config.cameras
        }
        chunks.append(policy.predict(images, None, 'open the drawer', torch.Generator().manual_seed(0)))
    assert np.abs(chunks[0] - chunks[1]).max() < 0.05 * np.std(chunks[0])


def test_a_policy_is_not_written_over_itself(policy_folder, capsys):
    assert export(policy_folder, policy_folder) == 1
    assert 'give another folder' in capsys.readouterr().err


def test_the_copy_samples_as_it_is_told(policy_folder, tmp_path, capsys):
    assert export(policy_folder, tmp_path / 'fast', '--steps', '4', '--solver', 'dpmpp_2m') == 0
    (info, _), (copied, _) = load_checkpoint(policy_folder), load_checkpoint(tmp_path / 'fast')
    assert (copied.config.diffusion.steps, copied.config.diffusion.solver) == (4, 'dpmpp_2m')
    diffusion = info.config.diffusion.model_copy(update={'steps': 4, 'solver': 'dpmpp_2m'})
    assert copied.config == info.config.model_copy(update={'diffusion': diffusion})
    assert export(policy_folder, tmp_path / 'none', '--steps', '0') == 1
    assert 'not 0' in capsys.readouterr().err
    assert not (tmp_path / 'none').exists()
