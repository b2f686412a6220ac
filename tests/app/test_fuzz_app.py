"""Requests made out of the app's own OpenAPI description: none is a fault, all answers keep to it."""

import warnings
from typing import Any

import pytest
from shelves import shelf

pytest.importorskip("fastapi", reason="the extra app is not installed")
schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gansmith.app.limits import Limits  # noqa: E402
from gansmith.app.server import create_app  # noqa: E402

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = shelf(tmp_path_factory.mktemp("runs"), {"faces": "lazy", "cycle": "cyclegan64-small"})
    app = create_app(root, device="cpu", hosts=("testserver",), limits=Limits(rate=1e6, burst=10**6))
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def _all_keep_to(schema: Any, examples: int) -> int:
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=examples, deadline=None, database=None, derandomize=True,
            phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def keeps(case: Any) -> None:
            nonlocal asked
            asked += 1
            case.call_and_validate(checks=CHECKS)

        keeps()
    return asked


def test_what_the_description_allows_is_answered_as_it_says(schema: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert _all_keep_to(schema, 4) > 20


@pytest.mark.slow
def test_long(schema: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert _all_keep_to(schema, 200) > 500
