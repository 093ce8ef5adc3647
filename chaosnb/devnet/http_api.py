"""The HTTP side of the node: `GET` requests in, JSON envelopes out; some may become WebSockets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Final

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from chaosnb.devnet.model import Model
from chaosnb.devnet.population import Validator

__all__ = ["WS_PATH", "answer", "refusal"]

WS_PATH: Final = "/ws/v1"
_API: Final = "/api/v1"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def answer(
    request: Request,
    *,
    model: Model | None,
    connection: Callable[[str], dict[str, Any] | None],
    origins: frozenset[str],
) -> Response | None:
    """Answer a request; None if it may go on to become a WebSocket.

    Parameters
    ----------
    request : websockets.http11.Request
    model : Model or None
        The network that is told about; None: only of connections is told.
    connection : callable
        Returns the record of a connection by its id, or None.
    origins : frozenset of str
        The origins that a browser may come from; a request without one is welcome.
    """
    if any(origin not in origins for origin in request.headers.get_all("Origin")):
        return _failure(HTTPStatus.FORBIDDEN, "this origin is not welcome")
    path = request.path.partition("?")[0]
    if path == WS_PATH:
        return None
    data = _data(path.removeprefix(_API), model, connection) if path.startswith(_API + "/") else None
    if data is None:
        return _failure(HTTPStatus.NOT_FOUND, "there is nothing here by that name")
    return _response(HTTPStatus.OK, {"success": True, "data": data, "error": None})


def refusal(status: HTTPStatus) -> Response:
    """Return the answer to a link that is turned away."""
    return _failure(status, "this node takes no new links now")


def _data(
    path: str, model: Model | None, connection: Callable[[str], dict[str, Any] | None]
) -> dict[str, Any] | None:
    folder, _, name = path.rpartition("/")
    if folder == "/debug/ws":
        return connection(name) if _NAME.fullmatch(name) else None
    if model is None:
        return None
    if path == "/network/state":
        return asdict(model.state)
    if path == "/network/agents":
        return _agents(model)
    if folder == "/social/reputation":
        found = [validator for validator in model.validators if validator.id == name]
        return _reputation(found[0], model) if found else None
    return None


def _agents(model: Model) -> dict[str, Any]:
    return {
        "validators": [
            {
                "id": validator.id,
                "public_key": validator.public_key,
                "personality": validator.reference.personality,
                "status": validator.status,
                "reputation_score": validator.reputation,
            }
            for validator in model.validators
        ],
        "producers": [
            {
                "id": producer.id,
                "public_key": producer.reference.public_key,
                "blocks_produced": producer.blocks_produced,
                "status": producer.status,
            }
            for producer in model.producers
        ],
    }


def _reputation(validator: Validator, model: Model) -> dict[str, Any]:
    # Shares are drawn towards one half while there is little to go by.
    others = [other.reputation for other in model.validators if other is not validator]
    return {
        "overall_score": validator.reputation,
        "meme_quality": _share(validator.meme_references, validator.meme_references + validator.memes),
        "decision_consistency": _share(validator.with_outcome, validator.decided_votes),
        "peer_ratings": round(sum(score < validator.reputation for score in others) / len(others), 4),
        "alliance_strength": 1.0 if model.in_alliance(validator) else 0.0,
    }


def _share(part: int, whole: int) -> float:
    return round((part + 1) / (whole + 2), 4)


def _failure(status: HTTPStatus, reason: str) -> Response:
    return _response(
        status, {"success": False, "data": None, "error": {"code": "INVALID_REQUEST", "message": reason}}
    )


def _response(status: HTTPStatus, content: dict[str, Any]) -> Response:
    body = json.dumps(content).encode()
    headers = Headers(
        {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Connection": "close",
        }
    )
    return Response(status.value, status.phrase, headers, body)
