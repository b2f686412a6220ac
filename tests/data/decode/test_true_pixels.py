"""Every form of pixels a file may have, written here by hand, comes out as what was written or is refused.

The files are made with struct and zlib and read by rules that stand in this file, not by a library that the
decoder uses: TIFF 6.0, PNG (third edition), BMP, PNM, SGI and QOI by their specifications.
"""

import io
import itertools
import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from gansmith.core.image_size import Form, Size
from gansmith.data.decode.reading import read
from gansmith.data.decode.resize import decode
from gansmith.data.inspect.measure import MODES
from gansmith.errors import DataError

SIDE = 8


def shown(raw, channels=3):
    """What the decoder makes of a file: [height, width, channels]."""
    return decode(raw, Form(size=Size(SIDE, SIDE), channels=channels)).pixels.transpose(1, 2, 0).astype(float)


def noise(seed, *shape, top=255):
    return (
        np.random.default_rng(seed).integers(0, top, (SIDE, SIDE, *shape), endpoint=True).astype(np.float64)
    )


def on_white(colour, alpha):
    """Unassociated alpha in 0..1 over white; colours in 0..255."""
    return colour * alpha + 255 * (1 - alpha)


def grey(values):
    return np.repeat(values.reshape(SIDE, SIDE, 1), 3, axis=2)


def packed(values, bits, order="<"):
    """Samples [height, width, samples] of so many bits as rows of bytes, first sample in the high bits."""
    rows = values.reshape(len(values), -1)
    if bits >= 8 and bits != 12:
        raw = rows.astype(f"{order}u{bits // 8}").tobytes()
    else:
        each = (rows.astype(np.int64)[:, :, None] >> np.arange(bits)[::-1]) & 1
        raw = np.packbits(each.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()
    return raw


def reversed_bits(raw):
    return np.packbits(np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")).tobytes()


# --- TIFF ---------------------------------------------------------------------------------------------

_LETTER = {3: "H", 4: "I", 5: "I", 12: "d", 11: "f"}


def tiff(order, tags, strips):
    """A TIFF of one page: tags are number -> (type, values); a strip for each plane or all."""
    tags = dict(tags)
    where = 8
    offsets = []
    for strip in strips:
        offsets.append(where)
        where += len(strip) + len(strip) % 2
    tags[273], tags[279] = (4, offsets), (4, [len(strip) for strip in strips])
    behind = where + 2 + 12 * len(tags) + 4
    entries, extra = b"", b""
    for number, (kind, values) in sorted(tags.items()):
        body = struct.pack(f"{order}{len(values)}{_LETTER[kind]}", *values)
        count = len(values) // 2 if kind == 5 else len(values)
        if len(body) > 4:
            place, extra = behind + len(extra), extra + body
            body = struct.pack(f"{order}I", place)
        entries += struct.pack(f"{order}HHI", number, kind, count) + body.ljust(4, b"\0")
    data = b"".join(strip + b"\0" * (len(strip) % 2) for strip in strips)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", where)
    return head + data + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + extra


def tiff_of(key, values, *, compression=1, planar=1, more=()):
    """A TIFF of a kind as Pillow lists them: (byte order, photometric, format, fill order, bits, extra)."""
    prefix, photometric, formats, fill, bits, extra = key
    order = "<" if prefix == b"II" else ">"
    tags = {
        256: (4, [SIDE]), 257: (4, [SIDE]), 258: (3, bits), 259: (3, [compression]), 262: (3, [photometric]),
        266: (3, [fill]), 277: (3, [len(bits)]), 278: (4, [SIDE]), 284: (3, [planar]),
        339: (3, formats * len(bits)), **dict(more),
    }  # fmt: skip
    if extra:
        tags[338] = (3, extra)
    planes = [values] if planar == 1 else [values[:, :, [at]] for at in range(values.shape[2])]
    if formats[0] == 3:
        strips = [plane.astype(f"{order}f4").tobytes() for plane in planes]
    else:
        strips = [packed(plane, bits[0], order) for plane in planes]
    if compression == 8:
        strips = [zlib.compress(strip) for strip in strips]
    if fill == 2:
        strips = [reversed_bits(strip) for strip in strips]
    return tiff(order, tags, strips)


def drawn(key):
    """Samples for a kind of TIFF, tags it needs, and what is to be seen; None: only a refusal is right."""
    _, photometric, formats, _, bits, extra = key
    colours, alpha = _COLOURS[photometric], extra[0] if extra else None
    top = 2.0 ** bits[0] - 1
    values = noise(1, len(bits), top=int(top))
    if formats[0] == 3:
        values, top = noise(1, 1, top=1000) / 1000, 1.0
    if alpha == 1:
        values[:, :, :colours] = np.floor(values[:, :, :colours] * values[:, :, [colours]] / top)
    scaled = values / top * 255
    seen, more = meant(photometric, bits, values, scaled)
    if formats[0] == 2 or (len(bits) > max(colours, len(bits) == 1) and alpha not in (0, 1, 2)):
        return values, more, None  # Nobody says which signed number is white, or what the last sample is.
    if alpha in (1, 2):
        share = scaled[:, :, [colours]] / 255
        seen = seen + 255 * (1 - share) if alpha == 1 else on_white(seen, share)
    return values, more, seen


_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}


def meant(photometric, bits, values, scaled):
    """The colours of samples by their photometric kind, and the tags it needs."""
    if photometric == 3:
        table = np.random.default_rng(2).integers(0, 256, (3, 2 ** bits[0]))
        return table.T[values[:, :, 0].astype(int)].astype(float), {320: (3, (table * 257).ravel().tolist())}
    if photometric == 5:
        return (255 - scaled[:, :, :3]) * (255 - scaled[:, :, 3:4]) / 255, {}
    if photometric == 6 and len(bits) == 3:
        y, blue, red = scaled[:, :, 0], scaled[:, :, 1] - 128, scaled[:, :, 2] - 128
        rgb = np.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], axis=2)
        return np.clip(rgb, 0, 255), {530: (3, [1, 1])}
    if photometric == 2:
        return scaled[:, :, :3], {}
    return grey(scaled[:, :, :1] if photometric else 255 - scaled[:, :, :1]), {}


