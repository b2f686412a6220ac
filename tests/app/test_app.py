"""What the page asks for: pictures, models, photos; and what is refused, in words."""

import asyncio
import io
import itertools
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shelves import shelf

from gansmith.core.noise import Noise
from gansmith.explore.directions import Directions, Steps
from gansmith.explore.sefa import sefa
from gansmith.images.grid import to_bytes
from gansmith.images.provenance import read_provenance
from gansmith.models.load import open_generator

pytest.importorskip("fastapi", reason="the extra app is not installed")
import httpx
from fastapi.testclient import TestClient

from gansmith.app.limits import Limits
from gansmith.app.server import create_app

HERE = "http://localhost"


def client_of(root: Path, **how: Any) -> TestClient:
    return TestClient(create_app(root, device="cpu", **how), base_url=HERE, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shelf(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[TestClient]:
    with client_of(root, limits=Limits(pixels=100_000, tiled_pixels=10_000, upload_bytes=500_000)) as client:
        yield client


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image).astype(int)


def png(width: int = 24, height: int = 24, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    Image.fromarray(noise).convert(mode).save(file, "PNG")
    return file.getvalue()


def picture(client: TestClient, code: int = 200, where: str = "picture", **asked: Any) -> Any:
    answer = client.get(f"/api/explore/{where}", params={"model": "faces", **asked})
    assert answer.status_code == code, answer.text
    return answer if code == 200 else answer.json()["message"]


# ---- models and the page ----------------------------------------------------------------------------


def test_models_are_listed_by_their_place_below_the_folder(client: TestClient, root: Path) -> None:
    found = client.get("/api/about").json()
    kinds = {one["id"]: one["kind"] for one in found["models"]}
    assert kinds["by class/labelled"] == "noise" and kinds["pairs/cycle"] == kinds["pairs/fill"] == "photo"
    young = next(one for one in found["models"] if one["id"] == "young")
    assert "no checkpoint yet" in young["problem"]
    assert str(root) not in str(found)


def test_the_page_and_its_files_come_with_a_policy_and_nothing_else_does(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200 and "gansmith" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not any(name.startswith("access-control") for name in page.headers)
    again = client.get("/page/app.js", headers={"if-none-match": client.get("/page/app.js").headers["etag"]})
    assert again.status_code == 304
    for path in ("/page/server.py", "/page/..%2fserver.py", "/page/%2e%2e/server.py", "/docs", "/nothing"):
        answer = client.get(path)
        assert answer.status_code == 404 and "message" in answer.json(), path


def test_both_languages_say_the_same_things() -> None:
    import json
    from importlib import resources

    words = [
        json.loads((resources.files("gansmith.app") / "page" / f"words.{one}.json").read_text("utf-8"))
        for one in ("en", "zh")
    ]
    assert {part: sorted(keys) for part, keys in words[0].items()} == {
        part: sorted(keys) for part, keys in words[1].items()
    }
    said = [text for part in words[1].values() for text in part.values()]
    chinese = [text for text in said if any("\u4e00" <= letter <= "\u9fff" for letter in text)]
    assert len(chinese) > 0.9 * len(said)
    for part, keys in words[0].items():
        for key, text in keys.items():
            gaps = set(itertools.chain(*(part.split("}")[:1] for part in text.split("{")[1:])))
            assert all(f"{{{gap}}}" in words[1][part][key] for gap in gaps), f"{part}.{key}"


# ---- explore ----------------------------------------------------------------------------------------


def test_a_saved_picture_is_what_generate_makes_and_says_so(
    client: TestClient, root: Path, tmp_path: Path
) -> None:
    answer = picture(client, where="save", seed=7)
    assert answer.headers["content-disposition"] == 'attachment; filename="faces-seed-7.png"'
    (tmp_path / "one.png").write_bytes(answer.content)
    generator = open_generator(str(root / "faces"), "cpu")
    wanted = to_bytes(generator.make(Noise.of(7)))[0].permute(1, 2, 0).numpy()
    assert np.array_equal(pixels(answer.content), wanted)
    mark = read_provenance(tmp_path / "one.png")
    assert mark is not None and (mark.seed, mark.model) == (7, "faces")
    assert mark.fingerprint == generator.fingerprint
    quick = pixels(picture(client, seed=7).content)
    assert abs(quick - wanted).max() <= 1, "the quick picture is the same but for rounding"


def test_a_move_changes_the_picture_and_its_opposite_changes_it_the_other_way(client: TestClient) -> None:
    still = pixels(picture(client, seed=1).content)
    left, right = (pixels(picture(client, seed=1, move=f"sefa-1={way}").content) for way in (-0.5, 0.5))
    assert abs(left - still).mean() > 1 and abs(right - still).mean() > 1
    assert ((left - still) * (right - still)).mean() < 0
    assert np.array_equal(pixels(picture(client, seed=1, move="sefa-1=0").content), still)


def test_between_two_seeds_the_ends_are_the_seeds(client: TestClient) -> None:
    ends = [pixels(picture(client, seed=1, other=2, share=share).content) for share in (0, 0.5, 1)]
    assert np.array_equal(ends[0], pixels(picture(client, seed=1).content))
    assert abs(ends[2] - pixels(picture(client, seed=2).content)).max() <= 1
    assert abs(ends[1] - ends[0]).mean() > 1 and abs(ends[1] - ends[2]).mean() > 1


def test_styles_are_mixed_by_layer(client: TestClient) -> None:
    about = client.get("/api/explore/model", params={"model": "styles"}).json()
    assert about["layers"] > 2 and about["spaces"][-1] == "w+"
    one, other = (pixels(picture(client, model="styles", seed=seed).content) for seed in (1, 2))
    asked = {"model": "styles", "seed": 1, "other": 2}
    last = about["layers"] - 1
    assert abs(pixels(picture(client, **asked, layers=f"0-{last}").content) - other).mean() < 8
    fine = picture(client, where="save", **asked, layers="fine")
    assert 0 < abs(pixels(fine.content) - one).mean() < abs(other - one).mean()
    narrow = pixels(picture(client, **asked, layers="fine", truncation=0.0).content)
    assert abs(narrow - one).mean() > 0
    assert "Add other" in picture(client, 400, model="styles", layers="fine")
    assert "w+" in picture(client, 400, seed=1, other=2, layers="fine")


def test_stored_directions_are_the_sliders_and_foreign_ones_are_not(
    client: TestClient, root: Path, tmp_path: Path
) -> None:
    path = root / "two spaces"
    generator = open_generator(str(path), "cpu")
    smile = replace(sefa(generator, 1)[0], name="smile", source="attribute")
    about = {"model": "two spaces"}
    try:
        Directions(generator.fingerprint, (smile,)).save(path)
        told = client.get("/api/explore/model", params=about).json()
        assert (told["found"], [one["name"] for one in told["directions"]]) == ("stored", ["smile"])
        saved = picture(client, where="save", **about, seed=3, move="smile=0.5")
        steps = Steps(((smile, 0.5),))
        wanted = to_bytes(generator.make(Noise.of(3), None, None, steps))[0].permute(1, 2, 0).numpy()
        assert np.array_equal(pixels(saved.content), wanted)
        (tmp_path / "one.png").write_bytes(saved.content)
        assert "direction smile 0.5" in str(read_provenance(tmp_path / "one.png"))
        Directions("of other weights", (smile,)).save(path)
        told = client.get("/api/explore/model", params=about).json()
        assert told["found"] == "now" and "smile" not in {one["name"] for one in told["directions"]}
    finally:
        shutil.rmtree(path / "explore", ignore_errors=True)


def test_a_sheet_is_its_seeds_side_by_side(client: TestClient) -> None:
    sheet = pixels(picture(client, where="sheet", first=3, count=4, columns=2).content)
    assert sheet.shape == (32, 32, 3)
    saved = pixels(picture(client, where="save", seed=6).content)
    assert np.array_equal(sheet[16:, 16:], saved)


def test_what_conditional_models_are_asked_for(client: TestClient) -> None:
    def model(name: str) -> Any:
        return client.get("/api/explore/model", params={"model": name}).json()

    assert model("by class/labelled")["classes"] == ["cat", "dog", "owl"]
    assert model("by class/attributed")["attributes"] == ["smiling", "glasses"]
    assert model("captioned")["words"] is not None and model("faces")["words"] is None
    assert model("two spaces")["truncation"] and not model("faces")["truncation"]
    cat, dog = (
        pixels(picture(client, model="by class/labelled", label=one).content) for one in ("cat", "dog")
    )
    assert not np.array_equal(cat, dog)
    narrow = pixels(picture(client, model="two spaces", truncation=0.0).content)
    saved = picture(client, where="save", model="two spaces", truncation=0.0)
    assert abs(narrow - pixels(saved.content)).max() <= 1
    assert abs(narrow - pixels(picture(client, model="two spaces").content)).max() > 1


@pytest.mark.parametrize(
    ("asked", "code", "says"),
    [
        ({"model": "face"}, 404, "Did you mean 'faces'"),
        ({"model": "../faces"}, 404, "no model"),
        ({"model": "/etc"}, 404, "no model"),
        ({"model": "young"}, 400, "no checkpoint"),
        ({"model": "pairs/cycle"}, 400, "Translate"),
        ({"seed": -1}, 422, "seed"),
        ({"seed": 2**60}, 422, "seed"),
        ({"move": "sefa-9=1"}, 400, "no direction"),
        ({"move": "sefa-1=2"}, 400, "from -1 to 1"),
        ({"move": "sefa-1=nan"}, 400, "from -1 to 1"),
        ({"truncation": 0.5}, 400, "Truncation is for"),
        ({"label": "cat"}, 400, "seeds alone"),
        ({"model": "by class/labelled", "label": "cut"}, 400, "Did you mean 'cat'"),
        ({"model": "by class/attributed", "attributes": "smiling=7"}, 400, "0 or 1"),
        ({"speed": 3}, 422, "speed"),
    ],
)
def test_what_is_refused_is_said(
    client: TestClient, root: Path, asked: dict[str, Any], code: int, says: str
) -> None:
    message = picture(client, code, **asked)
    assert says in message and str(root) not in message and "Traceback" not in message


# ---- translate --------------------------------------------------------------------------------------


def send(client: TestClient, raw: bytes, code: int = 200, where: str = "picture", **asked: Any) -> Any:
    given = {"model": "pairs/cycle", **asked}
    files = {"photo": (given.pop("name", "a.png"), raw)}
    answer = client.post(f"/api/translate/{where}", data=given, files=files)
    assert answer.status_code == code, answer.text
    return answer if code == 200 else answer.json()["message"]


def test_a_photo_is_translated_and_marked(client: TestClient, tmp_path: Path) -> None:
    answer = send(client, png(40, 30), name="../../x/me.png")
    assert pixels(answer.content).shape == (30, 40, 3)
    (tmp_path / "one.png").write_bytes(answer.content)
    mark = read_provenance(tmp_path / "one.png")
    assert mark is not None and mark.note is not None and mark.note.startswith("translated from me.png (")
    strip = pixels(send(client, png(40, 30), fit="crop", compare="true").content)
    assert strip.shape == (16, 34, 3)
    back = send(client, png(40, 30), direction="b_to_a")
    assert not np.array_equal(pixels(back.content), pixels(answer.content))


def test_a_hole_is_filled_and_nothing_else_is_touched(client: TestClient) -> None:
    raw = png()
    before, after = pixels(raw), pixels(send(client, raw, model="pairs/fill", hole="10,10,4,4").content)
    changed = (before != after).any(axis=2)
    assert changed[10:14, 10:14].any() and changed.sum() <= 16


def test_attributes_are_set(client: TestClient) -> None:
    about = client.get("/api/translate/model", params={"model": "pairs/star"}).json()
    assert about["attributes"] == ["smiling", "glasses"] and about["takes"] == "photo"
    two = [
        pixels(send(client, png(), model="pairs/star", settings=f"smiling={one}").content) for one in (0, 1)
    ]
    assert not np.array_equal(*two)
    half = pixels(send(client, png(), model="pairs/star", settings="smiling=1", strength=0.5).content)
    assert not any(np.array_equal(half, one) for one in two)
    assert "--strength says how far" in send(client, png(), 400, model="pairs/star", strength=0.5)
    assert "no attribute 'smile'" in send(client, png(), 400, model="pairs/star", settings="smile=1")


@pytest.mark.parametrize(
    ("raw", "asked", "code", "says"),
    [
        (b"", {}, 400, "empty file"),
        (b"<svg onload='x'/>", {}, 400, "image file"),
        (png()[:200], {}, 400, ""),
        (png(), {"model": "faces"}, 400, "Explore"),
        (png(), {"model": "../pairs/cycle"}, 404, "no model"),
        (png(), {"fit": "squeeze"}, 422, "fit"),
        (png(), {"hole": "1,1,2,2"}, 400, "fill holes"),
        (png(), {"model": "pairs/fill"}, 400, "Nothing is to be filled"),
        (png(), {"model": "pairs/fill", "hole": "20,20,10,10"}, 400, "inside its picture"),
        (png(200, 100), {}, 413, "keeps its size"),
    ],
)
def test_photos_that_cannot_be_used(
    client: TestClient, raw: bytes, asked: dict[str, Any], code: int, says: str
) -> None:
    assert says in send(client, raw, code, **asked)


def test_a_hundred_megapixels_are_refused_by_their_header(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(raw, "PNG")

    def decoded(*_: Any, **__: Any) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(Image.Image, "load", decoded)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    assert "10000x10000" in send(client, raw.getvalue(), 413)


def test_a_body_larger_than_allowed_is_refused_with_and_without_its_length(client: TestClient) -> None:
    assert "MiB" in send(client, bytes(600_000), 413)
    boundary = b"--x\r\ncontent-disposition: form-data; name=photo; filename=a\r\n\r\n"
    answer = client.post(
        "/api/translate/picture",
        content=itertools.chain([boundary], itertools.repeat(bytes(50_000), 20)),
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 413 and "MiB" in answer.json()["message"]


# ---- who may ask ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example:7860"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "192.168.1.7"}, 421),
        ({"host": ""}, 421),
        ({"host": "[::1]:7860"}, 200),
        ({"host": "127.0.0.1:7860"}, 200),
        ({"origin": "http://localhost"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_requests_of_other_sites_are_refused(client: TestClient, headers: dict[str, str], code: int) -> None:
    assert client.get("/api/about", headers=headers).status_code == code


def test_elsewhere_a_token_is_needed(root: Path) -> None:
    client = client_of(root, token="secret-one", hosts=("gans.example",))
    assert client.get("/api/about").status_code == 401
    assert client.get("/").status_code == 401
    assert client.get("/api/about", headers={"authorization": "Bearer secret-two"}).status_code == 401
    assert client.get("/api/about", headers={"authorization": "Bearer secret-one"}).status_code == 200
    assert client.get("/?token=secret-two").status_code == 401
    assert client.get("/?token=secret-one", headers={"host": "evil.example"}).status_code == 421
    for host in ("gans.example", "192.168.1.7:7860"):
        answer = client.get("/api/about", headers={"host": host, "authorization": "Bearer secret-one"})
        assert answer.status_code == 200
    signed = client.get("/?token=secret-one", follow_redirects=False)
    assert signed.status_code == 303 and signed.headers["location"] == "/"
    assert "HttpOnly" in signed.headers["set-cookie"] and "SameSite=Strict" in signed.headers["set-cookie"]
    name, _, value = signed.headers["set-cookie"].partition(";")[0].partition("=")
    assert client.get("/api/about", headers={"cookie": f"{name}={value}"}).status_code == 200
    assert client.get("/api/about", headers={"cookie": f"{name}=other"}).status_code == 401


def test_who_asks_too_often_is_told_to_wait(root: Path) -> None:
    client = client_of(root, limits=Limits(burst=3, rate=0.01))
    codes = [client.get("/api/about").status_code for _ in range(5)]
    assert codes == [200, 200, 200, 429, 429]
    answer = client.get("/api/about")
    assert int(answer.headers["retry-after"]) > 50 and "Wait" in answer.json()["message"]


def test_a_thousand_clicks_at_once_make_a_few_pictures_and_the_app_goes_on(root: Path) -> None:
    app = create_app(root, device="cpu", limits=Limits(burst=500, rate=0.01))
    made: list[int] = []
    counted = app.state.services.desk.work

    async def work(who: str, task: Any) -> Any:
        return await counted(who, lambda: (made.append(1), time.sleep(0.01), task())[2])

    app.state.services.desk.work = work

    async def clicks() -> list[int]:
        there = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=there, base_url=HERE, headers={"x-tab": "one"}) as browser:
            asked = [
                browser.get("/api/explore/picture", params={"model": "faces", "seed": seed})
                for seed in range(1000)
            ]
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    codes = asyncio.run(clicks())
    assert codes.count(429) == 500 and set(codes) == {200, 409, 429}
    assert codes[499] == 200, "the newest that was let in"
    assert 2 <= len(made) == codes.count(200) < 100
