"""Photos that a request brings: how large they may be is read off their header, before they are decoded."""

from fastapi import UploadFile

from gansmith.app.limits import Limits
from gansmith.core.text import clipped
from gansmith.data.decode.reading import probe
from gansmith.errors import DataError

_LONGEST = 100  # Letters of a file's name.


class TooLargeError(DataError):
    """A photo has more pixels than the app decodes.

    Example:
        >>> raise TooLargeError("A photo has at most 40 million pixels. Received: 100.")
    """


async def photo_of(upload: UploadFile, limits: Limits) -> tuple[bytes, str]:
    """The bytes of an uploaded image file and its name, without folders.

    Raises:
        DataError: it is not an image.
        TooLargeError: it has too many pixels.
    """
    raw = await upload.read()
    if not raw:
        raise DataError("A photo is an image file, such as a JPEG or a PNG. Received: an empty file.")
    try:
        header = probe(raw)
    except DataError as error:
        raise DataError(f"A photo is an image file, such as a JPEG or a PNG. Received: {error}.") from error
    if header.width * header.height > limits.pixels:
        raise TooLargeError(
            f"A photo has at most {limits.pixels / 1e6:g} million pixels here. Received: "
            f"{header.width}x{header.height}. Make it smaller and send it again."
        )
    name = (upload.filename or "photo").replace("\\", "/").rsplit("/", 1)[-1]
    return raw, clipped(name, _LONGEST) or "photo"
