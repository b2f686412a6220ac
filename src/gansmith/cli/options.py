"""How words of the command line become values, for verbs of all modules."""

import io
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from gansmith.core.image_size import Box, Fit, Size
from gansmith.errors import SettingError

if TYPE_CHECKING:
    from gansmith.models.prompts import Wish


def with_lines(text: str | None) -> str:
    """Help whose paragraphs that begin with a line of backslash b keep their lines."""
    return (text or "").replace("\\b\n", "\b\n")  # Docstrings are raw, as linters want them.


class Verb(click.Command):
    """A verb; in its help a paragraph that begins with backslash b keeps its lines.

    Example:
        >>> @click.command(cls=Verb)
        ... def greet() -> None:
        ...     click.echo("hello")
        >>> greet.main([], standalone_mode=False)
        hello
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.help = with_lines(self.help)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """As click does it; from here on what the terminal's encoding lacks is written as an escape."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        return super().make_context(*args, **extra)


class Verbs(click.Group):
    """Verbs in the order they are used; help as `Verb` has it.

    Example:
        >>> @click.group(cls=Verbs)
        ... def tools() -> None: ...
    """

    command_class = Verb

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.help = with_lines(self.help)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order they were added."""
        return list(self.commands)


def given(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """An empty name would mean the current directory: somebody's unset shell variable, not a wish."""
    if value is not None and not value.strip():
        raise click.BadParameter(f"{parameter.make_metavar(ctx)} must not be empty.")
    return value


def to_size(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Size | None:
    """``64`` or ``128x96``."""
    return None if value is None else Size.parse(value)


def to_seconds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """``90s``, ``10m``, ``2h`` or ``1h30m``."""
    if value is None:
        return None
    from gansmith.core.text import parse_duration

    return parse_duration(value)


def to_fit(value: str) -> tuple[Fit, Box | None]:
    """``crop``, ``pad``, ``stretch``, or ``box=left,top,right,bottom`` (which crops what is left to shape).

    Raises:
        SettingError: something else.
    """
    fits: dict[str, Fit] = {"crop": "crop", "pad": "pad", "stretch": "stretch"}
    if value in fits:
        return fits[value], None
    name, equals, numbers = value.partition("=")
    parts = numbers.split(",")
    if name == "box" and equals and len(parts) == 4 and all(part.strip().isdecimal() for part in parts):
        left, top, right, bottom = (int(part) for part in parts)
        return "crop", (left, top, right, bottom)
    raise SettingError(
        "--fit is crop, pad, stretch or box=left,top,right,bottom in pixels, for example box=25,50,153,178. "
        f"Received: {value}."
    )


def to_two(option: str, value: str | None) -> tuple[str, str] | None:
    """``one,two`` -> two names.

    Raises:
        SettingError: not two.
    """
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if len(parts) != 2 or not all(parts):
        raise SettingError(f"{option} names two folders, as in {option} neutral,smiling. Received: {value}.")
    return parts[0], parts[1]


on_device = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps."
)
"""Where networks run."""


with_code = click.option(
    "--code", metavar="FILE", callback=given, help="A Python file with methods or losses of your own."
)


def import_code(file: str | None) -> None:
    """Make the classes of a user's file known; nothing for None.

    Raises:
        SettingError: not there, or it fails.
    """
    if file is not None:
        from gansmith.models.user_code import import_code as start

        start(file)


def with_wish(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what a conditional model is asked for, and how far it may stray."""
    verb = click.option("--truncation", type=click.FloatRange(0.0), metavar="PSI", help=_TRUNCATION)(verb)
    return with_prompt(verb)


def with_prompt(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what a conditional model is asked for; each may be said several times."""
    for option in (
        click.option(
            "--caption", multiple=True, metavar="TEXT", help="A sentence, for models trained on captions."
        ),
        click.option("--attribute", "attributes", multiple=True, metavar="A=1,B=0", help=_ATTRIBUTE),
        click.option(
            "--label",
            multiple=True,
            metavar="NAME|N",
            help="A class by name or number, for models trained on labels.",
        ),
    ):
        verb = option(verb)
    return verb


_TRUNCATION = (
    "1 for all variety there is, less for fewer odd pictures, for models that have it; of BigGAN the "
    "threshold of z, such as 0.5."
)
_ATTRIBUTE = "Attributes that shall hold (1) or not (0); the others follow the training data."


def to_wish(asked: Mapping[str, Any]) -> "Wish | None":
    """What ``with_prompt`` gave, for verbs of one wish; None where nothing was asked for.

    Raises:
        SettingError: an attribute is neither 0 nor 1, or an option is said more than once.
    """
    wishes = to_wishes(asked)
    if len(wishes) > 1:
        raise SettingError(
            f"This verb takes one wish. Received: {len(wishes)} of them. Say --caption, --label and "
            "--attribute once each; attributes are parted by commas, as in smiling=1,glasses=0."
        )
    return wishes[0] if wishes else None


def to_wishes(asked: Mapping[str, Any]) -> "tuple[Wish, ...]":
    """What ``with_prompt`` gave: a wish for each time that an option was said; none for nothing.

    Raises:
        SettingError: an attribute is neither 0 nor 1, or two options are said more than once.
    """
    from gansmith.models.prompts import Wish, parse_attributes

    said = {"--label": asked["label"], "--attribute": asked["attributes"], "--caption": asked["caption"]}
    several = [option for option, values in said.items() if len(values) > 1]
    if len(several) > 1:
        raise SettingError(
            "One option is said several times, for several wishes, and the others once for all of them. "
            f"Received: several of {' and '.join(several)}. Say one of them once."
        )
    count = max(map(len, said.values()))
    labels, texts, captions = (
        values * count if len(values) == 1 < count else values or (None,) * count for values in said.values()
    )
    wishes = tuple(
        Wish(label, {} if text is None else parse_attributes(text), caption)
        for label, text, caption in zip(labels, texts, captions, strict=True)
    )
    return wishes if len(wishes) > 1 or any(wishes) else ()
