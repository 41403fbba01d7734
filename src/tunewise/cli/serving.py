"""serve, keys: the server and who may come in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunewise.cli.documents import project_of
from tunewise.cli.flags import command
from tunewise.cli.messages import message
from tunewise.cli.terminal import following, manners, out, out_json, say
from tunewise.errors import ConfigMistake, Failed

Database = Annotated[str | None, typer.Option(
    envvar="TUNEWISE_DATABASE", help="Where keys, ratings and audit are kept (default: a SQLite file; postgresql://…).")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    command(app, "serve", example="tunewise serve\n"
                                  "tunewise serve --host 0.0.0.0 --allow-host answers.example.org")(serve)
    keys = typer.Typer(help="The API keys.", rich_markup_mode=None)
    command(keys, "add", example="tunewise keys add anna --group hr --group staff")(keys_add)
    command(keys, "list", example="tunewise keys list --json")(keys_list)
    command(keys, "revoke", example="tunewise keys revoke anna")(keys_revoke)
    app.add_typer(keys, name="keys")
    audit = typer.Typer(help="The audit log.", rich_markup_mode=None)
    command(audit, "check", example="tunewise audit check")(audit_check)
    app.add_typer(audit, name="audit")


def serve(
    *,
    host: Annotated[str, typer.Option(envvar="TUNEWISE_HOST", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="TUNEWISE_PORT", min=1, max=65535, help="The port.")] = 8321,
    allow_host: Annotated[list[str] | None, typer.Option(
        envvar="TUNEWISE_ALLOW_HOST", help="A name under which it is reached; may be repeated.")] = None,
    database: Database = None,
    queue: Annotated[int, typer.Option(envvar="TUNEWISE_QUEUE", min=1, help="Questions that may wait.")] = 64,
    seconds: Annotated[float, typer.Option(envvar="TUNEWISE_SECONDS", min=1, help="Time-out of an answer.")] = 120,
    rate: Annotated[int, typer.Option(envvar="TUNEWISE_RATE", min=1, help="Requests a minute of one key.")] = 600,
    identity_header: Annotated[str | None, typer.Option(
        envvar="TUNEWISE_IDENTITY_HEADER", help="Header in which a reverse proxy names the user.")] = None,
    groups_header: Annotated[str | None, typer.Option(
        envvar="TUNEWISE_GROUPS_HEADER", help="Header in which it lists the user's groups.")] = None,
    proxy: Annotated[list[str] | None, typer.Option(
        envvar="TUNEWISE_PROXY", help="The proxy's address (default: this machine); may be repeated.")] = None,
    admin: Annotated[list[str] | None, typer.Option(
        envvar="TUNEWISE_ADMIN", help="A user of the proxy who is an administrator; may be repeated.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Another base model [TUNEWISE_MODEL].")] = None,
) -> None:
    """Serve the approaches: web pages and an OpenAI-compatible API.

    On 127.0.0.1 no key is needed until the first one is made; any other address needs keys.
    """
    from tunewise.server import Options, run

    options = Options(
        host=host, port=port, hosts=tuple(allow_host or ()), database=database, queue=queue, seconds=seconds, rate=rate,
        identity_header=identity_header, groups_header=groups_header, admins=tuple(admin or ()),
        **({"proxies": tuple(proxy)} if proxy else {}),
    )
    shown = f"[{host}]" if ":" in host else host

    def started() -> None:
        if manners.json:
            out_json({"url": f"http://{shown}:{port}"})
        else:
            out(message("serving", url=f"http://{shown}:{port}"))
        following(f"OPENAI_BASE_URL=http://{shown}:{port}/v1")

    run(project_of(model=model), options=options, started=started, log="info" if manners.verbose else "warning")
    say(message("serve_ended"))


def keys_add(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    *,
    role: Annotated[str, typer.Option(envvar="TUNEWISE_ROLE", help="reader, editor or admin.")] = "reader",
    group: Annotated[list[str] | None, typer.Option(envvar="TUNEWISE_GROUP", help="May be repeated.")] = None,
    database: Database = None,
) -> None:
    """Make an API key; it is shown once."""
    with _state(database) as state:
        key, secret = state.add_key(name, role=role, groups=group or ())
    if manners.json:
        out_json({"id": key.id, "name": key.name, "role": key.role, "groups": key.groups, "key": secret})
    else:
        out(secret)
        say(message("key_once"))
    following("tunewise serve")


def keys_list(*, database: Database = None) -> None:
    """List the keys; the secrets are not kept."""
    with _state(database) as state:
        found = state.keys()
    if manners.json:
        out_json(found)
    else:
        for key in found:
            end = f", {message('key_revoked', when=key.revoked)}" if key.revoked else ""
            out(f"{key.id}  {key.name}  {key.role}  {', '.join(key.groups) or '-'}{end}")
    following("tunewise keys add NAME --group GROUP")


def keys_revoke(
    key: Annotated[str, typer.Argument(help="Its name or id.")],
    *,
    database: Database = None,
) -> None:
    """End a key: a running server refuses it after a second, in open streams too."""
    with _state(database) as state:
        ended = state.revoke_key(key)
    if manners.json:
        out_json(ended)
    else:
        out(message("key_revoked", when=ended.revoked))
    following("tunewise keys list")


def audit_check(
    *,
    kept: Annotated[str | None, typer.Option(
        envvar="TUNEWISE_KEPT", help="The newest hash of an earlier check: it must still be there.")] = None,
    database: Database = None,
) -> None:
    """Check that the audit log was not altered, and print its newest hash to be kept elsewhere.

    What is cut off at the end shows only with a hash that was `--kept`.
    """
    with _state(database) as state:
        faults = state.audit_faults(kept=kept)
        lines = state.audit()
    if manners.json:
        out_json({"lines": len(lines), "head": lines[-1].hash if lines else None, "faults": faults})
    else:
        out(f"{len(lines)} {lines[-1].hash if lines else '-'}")
    if faults:
        raise Failed("\n  ".join([message("audit_bad", count=len(faults)), *faults[:20]]))


def _state(database: str | None):
    from contextlib import closing

    from tunewise.server import open_state

    project = project_of()
    if not Path(project.root).is_dir():
        raise ConfigMistake(message("no_file", path=project.root))
    return closing(open_state(project, database))