# --- PNG ----------------------------------------------------------------------------------------------

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def png(values, kind, bits, *, interlaced=False, chunks=()):
    """A PNG of samples [height, width, samples]; chunks (name, body) stand before the pixels."""
    passes = [values[y::down, x::across] for y, x, down, across in _ADAM7] if interlaced else [values]
    rows = b"".join(b"\0" + packed(row[None], bits, ">") for part in passes if part.size for row in part)
    head = struct.pack(">IIBBBBB", SIDE, SIDE, bits, kind, 0, 0, interlaced)
    every = ((b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    made = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in every
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


def png_cases():
    for kind, depths in _DEPTHS.items():
        for bits, clear, interlaced in itertools.product(depths, (False, True), (False, True)):
            if not (clear and kind > 3):
                yield kind, bits, clear, interlaced


def png_case(kind, bits, clear, interlaced):
    top = 2**bits - 1
    values = noise(3, _SAMPLES[kind], top=top)
    scaled, chunks, see_through = values / top * 255, [], np.zeros((SIDE, SIDE, 1), bool)
    if kind == 3:
        table = np.random.default_rng(4).integers(0, 256, (top + 1, 3)).astype(np.uint8)
        chunks.append((b"PLTE", table.tobytes()))
        seen = table[values[:, :, 0].astype(int)].astype(float)
        alpha = np.ones((SIDE, SIDE, 1))
        if clear:
            opacity = np.random.default_rng(5).integers(0, 256, top).astype(np.uint8)  # The last is opaque.
            chunks.append((b"tRNS", opacity.tobytes()))
            alpha = np.append(opacity, 255)[values[:, :, :1].astype(int)] / 255
        return png(values, kind, bits, interlaced=interlaced, chunks=chunks), on_white(seen, alpha)
    if clear:
        chosen = values[2, 3]
        if bits == 16:
            values[4, 4] = chosen + np.where(chosen % 2 == 0, 1, -1)  # Another colour, of the same high byte.
            scaled = values / top * 255
        chunks.append((b"tRNS", struct.pack(f">{len(chosen)}H", *chosen.astype(int))))
        see_through = (values == chosen).all(axis=2, keepdims=True)
    colours = 3 if kind in (2, 6) else 1
    seen = scaled[:, :, :3] if colours == 3 else grey(scaled[:, :, :1])
    alpha = scaled[:, :, colours:] / 255 if kind in (4, 6) else 1.0 - see_through
    return png(values, kind, bits, interlaced=interlaced, chunks=chunks), on_white(seen, alpha)


# --- BMP, PNM, SGI, QOI -------------------------------------------------------------------------------


def bmp(bits, rows, *, masks=(), palette=b"", down=False):
    """A BMP; rows are bytes, the first on top, and stored from the bottom unless ``down``."""
    padded = [row + bytes(-len(row) % 4) for row in (rows if down else rows[::-1])]
    head = 108 if len(masks) == 4 else 40
    behind = (
        struct.pack("<4I", *masks).ljust(68, b"\0") if head == 108 else struct.pack(f"<{len(masks)}I", *masks)
    )
    data = b"".join(padded)
    offset = 14 + 40 + len(behind) + len(palette)
    info = struct.pack(
        "<IiiHHIIiiII",
        head,
        SIDE,
        -SIDE if down else SIDE,
        1,
        bits,
        3 * bool(masks),
        len(data),
        0,
        0,
        len(palette) // 4,
        0,
    )
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + info + behind + palette + data


def bmp_cases():
    colours = noise(6, 3).astype(np.uint8)
    turned = colours[:, :, ::-1]
    for down in (False, True):
        yield f"24 {down}", bmp(24, [row.tobytes() for row in turned], down=down), colours
    garbage = np.dstack([turned, noise(7).astype(np.uint8)])
    rows = [row.tobytes() for row in garbage]
    yield "32 without masks", bmp(32, rows), colours
    yield "32 with three masks", bmp(32, rows, masks=(0xFF0000, 0xFF00, 0xFF)), colours
    alpha = garbage[:, :, 3:] / 255
    yield "32 with alpha", bmp(32, rows, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)), on_white(colours, alpha)
    for bits, widths, masks in ((16, (5, 5, 5), ()), (16, (5, 6, 5), (0xF800, 0x07E0, 0x001F))):
        tops = 2 ** np.array(widths) - 1
        parts = np.random.default_rng(8).integers(0, tops + 1, (SIDE, SIDE, 3))
        word = (parts[:, :, 0] << sum(widths[1:])) | (parts[:, :, 1] << widths[2]) | parts[:, :, 2]
        yield (
            f"{widths}",
            bmp(bits, [row.astype("<u2").tobytes() for row in word], masks=masks),
            parts / tops * 255,
        )
    for bits in (1, 4, 8):
        table = np.random.default_rng(9).integers(0, 256, (2**bits, 4)).astype(np.uint8)
        table[:, 3] = 0
        places = noise(10, 1, top=2**bits - 1)
        rows = [packed(row[None], bits) for row in places]
        yield (
            f"palette {bits}",
            bmp(bits, rows, palette=table.tobytes()),
            table[places[:, :, 0].astype(int), 2::-1],
        )


def pnm_cases():
    for top in (1, 100, 255, 1000, 65535):
        for kind, samples in ((b"P5", 1), (b"P6", 3), (b"P2", 1), (b"P3", 3)):
            values = noise(11, samples, top=top)
            if kind in (b"P2", b"P3"):
                body = " ".join(str(int(value)) for value in values.ravel()).encode()
            else:
                body = values.astype(">u2" if top > 255 else "u1").tobytes()
            head = kind + b" %d %d %d\n" % (SIDE, SIDE, top)
            yield (
                f"{kind} {top}",
                head + body,
                grey(values / top * 255) if samples == 1 else values / top * 255,
            )
    ink = noise(12, 1, top=1)
    yield "P4", b"P4 8 8\n" + packed(ink, 1), grey(255 * (1 - ink))
    yield (
        "P1",
        b"P1 8 8\n" + " ".join(str(int(value)) for value in ink.ravel()).encode(),
        grey(255 * (1 - ink)),
    )
    light = np.random.default_rng(13).random((SIDE, SIDE)).astype(np.float32)
    for letter, sign in (("<", b"-1.0"), (">", b"1.0")):
        yield (
            f"Pf {letter}",
            b"Pf\n8 8\n" + sign + b"\n" + light[::-1].astype(f"{letter}f4").tobytes(),
            grey(light * 255),
        )


def sgi_cases():
    for depth, samples in itertools.product((1, 2), (1, 3, 4)):
        top = 256**depth - 1
        values = noise(14, samples, top=top)
        head = struct.pack(">HBBHHHHII", 474, 0, depth, 3 if samples > 1 else 2, SIDE, SIDE, samples, 0, top)
        body = values[::-1].transpose(2, 0, 1).astype(f">u{depth}").tobytes()
        scaled = values / top * 255
        seen = grey(scaled) if samples == 1 else scaled[:, :, :3]
        seen = on_white(seen, scaled[:, :, 3:] / 255) if samples == 4 else seen
        yield f"{depth} bytes, {samples} samples", head.ljust(512, b"\0") + body, seen


def qoi_cases():
    for samples in (3, 4):
        values = noise(15, samples).astype(np.uint8)
        tag = bytes([0xFE if samples == 3 else 0xFF])
        body = b"".join(tag + pixel.tobytes() for pixel in values.reshape(-1, samples))
        head = b"qoif" + struct.pack(">IIBB", SIDE, SIDE, samples, 0)
        seen = values if samples == 3 else on_white(values[:, :, :3], values[:, :, 3:] / 255)
        yield f"{samples}", head + body + bytes(7) + b"\1", seen


# --- What is asked of them ----------------------------------------------------------------------------


def wrong(cases, tolerance=1.2):
    """The names of cases that are refused or differ from what was written."""
    found = []
    for name, raw, seen in cases:
        try:
            far = abs(shown(raw) - seen).max()
        except DataError as error:
            found.append((name, str(error)))
            continue
        if far > tolerance:
            found.append((name, far))
    return found


def test_every_kind_of_tiff_that_pillow_opens_is_read_right_or_refused():
    read = set()
    for key in TiffImagePlugin.OPEN_INFO:
        if key[1] == 8:
            continue  # LAB: see below.
        values, more, seen = drawn(key)
        for compression, planar in itertools.product((1, 8), (1, 2) if len(key[4]) > 1 else (1,)):
            raw = tiff_of(key, values, compression=compression, planar=planar, more=more)
            try:
                got = shown(raw)
            except DataError as error:
                assert len(str(error)) > 20
                continue
            assert seen is not None, (key, compression, planar)
            assert abs(got - seen).max() <= 3, (key, compression, planar)
            read.add((key[1:4:2], key[2], key[4], planar))
    # Refusing is no way out for what people have: photometric kind, fill order; numbers; bits; planes.
    for kind, numbers, bits, planar in (
        *(((kind, 1), (1,), (bits,), 1) for kind in (0, 1) for bits in (1, 2, 4, 8)),
        *(((kind, 1), (3,), (32,), 1) for kind in (0, 1)),
        *(((1, 1), (1,), (bits,), 1) for bits in (12, 16, 32)),
        *(((2, 1), (1,), (bits,) * count, 1) for bits in (8, 16) for count in (3, 4)),
        *(((3, 1), (1,), (bits,), 1) for bits in (1, 2, 4, 8)),
        *(((5, 1), (1,), (bits,) * 4, 1) for bits in (8, 16)),
        *(((0, 1), (1,), (16,), 1), ((6, 1), (1,), (8, 8, 8), 1), ((1, 1), (1,), (8, 8), 1)),
        *(((2, 1), (1,), (8, 8, 8), 2), ((5, 1), (1,), (8, 8, 8, 8), 2)),
    ):
        assert (kind, numbers, bits, planar) in read, (kind, numbers, bits, planar)


def test_lab_is_read_as_cie_l_a_b_of_d50():
    lightness, a, b = noise(16, top=100), noise(17, top=60) - 30, noise(18, top=60) - 30
    y = (lightness + 16) / 116
    roots = np.stack([y + a / 500, y, y - b / 200], axis=2)
    cubes = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29)) * [0.9642, 1, 0.8249]
    to_rgb = np.array(  # From XYZ of D50, adapted by Bradford's matrix.
        [
            [3.1338561, -1.6168667, -0.4906146],
            [-0.9787684, 1.9161415, 0.0334540],
            [0.0719453, -0.2289914, 1.4052427],
        ]
    )
    light = np.clip(cubes @ to_rgb.T, 0, 1)
    seen = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    key = (b"II", 8, (1,), 1, (8, 8, 8), ())
    far = abs(shown(tiff_of(key, np.stack([lightness * 2.55, a % 256, b % 256], axis=2))) - seen)
    assert far.max() < 10  # At the edge of what sRGB can show.
    assert np.median(far) < 1


