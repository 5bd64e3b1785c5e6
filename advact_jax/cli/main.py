"""The program: its commands, and how a mistake is told."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import click

import advact_jax
from advact_jax.cli import accuracy, compare, convert, gain, listing, names, plot, show

PROGRAM = "advact-jax"
COMMANDS = (
    listing.command,
    show.command,
    plot.command,
    compare.command,
    gain.command,
    accuracy.command,
    names.command,
    convert.command,
)


class _Program(click.Group):
    """A group that names the nearest command, and lists the commands in their own order."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            near = difflib.get_close_matches(args[0], self.commands, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(self.commands)}."
            raise click.UsageError(f"Expected a command, got {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Program,
    commands={command.name: command for command in COMMANDS if command.name},
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  advact-jax list --learnable
  advact-jax show mish
  advact-jax plot gelu silu mish -o gates.svg
  advact-jax compare relu leaky_relu elu selu
  advact-jax convert --from torch --to keras LeakyReLU

advact-jax COMMAND --help has more of them. Every command has --json.""",
)
@click.version_option(advact_jax.__version__, prog_name=PROGRAM)
@click.pass_context
def program(ctx: click.Context) -> None:
    """Tell about the activations of advact_jax: draw, compare, measure, translate."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 2 for a mistake, told in one line."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = program.main(words, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        return _told(words, error.format_message())
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # as in `advact-jax list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, ImportError, OSError) as error:
        # The library begins with the name of its function, which the user has not called.
        return _told(words, re.sub(r"^[\w.]+: ", "", str(error)))
    return code if isinstance(code, int) else 0


def _told(words: list[str], message: str) -> int:
    command = next((word for word in words if word in program.commands), "")
    line = " ".join(message.split())
    print(f"{f'{PROGRAM} {command}'.rstrip()}: {line}", file=sys.stderr)
    return 2
