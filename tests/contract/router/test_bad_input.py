"""Whatever is sent: the answer is JSON with a rule, what was found and a remedy, and a refusal changes nothing."""

import pytest
from flask.testing import FlaskClient
from tests.contract.router.bad_inputs import BAD_INPUTS, BadInput

BEFORE = {"a": 0.75, "b": 0.25, "data_size": 123, "drift_cols": ["cut"], "seed": 5}


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: f"{bad.method} {bad.name}")
def test_bad_input_is_refused_and_changes_nothing(client: FlaskClient, bad: BadInput) -> None:
    assert client.post("/traffic", json=BEFORE).status_code == 200
    answer = client.open(bad.path, method=bad.method, data=bad.body, content_type=bad.content_type)
    assert answer.status_code == bad.status
    assert answer.mimetype == "application/json"
    said = answer.get_json()
    assert set(said) == {"error", "found", "remedy"}
    assert all(isinstance(text, str) and text for text in said.values())
    assert len(said["found"]) < 250
    assert client.get("/traffic").get_json() == BEFORE


def test_the_list_is_long_and_has_no_doubles() -> None:
    assert len({(bad.method, bad.path, bad.body, bad.content_type) for bad in BAD_INPUTS}) == len(BAD_INPUTS) >= 60


@pytest.mark.parametrize(
    ("body", "error", "found", "remedy"),
    [
        ({"a": 0.7, "b": 0.4}, "a + b must equal 1", "0.7 + 0.4", "Send both shares, or one of them."),
        (
            {"data_size": 10**6},
            "data_size must be a whole number from 1 to 16168 (the smaller pool of diamonds)",
            "1000000",
            "Send 5000, for example.",
        ),
        (
            {"drift": {"cut": {"kind": "noise"}}},
            "drift.cut: noise must have a column of numbers",
            "cut is a category",
            "For a category: mix, nulls.",
        ),
        ({"seed": True}, "seed must be a whole number from 0 to 2^63 - 1", "true", "Send 42, or null for none."),
    ],
)
def test_refusals_read_well(client: FlaskClient, body: object, error: str, found: str, remedy: str) -> None:
    assert client.post("/traffic", json=body).get_json() == {"error": error, "found": found, "remedy": remedy}


def test_405_says_what_is_allowed(client: FlaskClient) -> None:
    assert set(client.put("/traffic").headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_refusals_are_logged_without_body_and_query(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    client.post("/traffic", json={"a": "body-secret"})
    client.get("/get_data?drift_cols=query-secret")
    client.get("/x%0aforged")
    assert [record.getMessage() for record in caplog.records if record.name == "router.app"] == [
        "POST /traffic 400",
        "GET /get_data 400",
        "GET /x\\nforged 404",
    ]
    assert "secret" not in caplog.text
