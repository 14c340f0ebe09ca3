"""The app: every route below /api/v1 and the pages, behind the shield."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, APIWebSocketRoute

from sightline import __version__
from sightline.store.store import Store
from sightline.web.api import (
    audit,
    bench,
    charts,
    datasets,
    deciding,
    drift,
    events,
    fleet,
    images,
    inspections,
    jobs,
    labels,
    learning,
    parts,
    pilots,
    product_audits,
    recipes,
    records,
    reviews,
    rollouts,
    sending,
    session,
    stations,
    studies,
    users,
)
from sightline.web.api.identity import Permission
from sightline.web.api.problems import Problem, add_handlers, responses
from sightline.web.api.session import SECURITY
from sightline.web.api.shield import Shield
from sightline.web.api.site import Here, Site
from sightline.web.pages import files, runtime
from sightline.web.settings import WebSettings

PREFIX = "/api/v1"
ROUTERS = (
    *(session.router, users.router, audit.router, jobs.router, datasets.router, datasets.imports, images.router),
    *(
        labels.router,
        recipes.router,
        recipes.inspecting,
        deciding.router,
        inspections.router,
        charts.router,
        drift.router,
        learning.router,
        rollouts.router,
        sending.router,
        fleet.router,
    ),
    *(reviews.router, parts.router, stations.router, events.router, bench.router),
    *(studies.router, records.router, records.signing, product_audits.router, pilots.router),
)
ABOUT = """Everything that the pages do, for programs too. Log in for a cookie, or send `Authorization: Bearer TOKEN`.
Lists come in pages: give `next` back as `after`. A write with an `Idempotency-Key` is done once. Errors are problem
details (RFC 9457) whose `detail` says what to do."""
root = APIRouter()


@root.get(f"{PREFIX}/health", tags=["server"], responses=responses(503))
def health(site: Here) -> dict[str, Any]:
    """Whether the server and its store work; whether the first user has still to be made."""
    site.store.users.count()
    return {"healthy": True, "version": __version__, "set_up": not site.setup_token}


def create_app(store: Store, settings: WebSettings) -> FastAPI:
    """The app over an open store, which it does not close."""
    app = FastAPI(
        title="Sightline", version=__version__, description=ABOUT, openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.state.site = Site(store, settings)
    app.add_middleware(Shield, settings=settings)
    add_handlers(app)
    app.include_router(root)
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX)
    app.include_router(runtime.router)
    app.include_router(files.router)
    app.openapi = lambda: _describe(app)  # type: ignore[method-assign]
    return app


def permissions() -> Iterator[tuple[str, str, Permission | None]]:
    """(method, path, what it demands of who asks) of every route, a WebSocket's method being WEBSOCKET."""
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute | APIWebSocketRoute):
                called = [dependency.call for dependency in route.dependant.dependencies]
                wanted = next((call for call in called if isinstance(call, Permission)), None)
                for method in sorted(getattr(route, "methods", None) or {"WEBSOCKET"}):
                    yield method, PREFIX + route.path_format, wanted


def _describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with who may call each route."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    parts = found["components"]
    parts["securitySchemes"] = SECURITY
    parts["schemas"]["Problem"] = Problem.model_json_schema()
    for method, path, wanted in permissions():
        if wanted is not None and method != "WEBSOCKET":
            operation = found["paths"][path][method.lower()]
            operation["security"] = [{"session": []}, {"token": []}]
            operation["description"] += f"\n\nNeeds the role {wanted.role}; of a token, the scope {wanted.scope}."
    app.openapi_schema = found
    return found
