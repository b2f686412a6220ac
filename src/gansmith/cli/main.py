"""The command ``gansmith``: its verbs, and what becomes of their errors.

torch takes a second to import, so every verb imports what it needs when it runs.
"""

import signal
import sys
from types import FrameType
from typing import Any

import click

from gansmith import __version__
from gansmith.cli.evaluate import evaluate
from gansmith.cli.generate import generate
from gansmith.cli.inspect import inspect_
from gansmith.cli.new import new
from gansmith.cli.options import Verb, with_lines
from gansmith.cli.plan import plan
from gansmith.cli.prepare import prepare
from gansmith.cli.recipes import recipes
from gansmith.cli.report import compare, report
from gansmith.cli.train import demo, train
from gansmith.cli.translate import translate_
from gansmith.cli.walk import walk_
from gansmith.core.launch import launched, speaks
from gansmith.errors import GansmithError, nearest

_SHARED = ("train", "demo", "generate", "evaluate")  # Verbs that several processes share.


class _Verbs(click.Group):
    """Verbs in the order they are used, and a suggestion for one that does not exist."""

    command_class = Verb

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.help = with_lines(self.help)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise click.UsageError(f"There is no verb '{args[0]}'.{nearest(args[0], self.commands)}", ctx)
        if args and launched() and args[0] in self.commands and args[0] not in _SHARED:
            raise click.UsageError(
                f"torchrun is for {', '.join(_SHARED)}. Received: {args[0]}, which is one process's work. "
                "Start it without torchrun."
            )
        return super().resolve_command(ctx, args)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="gansmith")
def cli() -> None:
    r"""From a folder of pictures to a generator you can trust, explore and ship.

    \b
    gansmith demo                                     faces in about two minutes, on any machine
    gansmith prepare my_photos faces --align faces    pictures in one form, faces in line
    gansmith plan my_pictures                         what training would take: memory, speed, time, disk
    gansmith train my_pictures --run runs/one         your pictures; the same command resumes
    gansmith generate runs/one -o out --seeds 0-63    new pictures
    gansmith walk runs/one -o walk.gif                a walk from picture to picture
    gansmith translate runs/edges drawings -o faces   pictures out of pictures
    gansmith evaluate runs/one my_pictures            numbers, with intervals
    gansmith report runs/one                          a page to look at
    gansmith new method my_gan                        a method of your own
    """


class _Terminated(BaseException):
    """SIGTERM outside the training loop: temporary files are cleaned up on the way out."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def main() -> None:
    """Run the command line; a user's mistake is one message and exit code 2, never a traceback."""
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(standalone_mode=False)
    except _Terminated:
        _say("stopped.")
        sys.exit(143)
    except OSError as error:  # A name that is too long, a folder that vanished: what the system says.
        if isinstance(error, BrokenPipeError):
            sys.exit(0)
        _say(f"{error.strerror or error}: {error.filename or ''}")
        sys.exit(2)
    except GansmithError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        _say(error.format_message())
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        _say("stopped.")
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, before)
    sys.exit(code if isinstance(code, int) else 0)


def _say(message: str) -> None:
    """One message, however many processes end with it."""
    if speaks():
        click.echo(f"gansmith: {message}", err=True)


_WORK = (demo, recipes, prepare, inspect_, train, plan, generate, walk_, translate_)
for _verb in (*_WORK, evaluate, report, compare, new):
    cli.add_command(_verb)