def test_colours_with_fewer_pixels_than_brightness():
    block = bytes([120] * 4 + [90, 200])  # Four of Y, one of Cb and Cr.
    tags = {
        256: (4, [8]),
        257: (4, [8]),
        258: (3, [8] * 3),
        262: (3, [6]),
        277: (3, [3]),
        278: (4, [8]),
        530: (3, [2, 2]),
    }
    seen = np.array([120 + 1.402 * 72, 120 + 0.344136 * 38 - 0.714136 * 72, 120 - 1.772 * 38])
    packed_up = tiff("<", tags | {259: (3, [8])}, [zlib.compress(block * 16)])
    assert abs(shown(packed_up) - seen).max() < 2
    with pytest.raises(DataError, match="fewer pixels"):
        shown(tiff("<", tags | {259: (3, [1])}, [block * 16]))


def test_tiffs_that_leave_out_what_matters_are_refused():
    key = (b"II", 2, (1,), 1, (8,) * 4, ())
    values = noise(19, 4)
    with pytest.raises(DataError, match="fourth channel"):
        shown(tiff_of(key, values))
    values[:, :, 3] = 255  # Then it does not matter.
    assert abs(shown(tiff_of(key, values)) - values[:, :, :3]).max() == 0
    plain = {256: (4, [8]), 257: (4, [8]), 258: (3, [8]), 277: (3, [1]), 278: (4, [8])}
    with pytest.raises(DataError, match="black or white"):
        shown(tiff("<", plain, [bytes(64)]))
    small = {320: (3, list(range(256)) * 3)}
    with pytest.raises(DataError, match="colour map"):
        shown(tiff_of((b"II", 3, (1,), 1, (8,), ()), noise(20, 1), more=small))


