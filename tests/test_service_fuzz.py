"""The API against its own description: whatever is sent, no fault and the answers described."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings

from rsfiqa.service.app import create_app
from service_world import FakeModel, limits

schemathesis = pytest.importorskip("schemathesis")

app = create_app({False: FakeModel(), True: FakeModel(reader="fake")}, limits(max_pixels=250_000))
schema = schemathesis.openapi.from_asgi("/openapi.json", app)
NO_PICTURE = [schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]
"""That a file must be a picture cannot be said in a schema: most of what fits is refused."""


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_meets_a_fault(case: schemathesis.Case) -> None:
    case.call_and_validate(excluded_checks=NO_PICTURE)
