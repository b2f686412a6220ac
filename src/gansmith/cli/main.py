"""The command ``gansmith``: its verbs, and what becomes of their errors.

torch takes a second to import, so every verb imports what it needs when it runs.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import click

from gansmith import __version__
from gansmith.cli.app import app_
from gansmith.cli.attack import attack
from gansmith.cli.classify import classify
from gansmith.cli.edit import edit
from gansmith.cli.evaluate import evaluate
from gansmith.cli.explore import explore
from gansmith.cli.generate import generate
from gansmith.cli.inspect import inspect_
from gansmith.cli.new import new
from gansmith.cli.options import Verbs
from gansmith.cli.origin import origin_
from gansmith.cli.plan import plan
from gansmith.cli.prepare import prepare
from gansmith.cli.rate import rate
from gansmith.cli.recipes import recipes
from gansmith.cli.report import compare, report
from gansmith.cli.train import demo, train
from gansmith.cli.translate import translate_
from gansmith.cli.walk import walk_
from gansmith.core import stopping
from gansmith.core.launch import launched, speaks
from gansmith.core.streams import safe_streams, why_lost
from gansmith.core.text import clipped
from gansmith.errors import GansmithError, nearest

_LONGEST = 8000  # Letters of a message.
_SHARED = ("train", "demo", "generate", "translate", "evaluate")  # Verbs that several processes share.


class _Verbs(Verbs):
    """The verbs of gansmith, and a suggestion for one that does not exist."""

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
    r"""From a folder of images to a generator you can trust, explore and ship.

    \b
    gansmith demo                                     faces in two and a half minutes, on any machine
    gansmith prepare my_photos faces --align faces    pictures in one form, faces in line
    gansmith plan my_pictures                         what training would take: memory, speed, time, disk
    gansmith train my_pictures --run runs/one         your pictures; the same command resumes
    gansmith generate runs/one -o out --seeds 0-63    new pictures
    gansmith walk runs/one -o walk.gif                a walk from picture to picture
    gansmith explore runs/one directions              what can be changed in its pictures
    gansmith translate runs/edges drawings -o faces   pictures out of pictures
    gansmith origin out                               what made these pictures
    gansmith edit runs/readers photo.png --set smiling=1     a photo with something changed
    gansmith rate runs/one                            what you like, and what follows from it
    gansmith evaluate runs/one my_pictures            numbers, with intervals
    gansmith classify my_pictures --run runs/judge    what an image shows, or whether it is real
    gansmith attack runs/judge my_pictures            what it withstands
    gansmith report runs/one                          a page to look at
    gansmith app runs                                 a page for all of it, in a browser
    gansmith new method my_gan                        a method of your own
    """


class _Terminated(BaseException):
    """SIGTERM outside the training loop: temporary files are cleaned up on the way out."""


def _terminate(number: int, frame: FrameType | None) -> None:
    stopping.ask(number)
    raise _Terminated


def _interrupt(number: int, frame: FrameType | None) -> None:
    if stopping.asked():  # What the first one began to tidy up is left as a kill would leave it.
        stopping.at_once(number, frame)
    stopping.ask(number)
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; a user's mistake is one message and exit code 2, never a traceback."""
    stopping.forget()
    with safe_streams() as (out, _), _signals():
        code = _run()
        out.flush()
        if (why := why_lost(out)) and code == 0:
            _say(f"The work is done, but its output could not be written: {why}.")
            code = 2
    sys.exit(code)


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM and Ctrl-C end a verb as long as the block lasts."""
    before = {}
    with suppress(ValueError):  # Not the main thread: the host handles signals.
        before = {
            number: signal.signal(number, handler)
            for number, handler in ((signal.SIGTERM, _terminate), (signal.SIGINT, _interrupt))
        }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run() -> int:
    """The exit code of the command line's work; what went wrong is said."""
    try:
        code = cli.main(standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except (KeyboardInterrupt, click.Abort, _Terminated):
        return _stopped()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message())
        return 0
    except Exception as error:
        if stopping.asked():  # An interruption inside a library comes out as any error there is.
            return _stopped()
        return _refused(error)
    return code if isinstance(code, int) else 0


def _stopped() -> int:
    _say(stopping.why())
    return 128 + (stopping.asked() or signal.SIGINT)


def _refused(error: Exception) -> int:
    """Say what the user can act on; anything else is a fault of ours and is raised."""
    if isinstance(error, GansmithError):
        _say(str(error))
        return error.exit_code
    if isinstance(error, click.ClickException):
        _say(error.format_message())
        return 2
    if isinstance(error, OSError):  # A name that is too long, a folder that vanished: what the system says.
        _say(f"{error.strerror or error}: {error.filename or ''}")
        return 2
    raise error


def _say(message: str) -> None:
    """One message, however many processes end with it."""
    if speaks():
        click.echo(f"gansmith: {clipped(message, _LONGEST)}", err=True)


for _verb in (
    demo,
    recipes,
    prepare,
    inspect_,
    train,
    plan,
    generate,
    walk_,
    explore,
    translate_,
    edit,
    rate,
    origin_,
    evaluate,
    classify,
    attack,
    report,
    compare,
    app_,
    new,
):
    cli.add_command(_verb)
