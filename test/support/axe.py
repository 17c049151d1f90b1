"""axe-core, where npm can bring it."""

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


@functools.cache
def _source():
    if not shutil.which('npm'):
        return None
    with tempfile.TemporaryDirectory() as folder:
        command = ['npm', 'install', '--prefix', folder, '--no-audit', '--no-fund', 'axe-core@4']
        if subprocess.run(command, capture_output=True, timeout=120).returncode:
            return None
        return (Path(folder) / 'node_modules' / 'axe-core' / 'axe.min.js').read_text()


def axe_source():
    """The script; skips where npm cannot bring it."""
    source = _source()
    if source is None:
        pytest.skip('npm could not bring axe-core')
    return source


def serious_findings(browser, source, scheme):
    """[impact, rule, where] of what is open now. scheme: 'light' or 'dark'."""
    browser.execute_script('document.documentElement.dataset.theme = arguments[0]', scheme)
    # Through the driver, as the page's own policy lets no foreign script in.
    browser.execute_script(source)
    found = browser.execute_async_script(
        'const done = arguments[0]; axe.run().then((r) => done(r.violations.map('
        '(v) => [v.impact, v.id, v.nodes.map((n) => n.target.join(" ")).join("; ")])))'
    )
    return [finding for finding in found if finding[0] in ('serious', 'critical')]
