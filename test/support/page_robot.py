"""A robot for the page's server without ROS: what it was told is on record, what it shows can be set."""

import cv2
import numpy as np

from mode_ros.page.pictures import Camera


def jpeg(message):
    """Encodes a message of one grey level."""
    if message == b'broken':
        raise ValueError('its image cannot be converted')
    picture = np.full((48, 64, 3), message[0], np.uint8)
    return 'image/jpeg', cv2.imencode('.jpg', picture)[1].tobytes()


class PageRobot:
    def __init__(self):
        self.cameras = {'static': Camera(jpeg)}
        self.done, self.held = [], []
        self.refusal, self.stopped = '', False
        self.nodes = {
            what: {'name': f'{what}_node', 'level': 'ok', 'words': 'running', 'values': {}}
            for what in ('controller', 'policy', 'recorder', 'simulator')
        }
        self.safety = self.queue = self.ahead = None
        self.cameras_told = {}

    def about(self):
        keys = [{'kind': 'motion', 'label': 'x', 'sign': '+', 'key': 'w', 'unit': 'm'}]
        cameras = [{'name': 'static', 'width': 64, 'height': 48, 'max_age': 0.3}]
        dimensions = [{'name': name, 'unit': 'm', 'lower': -1.0, 'upper': 1.0} for name in ('x', 'grip')]
        return {'robot': 'tester', 'dimensions': dimensions, 'cameras': cameras, 'keys': keys, 'cannot_drive': ''}

    def state(self):
        return {
            'nodes': self.nodes,
            'safety': self.safety,
            'estop': {'own': self.stopped, 'others': False},
            'goal': 'open the drawer',
            'goals': ['open the drawer', 'close it'],
            'success': {'now': None, 'before': []},
            'intervention': False,
            'cameras': self.cameras_told,
            'queue': self.queue,
            'ahead': self.ahead,
            'drive': {'driver': '', 'speed': 0.5, 'chosen': ''},
        }

    def age(self, stamp):
        return stamp / 1e9

    def stop(self):
        self.done.append('stop')
        self.stopped = True

    def say_goal(self, goal):
        self.done.append(goal)

    def say_goals(self, goals):
        self.done.append(goals)

    async def release(self):
        self.done.append('release')
        return False, 'estop: it is engaged'

    async def call(self, node, word):
        self.done.append(f'{node} {word}')
        return True, word

    def come(self, session, name):
        self.held.append('come')

    def drive(self, session, held):
        self.held.append(held)
        return self.refusal

    def leave(self, session):
        self.held.append('leave')
