"""The command line: `minivit COMMAND …`.  Each command is a module in minivit/commands with a few lines of its own.

Exit codes: 0 done; 1 `check` found a difference, or `grade` less than full marks; 2 something given was wrong (one line
on stderr says what).
"""

import argparse
import os
import sys
import warnings
from importlib import import_module

from .errors import InputError, nearest

COMMANDS = (
    *("demo", "classify", "features", "trace", "check", "train", "finetune", "eval", "probe", "inspect", "zoo"),
    *("download", "convert"),
    *("look", "compare-maps", "film", "explore"),
    *("zeroshot", "embed", "search"),
    *("grade", "course"),
    *("doctor", "warmup", "bench"),
)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, with the nearest known word."""

    def error(self, message):
        raise InputError(f"{message} (`{self.prog} --help` shows how)")

    def parse_known_args(self, args=None, namespace=None):
        """What is unknown is refused by the command that got it, which knows its own options."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            option = unknown[0].partition("=")[0]
            hint = nearest(option, self._option_string_actions) if option.startswith("--") else ""
            self.error(f"unexpected {unknown[0]!r}{hint}")
        return found, unknown

    def _check_value(self, action, value):
        if action.choices is not None and value not in action.choices:
            what = "/".join(action.option_strings) or action.dest
            raise InputError(f"unknown {what} {value!r}{nearest(value, action.choices)}")


def build(asked=None):
    """The parser of every command; of the others only the names, if it is known which one is asked for."""
    from . import __version__

    parser = Parser(prog="minivit", description="The Vision Transformer, readable and checked tensor by tensor.")
    parser.add_argument("--version", action="version", version=f"minivit {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        if asked in COMMANDS and name != asked:
            commands.add_parser(name)  # importing them all takes longer than a small model
            continue
        module = import_module(f"minivit.commands.{name.replace('-', '_')}")
        command = commands.add_parser(
            name,
            help=module.__doc__.splitlines()[0],
            description=module.__doc__,
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _show_warning(message, *where, **more):
    print(f"minivit: warning: {message}", file=sys.stderr)


def main(argv=None):
    """Run a command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without the sign → shows ? and goes on
    try:
        argv = sys.argv[1:] if argv is None else argv
        args = build(asked=argv[0] if argv else None).parse_args(argv)
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return args.run(args) or 0
    except InputError as error:
        print(f"minivit: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        print(f"minivit: out of memory: {error}; use a smaller --size or fewer images at a time", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # what comes next does not stand behind ^C, or a line that counts
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