@pytest.mark.parametrize(
    ("kind", "numbers", "seen"),
    [
        ("<f4", [0.0, 1.0], [0, 255]),
        ("<f4", [10.0, 200.0], [10, 200]),
        ("<f4", [0.0, 65535.0], [0, 255]),
        ("<f4", [-5.0, 5.0], "-5 to 5"),
        ("<f4", [0.0, float("nan")], "NaN"),
        ("<u4", [0, 257 * 9], [0, 9]),
        ("<u4", [0, 2**32 - 1], [0, 255]),
        ("<u4", [0, 2**31], [0, 128]),
        ("<u4", [0, 2**20], "from 0 to 1.04858e"),
        ("<i4", [0, 257 * 9], [0, 9]),
        ("<i4", [-1, 9], "from -1 to 9"),
    ],
)
def test_wide_numbers_are_read_by_their_range_or_refused(kind, numbers, seen):
    values = np.repeat(np.array(numbers, kind), 4)[None].repeat(SIDE, 0)
    tags = {256: (4, [8]), 257: (4, [8]), 258: (3, [32]), 262: (3, [1]), 277: (3, [1]), 278: (4, [8])}
    raw = tiff("<", tags | {339: (3, [{"u": 1, "i": 2, "f": 3}[kind[1]]])}, [values.tobytes()])
    if isinstance(seen, str):
        with pytest.raises(DataError, match=seen):
            shown(raw)
    else:
        assert np.unique(shown(raw)).tolist() == seen
        assert read(raw).mode in MODES and " to " in read(raw).mode


