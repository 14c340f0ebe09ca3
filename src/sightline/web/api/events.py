"""Events: what happens in the store, as it happens, for pages that show it."""

from __future__ import annotations

import json

from fastapi import APIRouter, WebSocket

from sightline.web.api import sockets
from sightline.web.api.identity import Reading
from sightline.web.api.site import Here, Site

router = APIRouter(tags=["events"])


@router.websocket("/events")
async def events(socket: WebSocket, site: Here, identity: Reading) -> None:
    """What happens, as JSON texts: `job`, `inspection` (or `inspections` with a count), `change`, `trouble`; `lost`
    where some were left out, since they came too fast for this listener.
    """
    await sockets.serve(socket, site, _tell(socket, site))


async def _tell(socket: WebSocket, site: Site) -> None:
    with site.events.heard() as coming:
        while True:
            await sockets.send(socket, json.dumps(await coming.get()))
