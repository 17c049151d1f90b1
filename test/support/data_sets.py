"""Small data sets, converted once per test run."""

from support.bags import START, demonstration, episode, write_bag


def make_data_set(folder, goals=('push the block',), seconds=2.0, codec='png'):
    """A data set of one episode per goal, without the command line's printing."""
    from mode_ros.training.data.convert import Conversion, choose_contract
    from mode_ros.training.data.episode_writer import Encoding
    from mode_ros.training.data.inputs import find_recordings
    from mode_ros.training.data.staging import Settings

    for k, goal in enumerate(goals):
        items = demonstration(seconds + k, goal, START + k * 10**12)
        write_bag(folder / 'bags' / f'{k}', items, custom=episode(goal))
    recordings = find_recordings([folder / 'bags'], 'auto')
    settings = Settings(choose_contract(recordings, None), encoding=Encoding(codec))
    with Conversion(folder / 'data', settings, 'tester') as conversion:
        conversion.run(recordings, 1, strict=True)
    return folder / 'data'
