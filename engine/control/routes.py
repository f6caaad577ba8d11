"""The control routes below `/v1/control`: orders in, progress out. Served by the query service behind the same token.

Handlers run on the service's event loop; starting an order returns at once, the runtime does the work elsewhere.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, get_args

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.control.commands import Command, CommandConflict, CommandKind, Commands, CommandUnknown, Order
from engine.errors import StatehouseError
from engine.query.answers import answered
from engine.query.refusal import Refusal, bad_request, not_found

_ACCEPTED = 202
_COPY = "/v1/control/stores/{store}/partitions/{partition}"
# More digits are no partition, and would only keep int() busy.
_PARTITION_DIGITS_MAX = 9
Handler = Callable[[Request], Awaitable[Response]]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """An order's body; `generation` names a directory, hence its narrow form."""

    job: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._:-]{1,100}\Z")]
    generation: Annotated[str, Meta(pattern=r"\Ag[0-9]{8}\Z")] | None = None


def routes(commands: Commands) -> list[Route]:
    """The control routes of an instance."""

    async def tasks(_request: Request) -> Response:
        return answered({"tasks": commands.runner.tasks()})

    made = [Route("/v1/control/tasks", tasks, methods=["GET"])]
    for kind in get_args(CommandKind):
        made += [
            Route(f"{_COPY}/{kind}", _starting(commands, kind), methods=["POST"]),
            Route(f"{_COPY}/{kind}/{{job}}", _showing(commands, kind), methods=["GET"]),
            Route(f"{_COPY}/{kind}/{{job}}/cancel", _cancelling(commands, kind), methods=["POST"]),
        ]
    return made


def _starting(commands: Commands, kind: CommandKind) -> Handler:
    async def start(request: Request) -> Response:
        try:
            body = msgspec.json.decode(await request.body(), type=_Body)
        except ValueError as error:
            raise bad_request(f"the body of a {kind} must be JSON with 'job': {error}") from error
        if (body.generation is not None) != (kind == "swap"):
            raise bad_request(f"a {kind} {'needs' if kind == 'swap' else 'takes no'} 'generation'")
        order = Order(kind, request.path_params["store"], _partition(request), body.job, body.generation)
        try:
            command = commands.start(order)
        except CommandConflict as error:
            raise Refusal("conflict", str(error)) from error
        except LookupError as error:
            raise not_found(str(error.args[0]) if error.args else f"no such copy for this {kind}") from error
        except (StatehouseError, ValueError) as error:
            if isinstance(error, Refusal):
                raise
            raise bad_request(str(error)) from error
        return answered(command.progress(), _ACCEPTED)

    return start


def _showing(commands: Commands, kind: CommandKind) -> Handler:
    async def show(request: Request) -> Response:
        return answered(_command(commands, kind, request).progress())

    return show


def _cancelling(commands: Commands, kind: CommandKind) -> Handler:
    async def cancel(request: Request) -> Response:
        command = _command(commands, kind, request)
        if not command.request_cancel():
            raise Refusal("conflict", f"the {kind} has ended as {command.phase}: it cannot be cancelled any more")
        return answered(command.progress(), _ACCEPTED)

    return cancel


def _command(commands: Commands, kind: CommandKind, request: Request) -> Command:
    path = request.path_params
    try:
        return commands.get(kind, path["store"], _partition(request), path["job"])
    except CommandUnknown as error:
        raise not_found(str(error)) from error


def _partition(request: Request) -> int:
    text = request.path_params["partition"]
    if not (text.isascii() and text.isdecimal() and len(text) <= _PARTITION_DIGITS_MAX):
        raise not_found(f"{text[:20]!r} is not a partition")
    return int(text)
