"""``sequential keystore``: the secrets that tasks refer to."""

from __future__ import annotations

import sys

import click

from sequential_adaptor.cli.console import print_json, say, write
from sequential_adaptor.cli.failures import CommandFailed
from sequential_adaptor.cli.options import debug_option, json_option, shared_options, storage_option
from sequential_adaptor.cli.parsing import JsonValue
from sequential_adaptor.cli.settings import Settings, run_async
from sequential_adaptor.values import JSON


@click.group(short_help="Keep the secrets that tasks use by name.")
def command() -> None:
    """Keep the secrets that tasks use by name: secret("NAME")."""


@command.command("set")
@click.argument("key")
@click.argument("value", required=False)
@click.option("--json-value", type=JsonValue(), metavar="JSON", help="Any JSON value instead of text.")
@storage_option
@debug_option
@click.pass_context
def set_key(context: click.Context, key: str, value: str | None, json_value: JSON) -> None:
    """Keep a value, in place of the one before.

    Without VALUE it is asked for, or read from standard input, so that it shows in no list of processes and no shell's
    history.
    """
    settings = Settings.current()
    given = context.get_parameter_source("json_value") is not click.core.ParameterSource.DEFAULT
    kept = json_value if given else _text(key, value)

    async def store() -> None:
        async with settings.engine() as engine:
            await engine.adapter.set_keystore(key, kept)

    run_async(store)
    say(f"kept {key}")


def _text(key: str, value: str | None) -> str:
    if value is not None:
        return value
    if sys.stdin.isatty():
        asked: str = click.prompt(f"Value of {key}", hide_input=True, err=True)
        return asked
    # What is piped ends in a line break that nobody meant.
    return sys.stdin.read().removesuffix("\n").removesuffix("\r")


@command.command("get")
@click.argument("key")
@shared_options
def get_key(key: str) -> None:
    """Print the value of a key: text as it is, anything else, or anything with --json, as JSON."""
    settings = Settings.current()

    async def read() -> JSON:
        async with settings.engine() as engine:
            return await engine.adapter.get_keystore(key)

    value = run_async(read)
    if value is None:
        raise CommandFailed(f"the keystore has no {key}", f"Set it: sequential keystore set {key}")
    if settings.as_json or not isinstance(value, str):
        print_json(value)
    else:
        write(f"{value}\n")


@command.command("list")
@storage_option
@json_option
@debug_option
def list_keys() -> None:
    """List the keys, never their values."""
    settings = Settings.current()

    async def read() -> list[str]:
        async with settings.engine() as engine:
            return await engine.adapter.list_keystore()

    keys = run_async(read)
    if settings.as_json:
        print_json(keys)
    elif keys:
        write("".join(f"{key}\n" for key in keys))
    else:
        say("The keystore is empty. Fill it: sequential keystore set NAME")


@command.command("delete")
@click.argument("key")
@storage_option
@debug_option
def delete_key(key: str) -> None:
    """Forget a key."""
    settings = Settings.current()

    async def forget() -> bool:
        async with settings.engine() as engine:
            return await engine.adapter.delete_keystore(key)

    if not run_async(forget):
        raise CommandFailed(f"the keystore has no {key}", "See what it has: sequential keystore list")
    say(f"forgot {key}")
