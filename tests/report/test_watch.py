"""The server of a run in progress: what it serves, what it refuses, when its page changes."""

import http.client
import json
import socket
import threading

import pytest

from rnnlab.core import run_files
from rnnlab.core.errors import UserError
from rnnlab.report.watch import WatchServer, state
from tests.helpers import saved_runs
from tests.helpers.browser import Browser, in_browser

MEMBERS, LOGGED = saved_runs.training_members()


@pytest.fixture
def run(tmp_path):
    """A run of three members, of which one is finished."""
    (tmp_path / "secret.txt").write_text("secret")
    overrides = [overrides for overrides, _ in MEMBERS[:3]]
    return saved_runs.save_run(
        tmp_path / "run",
        MEMBERS[:1],
        logged=LOGGED,
        finished=False,
        members=3,
        overrides=overrides,
        metrics=saved_runs.METRICS,
    )


@pytest.fixture
def server(run):
    with WatchServer(run, 0) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.02,))
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def get(server, path, host=None, method="GET"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_it_serves_the_page_and_its_data(server, run):
    assert server.server_address[0] == "127.0.0.1"
    status, page = get(server, "/")
    assert status == 200
    assert b"1 of 3 members finished" in page
    assert b"connect-src 'self'" in page
    assert json.loads(get(server, "/state.json")[1]) == state(run)
    data = json.loads(get(server, "/data.json")[1])
    assert data["ids"] == [0]
    assert get(server, "/report.html")[0] == 404  # there is none yet
    saved_runs.save_member(run, 1, *MEMBERS[1], LOGGED[1])
    saved_runs.save_member(run, 2, *MEMBERS[2], LOGGED[2])
    saved_runs.finish(run)
    assert get(server, "/report.html") == (200, b"an old page")


@pytest.mark.parametrize(
    "path",
    [
        "/config.json",
        "/members.jsonl",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "//etc/passwd",
        "/report.html/../config.json",
        "/..%2fsecret.txt",
        "/..\\secret.txt",
        "/state.json/",
        "/data.json?../config.json",
        "http://127.0.0.1/config.json",
        "/figures/",
        "*",
    ],
)
def test_nothing_else_is_served(server, path):
    status, body = get(server, path)
    assert status == 404
    assert body == b"not part of the page\n"


def test_only_this_machines_own_names_are_answered(server):
    assert get(server, "/data.json", host="evil.example")[0] == 403
    assert get(server, "/data.json", host=f"evil.example:{server.server_port}")[0] == 403
    assert get(server, "/state.json", host=f"localhost:{server.server_port}")[0] == 200
    assert get(server, "/data.json", method="POST")[0] == 501


def test_a_damaged_run_is_said(server, run):
    with open(run / "members.jsonl", "ab") as file:
        file.write(b"{}\n")
    status, body = get(server, "/data.json")
    assert status == 500
    assert "members.jsonl, line 2, is not what was written" in json.loads(body)["problem"]


def test_the_version_changes_when_members_end_or_the_log_grows(run):
    first = state(run)
    assert {key: first[key] for key in ("done", "of", "finished")} == {
        "done": 1,
        "of": 3,
        "finished": False,
    }
    assert state(run) == first
    saved_runs.save_member(run, 1, *MEMBERS[1])
    assert (second := state(run))["version"] != first["version"]
    size = (run / "metrics.jsonl").stat().st_size
    with open(run / "metrics.jsonl", "ab") as file:
        file.write(b"\n" * (size // 4))
    assert state(run)["version"] != second["version"]


def test_a_port_in_use_is_said_in_one_line(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            UserError, match=rf"^port {port} is in use: choose another with --port=N"
        ):
            WatchServer(run, port)
    with pytest.raises(ValueError, match="port must be a whole number from 0 to 65535, got 70000"):
        WatchServer(run, 70000)
    with pytest.raises(UserError, match="no run directory"):
        WatchServer(run / "figures", 0)


@in_browser
def test_the_page_follows_the_run(server, run, tmp_path):
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(server.address)
        browser.wait("document.documentElement.dataset.version")
        lines = "document.getElementById('explorer').dataset.lines"
        assert browser.js(lines) == "1"
        browser.js(
            "document.querySelector('[name=seeds]').value = 'every';"
            "document.querySelector('[name=seeds]').dispatchEvent(new Event('change'))"
        )
        saved_runs.save_member(run, 1, *MEMBERS[1], LOGGED[1])
        browser.wait(f"{lines} === '2'")
        assert browser.js("document.querySelector('[name=seeds]').value") == "every"
        assert (
            browser.js("document.getElementById('progress').textContent")
            == "2 of 3 members finished"
        )
        saved_runs.save_member(run, 2, *MEMBERS[2], LOGGED[2])
        saved_runs.finish(run)
        browser.wait("document.querySelector('#progress a')?.textContent === 'Open the report'")
        assert not browser.console
    finally:
        browser.close()
    assert run_files.is_finished(run)
