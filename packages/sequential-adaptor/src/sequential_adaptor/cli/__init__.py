"""The command line ``sequential``, and the parts of it that commands of plug-ins share.

A plug-in's command is an entry point in the group ``sequential_adaptor.commands``: a ``click.Command``, or a function
without parameters that returns one. It is imported when it is called, or listed in ``--help``.
"""

from sequential_adaptor.cli.main import main
from sequential_adaptor.cli.options import debug_option, json_option, shared_options, storage_option
from sequential_adaptor.cli.settings import Settings

__all__ = ["Settings", "debug_option", "json_option", "main", "shared_options", "storage_option"]
