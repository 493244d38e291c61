"""In interpreters of their own: what is imported here is imported for all tests."""

import subprocess
import sys


def _run(program: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", "import sys\nfrom pyganeti.base import parts\n" + program],
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_a_part_comes_without_the_rest() -> None:
    said = _run(
        "assert parts.take('email', 'charset')\n"
        "import email.charset, email.message\n"
        "print(email.charset.Charset('utf-8'), hasattr(email, 'message_from_string'))\n"
    )
    assert said == "utf-8 False"


def test_the_node_daemon_has_no_http_client_and_no_database_of_the_networks_library() -> None:
    said = _run(
        "from pyganeti.noded import command\n"
        "assert command.take_parts()\n"
        "from pyganeti.noded import app\n"
        "from pyroute2.iproute import linux\n"
        "print([n for n in ('aiohttp.client', 'aiohttp.web', 'pyroute2.ndb.main')"
        " if n in sys.modules])\n"
    )
    assert said == "[]"


def test_what_does_not_bear_it_is_imported_whole() -> None:
    said = _run(
        "assert not parts.take('email', 'charset', 'nosuchmodule')\n"
        "import email\n"
        "print(callable(email.message_from_string))\n"
    )
    assert said == "True"


def test_what_is_there_already_stays_as_it_is() -> None:
    assert _run("import email\nprint(parts.take('email', 'charset'))") == "False"
    assert _run("print(parts.take('no_such_package', 'x'))") == "False"
