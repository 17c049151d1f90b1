"""The tab Train and evaluate: its addresses.

    GET  /train/form  /train/evaluation-form          what the forms are made of
    GET  /train/all                                   trainings, evaluations, policies, what the form may name
    GET  /train/runs/NAME  /train/evaluations/NAME    one of them
    GET  /train/films/NAME/FILM  /train/posters/…     a film, in pieces where the browser asks for them
    POST /train/check  /train/start  /train/evaluate  {preset, changes, label}, {policy, values}
    POST /train/runs/NAME/stop|resume  /train/evaluations/NAME/stop|resume
    POST /train/experts  /train/load                  {policy}: its routing; onto the robot

Names are those that /train/all and the forms have given.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from mode_ros.errors import UserError
from mode_ros.page.answers import NO_STORE, read_json, said
from mode_ros.page.evaluations import FILM, POSTER, Evaluations
from mode_ros.page.experts import Experts
from mode_ros.page.places import Places
from mode_ros.page.tabs import Tab
from mode_ros.page.trainings import Trainings

NAME, TITLE = 'train', 'Train and evaluate'
MAX_FORM_BYTES = 65_536
# The disk is looked at so often, for any number of viewers (seconds).
LOOK_SECONDS = 1.0

# A checkpoint folder and its name: (whether the robot runs it now, the words to it).
LoadPolicy = Callable[[Path, str], Awaitable[tuple[bool, str]]]


def make_train_tab(places: Places, share: Path, load: LoadPolicy) -> Tab:
    """places: of the page's work folder; share: of mode_ros; load: puts a policy on the robot."""
    pages = _Pages(places, share, load)
    get, post = ['GET'], ['POST']
    routes = [
        ('form', pages.form, get),
        ('evaluation-form', pages.evaluation_form, get),
        ('all', pages.all, get),
        ('runs/{name}', pages.run, get),
        ('evaluations/{name}', pages.evaluation, get),
        ('films/{name}/{film}', pages.film, get),
        ('posters/{name}/{film}', pages.poster, get),
        ('check', pages.check, post),
        ('start', pages.start, post),
        ('evaluate', pages.evaluate, post),
        ('{what:str}/{name}/{word:str}', pages.change, post),
        ('experts', pages.look, post),
        ('load', pages.load, post),
    ]
    return Tab(NAME, TITLE, tuple(Route(f'/{NAME}/{path}', page, methods=methods) for path, page, methods in routes))


class _Pages:
    def __init__(self, places: Places, share: Path, load: LoadPolicy) -> None:
        config = share / 'config'
        self._places, self._load = places, load
        self._trainings = Trainings(places, config / 'train', config / 'robots')
        self._evaluations = Evaluations(places)
        self._experts = Experts()
        self._looked: dict[str, tuple[float, asyncio.Future[Any]]] = {}

    async def form(self, request: Request) -> Response:
        return _json(await asyncio.to_thread(self._trainings.form))

    async def evaluation_form(self, request: Request) -> Response:
        try:
            return _json(await asyncio.to_thread(self._evaluations.form))
        except UserError as error:
            return _json({'fields': [], 'problem': str(error)})

    async def all(self, request: Request) -> Response:
        return _json(await self._look('all', self._all))

    def _all(self) -> dict[str, Any]:
        return {
            'runs': self._trainings.lines(),
            'evaluations': self._evaluations.lines(),
            'policies': list(self._places.all_policies()),
            'names': self._trainings.choices(),
            'work': self._places.runs.parent.name,
        }

    async def run(self, request: Request) -> Response:
        name = request.path_params['name']
        return _found(await self._look(f'run {name}', lambda: self._trainings.one(name)))

    async def evaluation(self, request: Request) -> Response:
        name = request.path_params['name']
        return _found(await self._look(f'evaluation {name}', lambda: self._evaluations.one(name)))

    async def _look(self, key: str, look: Callable[[], Any]) -> Any:
        """Once for all who ask within LOOK_SECONDS; what is not there is not remembered."""
        now = time.monotonic()
        self._looked = {each: seen for each, seen in self._looked.items() if now - seen[0] < LOOK_SECONDS}
        if key not in self._looked:
            self._looked[key] = now, asyncio.ensure_future(asyncio.to_thread(look))
        return await asyncio.shield(self._looked[key][1])

    async def film(self, request: Request) -> Response:
        return await self._file(request, FILM, 'video/mp4')

    async def poster(self, request: Request) -> Response:
        return await self._file(request, POSTER, 'image/jpeg')

    async def _file(self, request: Request, kind: str, media: str) -> Response:
        path = await asyncio.to_thread(
            self._evaluations.film, request.path_params['name'], request.path_params['film'], kind
        )
        # FileResponse answers Range, without which no browser can wind a film.
        return Response(status_code=404) if path is None else FileResponse(path, media_type=media)

    async def check(self, request: Request) -> Response:
        body = await _body(request)
        _, wrong = await asyncio.to_thread(self._trainings.check, body.get('preset'), body.get('changes'))
        return _json({'problems': wrong})

    async def start(self, request: Request) -> Response:
        body = await _body(request)
        name, wrong = await asyncio.to_thread(
            self._trainings.start, body.get('preset'), body.get('changes'), body.get('label')
        )
        return self._begun(name, wrong)

    async def evaluate(self, request: Request) -> Response:
        body = await _body(request)
        name, wrong = await asyncio.to_thread(self._evaluations.start, body.get('policy'), body.get('values'))
        return self._begun(name, wrong)

    def _begun(self, name: str, wrong: Mapping[str, str]) -> Response:
        self._looked.clear()
        whole = wrong.get('as a whole', '')
        words = f'{name} has begun.' if name else whole or 'Nothing was begun: see what is said beside the fields.'
        return _json({'done': bool(name), 'words': words, 'name': name, 'problems': dict(wrong)})

    async def change(self, request: Request) -> Response:
        what, name, word = (request.path_params[key] for key in ('what', 'name', 'word'))
        if what not in ('runs', 'evaluations') or word not in ('stop', 'resume'):
            return Response(status_code=404)
        of: Trainings | Evaluations = self._trainings if what == 'runs' else self._evaluations
        self._looked.clear()
        return said(*await asyncio.to_thread(of.stop if word == 'stop' else of.resume, name))

    async def look(self, request: Request) -> Response:
        path = await self._policy(request)
        if path is None:
            return _json({'done': False, 'words': 'That policy is not there any more.'})
        try:
            return _json({'done': True, **await self._experts.of(path[1])})
        except UserError as error:
            return said(False, str(error))

    async def load(self, request: Request) -> Response:
        path = await self._policy(request)
        if path is None:
            return said(False, 'That policy is not there any more.')
        return said(*await self._load(path[1], path[0]))

    async def _policy(self, request: Request) -> tuple[str, Path] | None:
        name = (await _body(request)).get('policy')
        folder = (await asyncio.to_thread(self._places.all_policies)).get(name) if isinstance(name, str) else None
        return None if folder is None else (str(name), folder)


async def _body(request: Request) -> Mapping[str, Any]:
    body = await read_json(request, MAX_FORM_BYTES)
    return body if isinstance(body, dict) else {}


def _json(values: Mapping[str, Any]) -> Response:
    return Response(
        json.dumps(dict(values), ensure_ascii=False, allow_nan=False), media_type='application/json', headers=NO_STORE
    )


def _found(values: Mapping[str, Any] | None) -> Response:
    return Response(status_code=404) if values is None else _json(values)