def test_every_kind_of_png():
    cases = {case: png_case(*case) for case in png_cases()}
    refused = wrong((case, *made) for case, made in cases.items())
    assert {case[:3] for case, _ in refused} == {(2, 16, True)}  # One transparent colour of 16 bits.


def test_a_png_s_own_tones_are_those_it_means():
    values = noise(21, 3)
    linear = struct.pack(">I", 100_000)
    light = values / 255
    seen = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert not wrong([("linear", png(values, 2, 8, chunks=[(b"gAMA", linear)]), seen)])
    assert not wrong([("sRGB", png(values, 2, 8, chunks=[(b"gAMA", linear), (b"sRGB", b"\0")]), values)])
    assert not wrong([("usual", png(values, 2, 8, chunks=[(b"gAMA", struct.pack(">I", 45455))]), values)])
    with pytest.raises(DataError, match="HDR"):
        shown(png(values, 2, 8, chunks=[(b"cICP", bytes([9, 16, 0, 1]))]))


def test_every_kind_of_bmp_pnm_sgi_and_qoi():
    assert not wrong(itertools.chain(bmp_cases(), pnm_cases(), qoi_cases()))
    assert not wrong(sgi_cases(), tolerance=2)


def test_a_picture_of_which_nothing_is_seen_is_refused():
    values = noise(22, 4)
    values[:, :, 3] = 0
    with pytest.raises(DataError, match="transparent"):
        shown(png(values, 6, 8))


