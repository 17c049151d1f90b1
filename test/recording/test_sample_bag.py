"""The sample bags: what a user of the converter finds in them, and that they stay small."""

from pathlib import Path

import pytest
from rosbags.highlevel import AnyReader

from mode_ros.recording.episode import INTERVENTION_TOPIC, Episode, absolute_topic
from mode_ros.recording.topics import recorded_topics

FOLDER = Path(__file__).resolve().parents[1] / 'data' / 'sample_bag'
BAGS = sorted(FOLDER.glob('episode_*'))


def test_there_are_two_and_they_are_small():
    assert [bag.name for bag in BAGS] == ['episode_000000', 'episode_000001']
    assert sum(path.stat().st_size for bag in BAGS for path in bag.iterdir()) < 2_000_000


@pytest.mark.parametrize('bag', BAGS, ids=[bag.name for bag in BAGS])
def test_a_sample_is_a_whole_episode(bag):
    with AnyReader([bag]) as reader:
        episode = Episode.from_custom_data(reader.readers[0].storage.metadata.custom, bag.name)
        assert episode.contract_text == (FOLDER / 'contract.yaml').read_text()
        assert (episode.goal, episode.drops, episode.recovered) == ('open the drawer', {}, '')
        assert episode.success is (bag.name == 'episode_000000')
        contract = episode.contract(bag.name)
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
        seconds = reader.duration / 1e9
        for topic in recorded_topics(contract):
            if topic.max_age is not None:
                assert counts[episode.topic(topic.name)] == pytest.approx(contract.rate * seconds, abs=3), topic.name
        wanted = absolute_topic(INTERVENTION_TOPIC)
        told = [
            reader.deserialize(raw, connection.msgtype).data
            for connection, _, raw in reader.messages()
            if connection.topic == wanted
        ]
        assert told == [False, True, False], 'the person drove for a while'
        times = [time for _, time, _ in reader.messages()]
        assert times == sorted(times)
