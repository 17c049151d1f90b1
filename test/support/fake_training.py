"""Stands in for `mode_ros train` and `mode_ros evaluate`, without torch: writes what they write, and obeys Ctrl-C.

python fake_training.py train PRESET … --output OUT [--resume]      ends after 6 steps, 'wait' in its presence waits
"""

import json
import signal
import sys
import time
from pathlib import Path

STEPS = 6
# Of whoever waits: a test that was killed tells nobody to end (seconds).
LONGEST_SECONDS = 60.0


def train(arguments):
    out = Path(arguments[arguments.index('--output') + 1])
    changes = dict(change.split('=', 1) for change in arguments if '=' in change)
    if changes.get('run.seed') == '13':
        print('mode_ros: There is not enough memory for 13.', file=sys.stderr)
        return 1
    out.mkdir(parents=True, exist_ok=True)
    (out / 'training.yaml').write_text(f'run: {{steps: {STEPS}}}\n')
    asked = []
    signal.signal(signal.SIGINT, lambda *_: asked.append(True))
    begin = 3 if '--resume' in arguments else 0
    waits = changes.get('run.seed') == '7'
    with (out / 'log.jsonl').open('a') as log:
        for step in range(begin + 1, STEPS + 1):
            entry = {'denoising': 1.0 / step, 'balancing': 2.0, 'gradient_norm': 1.0, 'learning_rate': 1e-4}
            log.write(json.dumps({'step': step, 'kind': 'step', **entry, 'steps_per_second': 2.0}) + '\n')
            found = {'error': 1.0 / step, 'by_task': {'reach': 0.5 / step, 'push <fast>': 1.5 / step}}
            log.write(json.dumps({'step': step, 'kind': 'validation', **found}) + '\n')
            log.flush()
            print(f'step {step}/{STEPS}', flush=True)
            end = time.monotonic() + LONGEST_SECONDS
            while waits and step == 3 and not asked and time.monotonic() < end:
                time.sleep(0.02)
            if asked:
                state = out / 'checkpoints' / f'step_{step:08d}'
                policy(state)
                (state / 'training_state.pt').touch()
                print(f'Stopped after step {step} of {STEPS}; go on with --resume and the same settings.')
                return 130
    policy(out / 'best')
    policy(out / 'policy')
    print(f'Trained {STEPS} steps.')
    return 0


def policy(folder):
    folder.mkdir(parents=True)
    for name in ('config.json', 'weights.safetensors'):
        (folder / name).write_text('{}')


def evaluate(arguments):
    out = Path(arguments[arguments.index('--output') + 1])
    out.mkdir(parents=True, exist_ok=True)
    about = {'checkpoint': {'folder': arguments[0]}, 'settings': {'suite': 'metaworld-demo'}}
    (out / 'settings.json').write_text(json.dumps(about))
    with (out / 'episodes.jsonl').open('a') as file:
        for seed in range(2):
            file.write(json.dumps({'task': 'reach', 'seed': seed, 'success': seed == 0}) + '\n')
    if '7' in arguments and not (out / 'asked').exists():
        (out / 'asked').touch()
        try:
            time.sleep(LONGEST_SECONDS)
        except KeyboardInterrupt:
            return 130
    rate = {'successes': 1, 'rollouts': 2, 'rate': 0.5, 'low': 0.09, 'high': 0.91}
    (out / 'videos').mkdir()
    (out / 'videos' / 'reach_1.mp4').write_bytes(bytes(range(256)) * 8)
    (out / 'videos' / 'reach_1.jpg').write_bytes(b'\xff\xd8\xff\xd9')
    (out / 'results.json').write_text(
        json.dumps({'tasks': [{'task': 'reach', **rate}], 'mean': rate, 'intervals': 'I'})
    )
    print('See report.html')
    return 0


if __name__ == '__main__':
    sys.exit({'train': train, 'evaluate': evaluate}[sys.argv[1]](sys.argv[2:]))