def test_four_inks_without_adobe_s_mark_are_refused():
    buffer = io.BytesIO()
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(buffer, "JPEG")
    raw = buffer.getvalue()
    mark = raw.index(b"\xff\xee")
    assert raw[mark + 4 : mark + 9] == b"Adobe"
    assert shown(raw)[0, 0].tolist() == pytest.approx([255, 0, 0], abs=4)
    with pytest.raises(DataError, match="four inks"):
        shown(raw[:mark] + raw[mark + 2 + int.from_bytes(raw[mark + 2 : mark + 4], "big") :])


@pytest.mark.parametrize(
    ("codec", "form", "tolerance"),
    [
        *(("jpeg2000", form, 3) for form in ("gray", "gray12le", "gray16le", "rgb24", "rgb48le", "rgba")),
        *(("tiff", form, 4) for form in ("gray16le", "rgba64le", "yuv420p", "monow", "monob", "ya8")),
        *(("png", form, 2) for form in ("ya16be", "monob", "rgba64be")),
        *(("gif", "rgb8", 1), ("bmp", "rgb565le", 4), ("mjpeg", "yuvj444p", 8), ("qoi", "rgba", 1)),
    ],
)
def test_what_ffmpeg_writes_is_what_it_meant(codec, form, tolerance):
    av = pytest.importorskip("av")
    context = av.CodecContext.create(codec, "w")
    context.width = context.height = 64
    context.pix_fmt, context.time_base = form, Fraction(1, 25)
    if codec == "jpeg2000":
        context.options = {"pred": "1"}  # The lossless wavelet.
    ramp = np.linspace(0, 255, 64)
    turned = (
        np.add.outer(one, other) / 2 for one, other in ((ramp, ramp), (ramp, 255 - ramp), (255 - ramp, ramp))
    )
    frame = av.VideoFrame.from_ndarray(np.stack([*turned], axis=2).astype(np.uint8), "rgb24").reformat(
        format=form
    )
    raw = b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))
    got = decode(raw, Form(size=Size(64, 64), channels=3)).pixels.transpose(1, 2, 0).astype(float)
    assert abs(got - frame.to_ndarray(format="rgb24")).max() <= tolerance
