"""Debian's chromium without a display, and what tests do in it."""

import shutil

import pytest
from support.bench import wait_for

CHROMIUM, DRIVER = shutil.which('chromium'), shutil.which('chromedriver')


def open_browser(width=1280, height=720):
    """A selenium driver; skips where there is no browser."""
    webdriver = pytest.importorskip('selenium.webdriver')
    if not CHROMIUM or not DRIVER:
        pytest.skip('chromium and chromedriver are not installed')
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ('headless=new', 'no-sandbox', 'disable-gpu', 'disable-dev-shm-usage', 'hide-scrollbars'):
        options.add_argument(f'--{argument}')
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    resize(browser, width, height)
    return browser


def resize(browser, width, height):
    metrics = {'width': width, 'height': height, 'deviceScaleFactor': 1, 'mobile': width < 500}
    browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', metrics)


def text(browser, identity):
    return browser.execute_script('return document.getElementById(arguments[0]).textContent', identity)


def until(condition, what, timeout=30.0):
    """Less often than support.bench asks: every question goes through the browser."""
    return wait_for(condition, what, timeout, every=0.1)


def find(browser, selector):
    return browser.find_element('css selector', selector)


def errors(browser):
    """What the page wrote on its console as an error."""
    return [entry['message'] for entry in browser.get_log('browser') if entry['level'] == 'SEVERE']
