"""Send every request that must be refused to a real router and print what it answers.

.venv/bin/python benchmarks/bad_inputs.py
"""

import http.client
import json
import sys
from contextlib import closing
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from tests.contract.router.bad_inputs import BAD_INPUTS, BadInput  # noqa: E402
from tests.contract.router.harness import router_database, running_router  # noqa: E402
from tests.postgres import throwaway_postgres  # noqa: E402


def main() -> None:
    """Print the table: input, status, answer."""
    wrong = 0
    print("| input | request | status | answer |\n|---|---|---|---|")
    with throwaway_postgres() as url, running_router(router_database(url), workers=2) as running:
        before = running.ask("/traffic")
        for bad in BAD_INPUTS:
            status, text = send(running.port, bad)
            said = json.loads(text)
            wrong += status != bad.status
            answer = f"{said['error']}; found {said['found'][:60]}. {said['remedy'][:60]}"
            print(f"| {bad.name} | `{cell(bad.shown)}` | {status} | {cell(answer)} |")
        assert running.ask("/traffic") == before
    print(f"\n{len(BAD_INPUTS)} requests, {wrong} with another status than expected; the traffic is unchanged.")


def send(port: int, bad: BadInput) -> tuple[int, bytes]:
    """Status and body of the answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        headers = {"Content-Type": bad.content_type} if bad.content_type else {}
        connection.request(bad.method, bad.path, bad.body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def cell(text: str) -> str:
    """Text that fits a Markdown table."""
    return text.encode("unicode_escape").decode().replace("|", "\\|").replace("`", "'")


if __name__ == "__main__":
    main()
