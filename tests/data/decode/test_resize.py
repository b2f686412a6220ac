"""Picture files of every awkward kind, made here, must come out as the right pixels or as one line."""

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from gansmith.core.image_size import Form, Size
from gansmith.data.decode.reading import probe, suffixes
from gansmith.data.decode.resize import decode as decode_to
from gansmith.errors import DataError, SettingError

EIGHT = Size(8, 8)
RED, BLUE = (255, 0, 0), (0, 0, 255)


def decode(raw, size, channels, fit):
    return torch.from_numpy(decode_to(raw, Form(size=size, channels=channels, fit=fit)).pixels)


def encode(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def halves(width, height):
    """Left half red, right half blue."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(BLUE, (width // 2, 0, width, height))
    return picture


def pixel(tensor, x, y):
    return tuple(tensor[:, y, x].tolist())


def png_header(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def refusal(raw, size=EIGHT):
    with pytest.raises(DataError) as caught:
        decode(raw, size, 3, "crop")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_picture_of_the_right_size_is_not_touched():
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    tensor = decode(encode(Image.fromarray(noise)), EIGHT, 3, "crop")
    assert tensor.dtype == torch.uint8
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), noise)


@pytest.mark.parametrize(("size", "corner"), [((16, 8), (4, 0)), ((8, 24), (0, 8))])
def test_crop_cuts_the_centre(size, corner):
    picture = Image.new("RGB", size, "lime")
    picture.paste(halves(8, 8), corner)
    tensor = decode(encode(picture), EIGHT, 3, "crop")
    assert [pixel(tensor, x, 7) for x in range(8)] == [RED] * 4 + [BLUE] * 4


def test_stretch_keeps_everything():
    tensor = decode(encode(halves(64, 16)), EIGHT, 3, "stretch")
    assert tensor.shape == (3, 8, 8)
    assert pixel(tensor, 0, 4) == RED
    assert pixel(tensor, 7, 4) == BLUE


def test_pad_keeps_the_whole_picture_and_repeats_its_edges():
    picture = Image.new("RGB", (8, 4), RED)
    picture.paste(BLUE, (0, 2, 8, 4))
    tensor = decode(encode(picture), EIGHT, 3, "pad")
    assert [pixel(tensor, 3, y) for y in range(8)] == [RED] * 4 + [BLUE] * 4
    tensor = decode(encode(halves(4, 8)), EIGHT, 3, "pad")
    assert [pixel(tensor, x, 3) for x in range(8)] == [RED] * 4 + [BLUE] * 4


def test_shrinking_is_anti_aliased():
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    tensor = decode(encode(Image.fromarray(checks)), EIGHT, 1, "crop")
    assert (tensor.int() - 127).abs().max() <= 2


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(mode):
    picture = Image.new(mode, (8, 8), (0,) * len(mode))
    picture.paste((0,) * (len(mode) - 1) + (255,), (0, 0, 4, 8))
    tensor = decode(encode(picture), EIGHT, 3, "crop")
    assert pixel(tensor, 0, 0) == (0, 0, 0)
    assert pixel(tensor, 7, 0) == (255, 255, 255)


@pytest.mark.parametrize(("mode", "transparency"), [("P", 1), ("P", bytes((255, 0))), ("RGB", BLUE)])
def test_transparent_colours_are_laid_on_white(mode, transparency):
    palette = Image.new("P", (1, 1))
    palette.putpalette([*RED, *BLUE])
    picture = halves(8, 8).quantize(palette=palette) if mode == "P" else halves(8, 8)
    tensor = decode(encode(picture, transparency=transparency), EIGHT, 3, "crop")
    assert pixel(tensor, 0, 0) == RED
    assert pixel(tensor, 7, 0) == (255, 255, 255)


@pytest.mark.parametrize(("mode", "colour", "channels", "wanted"), [("L", 77, 3, 77), ("RGB", RED, 1, 76)])
def test_grey_becomes_three_equal_channels_and_colour_becomes_luma(mode, colour, channels, wanted):
    tensor = decode(encode(Image.new(mode, (8, 8), colour)), EIGHT, channels, "crop")
    assert tensor.shape == (channels, 8, 8)
    assert tensor.unique().tolist() == [wanted]


def test_one_bit_pictures():
    picture = Image.new("1", (8, 8), 0)
    picture.paste(1, (4, 0, 8, 8))
    assert decode(encode(picture), EIGHT, 1, "crop")[0, 0].tolist() == [0] * 4 + [255] * 4


@pytest.mark.parametrize("channels", [1, 3])
def test_cmyk_jpegs(channels):
    raw = encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    tensor = decode(raw, EIGHT, channels, "crop").float().mean((1, 2))
    wanted = [76.0] if channels == 1 else [255.0, 0.0, 0.0]
    assert tensor.tolist() == pytest.approx(wanted, abs=4)


@pytest.mark.parametrize("kind", ["PNG", "PPM", "TIFF"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(kind):
    values = np.repeat(np.array([0, 257 * 100, 65535, 257 * 200], np.uint16), 2)[None].repeat(8, 0)
    tensor = decode(encode(Image.fromarray(values), kind), EIGHT, 1, "crop")
    assert tensor[0, 0].tolist() == [0, 0, 100, 100, 255, 255, 200, 200]


def test_other_wide_integers():
    big_endian = Image.frombytes("I;16B", (8, 8), np.full((8, 8), 257 * 3, ">u2").tobytes())
    assert decode(encode(big_endian, "TIFF"), EIGHT, 1, "crop").unique().tolist() == [3]
    long = Image.fromarray(np.full((8, 8), 257 * 9, np.int32))
    assert decode(encode(long, "TIFF"), EIGHT, 1, "crop").unique().tolist() == [9]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_give_their_first_frame(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    raw = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert pixel(decode(raw, EIGHT, 3, "crop"), 4, 4) == RED


def test_icons_give_their_largest_picture():
    raw = encode(halves(64, 64), "ICO", sizes=[(16, 16), (64, 64)])
    assert probe(raw).width == 64
    assert pixel(decode(raw, Size(64, 64), 3, "crop"), 0, 0) == RED


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exif_rotation_turns_the_pixels(kind):
    exif = Image.Exif()
    exif[0x0112] = 6  # To be seen upright, turn by 90 degrees clockwise: left becomes top.
    raw = encode(halves(32, 16), kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    tensor = decode(raw, Size(16, 32), 3, "crop").float()
    assert tensor.shape == (3, 32, 16)
    assert tensor[:, 0:12].mean((1, 2)).tolist() == pytest.approx(RED, abs=4)
    assert tensor[:, 20:].mean((1, 2)).tolist() == pytest.approx(BLUE, abs=4)
    header = probe(raw)
    assert (header.width, header.height) == (16, 32)


def test_every_orientation_brings_back_the_upright_picture():
    upright = np.arange(64, dtype=np.uint8).reshape(8, 8)
    undo = Image.Transpose
    stored = {2: undo.FLIP_LEFT_RIGHT, 3: undo.ROTATE_180, 4: undo.FLIP_TOP_BOTTOM, 5: undo.TRANSPOSE,
              6: undo.ROTATE_90, 7: undo.TRANSVERSE, 8: undo.ROTATE_270}  # fmt: skip
    for orientation, turn in stored.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        raw = encode(Image.fromarray(upright).transpose(turn), exif=exif)
        assert np.array_equal(decode(raw, EIGHT, 1, "crop")[0].numpy(), upright), orientation


def test_damaged_exif_is_ignored_without_a_warning():
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\xff\xff\xff\xff"
    raw = encode(Image.new("RGB", (16, 16), RED), "JPEG", exif=exif)
    assert decode(raw, EIGHT, 3, "crop").float().mean((1, 2)).tolist() == pytest.approx(RED, abs=4)


def test_large_jpegs_are_close_to_the_same_picture_as_png():
    ramp = np.linspace(0, 255, 512)[None].repeat(512, 0).astype(np.uint8)
    drafted = decode(encode(Image.fromarray(ramp), "JPEG", quality=95), Size(32, 32), 1, "crop").int()
    exact = decode(encode(Image.fromarray(ramp)), Size(32, 32), 1, "crop").int()
    assert (drafted - exact).abs().max() <= 2


def test_jpegs_are_never_decoded_below_twice_the_target(monkeypatch):
    sizes = []
    load = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda self: (sizes.append(self.size), load(self))[1])
    decode(encode(halves(400, 300), "JPEG"), Size(48, 32), 3, "crop")
    assert (200, 150) in sizes  # A third would do, but JPEG knows halves only; a quarter would not.
    assert (100, 75) not in sizes


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_half_a_file_is_refused(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    raw = encode(Image.fromarray(noise), kind)
    assert refusal(raw[: len(raw) // 2])
    assert kind != "JPEG" or refusal(raw[:-20]) == "the file is truncated"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "ICO"])
def test_damage_of_any_kind_gives_a_data_error_or_a_picture(kind):
    clean = encode(halves(16, 16), kind)
    damaged = [clean[:end] for end in range(0, len(clean), 7)]
    generator = np.random.default_rng(0)
    for _ in range(40):
        raw = bytearray(clean)
        for place in generator.integers(0, min(len(raw), 120), 3):
            raw[place] = generator.integers(0, 256)
        damaged.append(bytes(raw))
    refused = 0
    for raw in damaged:
        try:
            assert decode(raw, EIGHT, 3, "crop").shape == (3, 8, 8)
        except DataError as error:
            refused += bool(str(error))
    assert refused > 0


def test_junk_and_nothing_are_refused():
    assert "not a picture" in refusal(np.random.default_rng(1).bytes(2000))
    assert "empty" in refusal(b"")
    with pytest.raises(DataError, match="not a picture"):
        probe(b"hello")


@pytest.mark.parametrize(("size", "shown"), [((1, 1), "1x1"), ((3, 90), "3x90")])
def test_tiny_pictures_are_refused_with_the_rule(size, shown):
    assert refusal(encode(Image.new("RGB", size))) == f"{shown} pixels; the shorter side must be at least 4"
    assert decode(encode(Image.new("RGB", (4, 4), RED)), EIGHT, 3, "crop").shape == (3, 8, 8)


def test_decompression_bombs_are_refused_by_their_header():
    reason = refusal(png_header(20_000, 20_000))
    assert "too large" in reason
    assert "400000000 pixels" in reason


def test_between_one_and_two_limits_there_is_no_warning(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    assert decode(encode(halves(400, 400)), EIGHT, 3, "crop").shape == (3, 8, 8)


def test_jpegs_beyond_the_limit_are_decoded_at_reduced_scale(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)
    plain, progressive = (encode(halves(400, 400), "JPEG", progressive=flag) for flag in (False, True))
    assert decode(plain, EIGHT, 3, "crop")[0, 0, 0] > 240
    assert "160,000 pixels" in refusal(progressive)
    assert "160,000 pixels" in refusal(plain, Size(200, 200))
    assert "too large" in refusal(encode(halves(400, 400)))


@pytest.mark.parametrize(
    ("mode", "grey"), [("1", True), ("L", True), ("LA", True), ("I;16", True), ("RGB", False), ("P", False)]
)
def test_greyness_is_read_from_the_header(mode, grey):
    assert probe(encode(Image.new(mode, (8, 8)))).grey is grey


def test_suffixes_are_those_pillow_reads():
    assert {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"} <= suffixes()
    assert not {".txt", ".pdf", ".mp4", ".eps"} & suffixes()


def test_threads_decode_the_same_as_one():
    files = [encode(Image.new("RGB", (30 + n, 40), (n, 2 * n, 255 - n)), "JPEG") for n in range(32)]
    alone = [decode(raw, EIGHT, 3, "crop") for raw in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda raw: decode(raw, EIGHT, 3, "crop"), files))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def wide_gamut():
    """A profile whose red, green and blue are other than sRGB's: red and green change places."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = {bytes(profile[132 + 12 * n : 136 + 12 * n]): 132 + 12 * n for n in range(profile[131])}
    red, green = at[b"rXYZ"], at[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "tRGB".encode("utf-16-be"))


def test_a_colour_profile_is_converted_to_srgb():
    profile = wide_gamut()
    tensor = decode(encode(Image.new("RGB", (32, 32), (255, 0, 0)), icc_profile=profile), EIGHT, 3, "crop")
    red, green, blue = tensor.float().mean((1, 2)).tolist()
    assert green > 245 and red < 10 and blue < 10


@pytest.mark.parametrize("profile", [b"no profile at all", b"\0" * 200])
def test_a_damaged_or_foreign_profile_changes_nothing(profile):
    tensor = decode(encode(Image.new("RGB", (8, 8), RED), icc_profile=profile), EIGHT, 3, "crop")
    assert pixel(tensor, 4, 4) == RED
    grey = decode(encode(Image.new("L", (8, 8), 77), icc_profile=wide_gamut()), EIGHT, 1, "crop")
    assert grey.unique().tolist() == [77]


def test_srgb_profiles_are_not_converted():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    values = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    tensor = decode(encode(Image.fromarray(values), icc_profile=srgb), EIGHT, 3, "crop")
    assert np.array_equal(tensor.numpy().transpose(1, 2, 0), values)


def test_a_box_is_cut_out_first():
    picture = halves(64, 32)
    form = Form(size=EIGHT, channels=3, box=(40, 0, 48, 8))
    assert pixel(torch.from_numpy(decode_to(encode(picture), form).pixels), 0, 0) == BLUE
    large = encode(halves(1024, 512), "JPEG", quality=95)
    decoded = decode_to(large, Form(size=EIGHT, channels=3, box=(512, 0, 1024, 512)))
    assert decoded.pixels.mean(axis=(1, 2)).round().tolist() == pytest.approx(BLUE, abs=4)
    assert decoded.photo.image.width == 128  # Reduced to an eighth, since the box still has 64 pixels.


def test_a_box_outside_the_picture_is_refused_and_an_empty_one_is_a_setting_error():
    with pytest.raises(DataError, match="reaches outside"):
        decode_to(encode(halves(16, 16)), Form(size=EIGHT, channels=3, box=(0, 0, 17, 16)))
    with pytest.raises(SettingError, match="left < right"):
        Form(size=EIGHT, channels=3, box=(4, 0, 4, 8))


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("shape", [(96, 40), (40, 96), (64, 64)])
def test_points_move_with_the_picture(fit, shape):
    width, height = shape
    picture = np.zeros((height, width), dtype=np.uint8)
    x, y = width // 2 + 6, height // 2 - 5
    picture[y - 2 : y + 3, x - 2 : x + 3] = 255
    decoded = decode_to(encode(Image.fromarray(picture)), Form(size=Size(48, 32), channels=1, fit=fit))
    weight = decoded.pixels[0].astype(float)
    rows, columns = np.mgrid[0:32, 0:48] + 0.5
    found = [(columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()]
    assert decoded.placement.points(np.array([[x + 0.5, y + 0.5]]))[0] == pytest.approx(found, abs=0.1)
