"""Notifications, sent by Apprise to a real receiver on this machine."""

import logging
import time
from collections.abc import Iterator

import pytest
from tests.receiver import TOKEN, Receiver, receiving

from gauntlet.adapters.notifications import AppriseNotifier


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def seen(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def test_every_receiver_gets_the_message(receiver: Receiver, seen: pytest.LogCaptureFixture) -> None:
    AppriseNotifier(f"{receiver.url('one')}, {receiver.url('two')}").tell("diamonds: drift in carat", "KS <0.3> & more")
    assert sorted(path for path, _ in receiver.posted) == ["/one", "/two"]
    for _, body in receiver.posted:
        assert (body["title"], body["message"]) == ("diamonds: drift in carat", "KS <0.3> & more")
    assert seen.text == ""


def test_a_receiver_that_refuses_fails_nothing_and_is_named_by_its_place(
    receiver: Receiver, seen: pytest.LogCaptureFixture
) -> None:
    receiver.status = 500
    AppriseNotifier(receiver.url()).tell("title", "text")
    assert len(receiver.posted) >= 1
    assert [record.getMessage() for record in seen.records] == [
        "NOTIFY_URLS, 'title': URL 1 of 1: was not reached, or refused the message"
    ]


@pytest.mark.parametrize(
    ("urls", "problem"),
    [
        (f"json://user:{TOKEN}@127.0.0.1:1/{TOKEN}", "was not reached, or refused the message"),
        (TOKEN, "must be one that Apprise knows, such as ntfys://HOST/TOPIC; it is none"),
        (f"nowhere://{TOKEN}", "must be one that Apprise knows, such as ntfys://HOST/TOPIC; it is none"),
    ],
)
def test_a_wrong_url_is_not_logged_and_the_others_get_the_message(
    receiver: Receiver, seen: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], urls: str, problem: str
) -> None:
    AppriseNotifier(f"{urls} {receiver.url()}").tell("title", "text")
    assert [path for path, _ in receiver.posted] == ["/hook"]
    assert f"URL 1 of 2: {problem}" in seen.text
    assert TOKEN not in seen.text + "".join(capfd.readouterr())


def test_a_receiver_that_hangs_is_not_waited_for(receiver: Receiver, seen: pytest.LogCaptureFixture) -> None:
    receiver.hangs = True
    began = time.monotonic()
    AppriseNotifier(receiver.url(), seconds=1.0).tell("title", "text")
    assert time.monotonic() - began < 6
    assert [record.getMessage() for record in seen.records] == [
        "NOTIFY_URLS, 'title': URL 1 of 1: no answer within 1 s"
    ]


def test_no_process_to_send_from_is_no_failure(seen: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent")
    AppriseNotifier(f"json://{TOKEN}").tell("title", "text")
    assert "nothing was sent: FileNotFoundError" in seen.text
    assert TOKEN not in seen.text
