"""Fetching from servers that drop, lie, stall and change: the right file, or one clear error."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import random
import resource
import signal
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from invset.errors import WeightsError
from invset.weights import cache
from invset.weights import fetch as fetching
from invset.weights.fetch import fetch
from invset.weights.known import PREFIX, Source, Weights


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"hostile_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


web = _load("server")

DATA = random.Random(4).randbytes(100_000)
OTHER = random.Random(5).randbytes(100_000)
HALF = len(DATA) // 2


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "XDG_CACHE_HOME", "INVSET_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("INVSET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "WAIT", 0.001)
    with web.serving() as running:
        yield running


def toy(*urls: str, size: bool = True, checksum: bool = True, member: str | None = None) -> Weights:
    checksums = {"sha1": hashlib.sha1(DATA).hexdigest()} if checksum else {}
    sources = tuple(Source(url, member) for url in urls)
    return Weights("toy", "toy.bin", len(DATA) if size else None, checksums, sources, "research only", "a toy")


def unknown(*urls: str) -> Weights:
    return toy(*urls, size=False, checksum=False)


def left_over() -> set[str]:
    return {path.name for path in cache.folder().iterdir() if not path.name.endswith(".lock")}


def record() -> cache.Record:
    found = cache.read_record(toy())
    assert found is not None
    return found


def is_right(path: Path) -> bool:
    """The right bytes, in the right place, recorded, and nothing beside them."""
    assert path == cache.folder() / "toy.bin"
    assert left_over() == {"toy.bin", "toy.bin.json"}
    assert record().sha256 == hashlib.sha256(DATA).hexdigest()
    return path.read_bytes() == DATA


def refused(weights: Weights) -> str:
    """The one error, after which the file is not there; it names each source and the way by hand."""
    with pytest.raises(WeightsError) as caught:
        fetch(weights)
    assert not (cache.folder() / "toy.bin").exists()
    text = str(caught.value)
    assert text.startswith("weights toy could not be fetched:\n")
    for source in weights.sources:
        assert f"  {source.url}: " in text
        assert f"from {source.url}" in text
    assert "invset weights add toy PATH" in text
    assert ">" not in text  # no object's address, no tag of a page
    return text


def test_a_good_server(server: Any) -> None:
    moves: list[tuple[int, int | None]] = []
    weights = toy(server.put("/w", DATA))
    assert is_right(fetch(weights, move=lambda done, total: moves.append((done, total))))
    assert moves[0] == (0, len(DATA))
    assert moves[-1] == (len(DATA), len(DATA))
    assert record().source == weights.sources[0].url
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_what_is_here_is_not_asked_for_again(server: Any) -> None:
    weights = toy(server.put("/w", DATA))
    for _ in range(2):
        assert is_right(fetch(weights))
    assert len(server.requests) == 1


@pytest.mark.parametrize("right", [True, False])
def test_a_file_that_was_put_there_is_taken_if_it_is_right(server: Any, right: bool) -> None:
    cache.folder().mkdir(parents=True)
    cache.place(toy()).write_bytes(DATA if right else OTHER)
    assert is_right(fetch(toy(server.put("/w", DATA))))
    assert len(server.requests) == (0 if right else 1)


SPOILED: dict[str, list[Any]] = {
    "drops at once": [web.rude],
    "drops midway": [web.part(HALF)],
    "drops three times": [web.part(HALF), web.rude, web.part(HALF + 9)],
    "drops with one byte to go": [web.part(len(DATA) - 1)],
    "drops before the first byte": [web.part(0)],
    "babbles": [web.babble],
    "stalls": [web.stalls_at(HALF)],
    "503 then fine": [web.status(503), web.status(500), web.status(429)],
    "ignores Range": [web.part(HALF), web.ignores_ranges],
    "another part than asked for": [
        web.part(HALF),
        web.bare(206, DATA[10:], Content_Length=len(DATA) - 10, Content_Range=f"bytes 10-{len(DATA) - 1}/{len(DATA)}"),
    ],
    "a part without its range": [web.part(HALF), web.bare(206, DATA[HALF:], Content_Length=HALF)],
    "416 to a good range": [web.part(HALF), web.bare(416, b"", Content_Length=0)],
    "no length": [web.bare(200)],
    "chunked": [web.chunked],
    "chunked, cut": [web.chunked_cut],
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_server_that_comes_round(server: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT", (5, 0.3 if name == "stalls" else 5))
    assert is_right(fetch(toy(server.put("/w", DATA, *SPOILED[name]))))


HOPELESS: dict[str, tuple[Any, str]] = {
    "404": (web.status(404), "it answers 404 Not Found"),
    "403": (web.status(403), "it answers 403 Forbidden"),
    "503 forever": (web.status(503), "it answers 503 Service Unavailable, 4 times in a row"),
    "drops always": (web.rude, "the connection failed (Remote end closed connection without response), 4 times"),
    "stalls always": (web.stalls_at(0), "(Read timed out.), 4 times in a row"),
    "too short": (web.bare(200, DATA[:-1], Content_Length=len(DATA) - 1), "it has 99,999 bytes, not 100,000"),
    "too long": (web.bare(200, DATA + b"x", Content_Length=len(DATA) + 1), "it gives more than 100,000 bytes"),
    "too long, unsaid": (web.bare(200, DATA + bytes(999)), "it gives more than 100,000 bytes"),
    "wrong bytes": (web.bare(200, OTHER, Content_Length=len(OTHER)), "its sha1 is"),
    "a page": (web.bare(200, b"<!DOCTYPE html>".ljust(len(DATA)), Content_Length=len(DATA)), "it is a web page, not"),
    "a redirect to itself": (web.status(302, Location="/w"), "the connection failed (Exceeded 30 redirects"),
    "a redirect to a file": (web.status(302, Location="file:///etc/passwd"), "the connection failed (No connection"),
}


@pytest.mark.parametrize("name", HOPELESS)
def test_a_server_that_never_does_is_one_error_and_the_mirror_is_next(
    server: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    answer, reason = HOPELESS[name]
    bad = server.put("/w", DATA, *[answer] * 300)
    monkeypatch.setattr(fetching, "TIMEOUT", (5, 0.1 if name == "stalls always" else 5))
    assert reason in refused(toy(bad))
    server.requests.clear()
    assert is_right(fetch(toy(bad, server.put("/mirror", DATA))))
    assert server.requests[-1].path == "/mirror"


def test_no_server_at_all(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = refused(toy(f"http://127.0.0.1:{port}/w", "nonsense://x/w"))
    assert "the connection failed ([Errno 111] Connection refused), 4 times in a row" in text
    assert "nonsense://x/w: the connection failed" in text

    def no_network(*arguments: object, **options: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    assert "name.invalid/w: the connection failed (Failed to resolve" in refused(toy("http://name.invalid/w"))


def test_a_redirect_is_followed(server: Any) -> None:
    there = server.put("/there", DATA)
    weights = toy(server.put("/w", b"", web.status(302, Location="/hop")))
    server.put("/hop", b"", web.status(307, Location=there))
    assert is_right(fetch(weights))
    assert record().source == weights.sources[0].url


def test_sources_are_tried_in_turn_and_all_are_named(server: Any) -> None:
    urls = [server.put("/a", DATA, web.status(404)), server.put("/b", OTHER), server.put("/c", DATA, *[web.rude] * 9)]
    text = refused(toy(*urls))
    assert text.index("/a: it answers 404") < text.index("/b: its sha1 is") < text.index("/c: the connection failed")
    assert [request.path for request in server.requests] == ["/a", "/b"] + ["/c"] * 4


def test_only_the_rest_is_asked_for_after_a_drop(server: Any) -> None:
    assert is_right(fetch(toy(server.put("/w", DATA, web.part(HALF)))))
    assert server.ranges() == [None, f"bytes={HALF}-"]


def test_halves_of_two_sources_are_not_put_together(server: Any) -> None:
    first = server.put("/w", OTHER, web.part(HALF), *[web.status(404)] * 9)
    path = fetch(unknown(first, server.put("/mirror", DATA)))
    assert path.read_bytes() == DATA


def test_what_came_is_kept_for_the_next_time(server: Any) -> None:
    """Whatever a mirror does that does not give the file."""
    first = server.put("/w", DATA, web.part(HALF), *[web.status(503)] * 3)
    mirrors = [server.put("/a", b"", web.status(404)), server.put("/b", DATA, *[web.rude] * 4)]
    weights = toy(first, *mirrors)
    assert "What came is kept: fetching again goes on from there." in refused(weights)
    assert [name.endswith(".part") for name in left_over()] == [True]
    assert is_right(fetch(weights))
    assert server.ranges("/w")[-1] == f"bytes={HALF}-"


def part() -> Path:
    """What has come of the only address."""
    (path,) = cache.folder().glob("toy.bin.*.part")
    return path


def begun(server: Any, data: bytes) -> str:
    """An address of DATA of which this has come."""
    url: str = server.put("/w", DATA, web.part(9), *[web.rude] * 9)
    refused(toy(url))
    part().write_bytes(data)
    server.requests.clear()
    server.sent = 0
    return server.put("/w", DATA)  # type: ignore[no-any-return]


@pytest.mark.parametrize("data", [OTHER[:HALF], OTHER, OTHER + OTHER])
def test_a_part_that_is_wrong_is_thrown_away(server: Any, data: bytes) -> None:
    url = begun(server, data)
    with suppress(WeightsError):
        fetch(toy(url))
    assert is_right(fetch(toy(url)))


def test_a_whole_part_is_only_checked(server: Any) -> None:
    """The server answers 416 with the length: there is no more."""
    url = begun(server, DATA)
    assert is_right(fetch(toy(url)))
    assert server.sent == 0


def test_trust_on_first_use(server: Any) -> None:
    weights = unknown(server.put("/w", DATA))
    assert is_right(fetch(weights))
    cache.place(weights).unlink()
    server.put("/w", OTHER)
    text = refused(weights)
    assert hashlib.sha256(OTHER).hexdigest() in text
    assert f"{hashlib.sha256(DATA).hexdigest()} as on first use" in text
    server.put("/w", DATA)
    assert is_right(fetch(weights))


def test_an_empty_file(server: Any) -> None:
    assert "it has 0 bytes" in refused(unknown(server.put("/w", b"")))


def test_a_prefix_of_a_checksum(server: Any) -> None:
    digest = hashlib.sha256(DATA).hexdigest()
    weights = Weights("toy", "toy.bin", None, {PREFIX: digest[:8]}, (Source(server.put("/w", DATA)),), "", "")
    assert is_right(fetch(weights))
    cache.place(weights).unlink()
    server.put("/w", OTHER)
    assert f"and should begin with {digest[:8]}" in refused(weights)


def packed(kind: str, name: str = "release_v0/fc6/toy.bin", data: bytes = DATA) -> bytes:
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr("release_v0/readme.txt", "hello")
            zipped.writestr(name, data)
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("checksum", [True, False])
def test_a_file_in_an_archive(server: Any, kind: str, checksum: bool) -> None:
    url = server.put("/w", packed(kind), web.part(1000), web.part(2000))
    assert is_right(fetch(toy(url, checksum=checksum, size=checksum, member="fc6/toy.bin")))


def test_an_archive_that_a_server_calls_gzipped_content(server: Any) -> None:
    """As Apache does with .tar.gz: it is kept as it is, not unpacked on the way."""
    data = packed("tar.gz")
    answer = web.bare(200, Content_Encoding="x-gzip", Content_Type="application/x-tar", Content_Length=len(data))
    assert is_right(fetch(toy(server.put("/w", data, answer), member="fc6/toy.bin")))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives_that_will_not_do(server: Any, kind: str) -> None:
    urls = [
        server.put("/cut", packed(kind)[:5000]),
        server.put("/other", packed(kind, data=OTHER)),
        server.put("/elsewhere", packed(kind, name="toy.bin")),
        server.put("/page", b"<html>no</html>"),
        server.put("/plain", DATA),
    ]
    text = refused(toy(*urls, member="fc6/toy.bin"))
    for reason in ("/other: its sha1 is", "/elsewhere: the archive holds no file fc6/toy.bin"):
        assert reason in text
    for path in ("cut", "page", "plain"):
        assert f"/{path}: it is no whole .zip or .tar.gz" in text
    assert left_over() == set()


FAULTS = [
    web.honest,
    web.rude,
    web.babble,
    web.part(1),
    web.part(HALF),
    web.part(HALF + 7777),
    web.part(len(DATA) - 1),
    web.ignores_ranges,
    web.chunked,
    web.chunked_cut,
    web.status(500),
    web.status(429, Retry_After=0),
    web.status(404),
    web.status(416),
    web.bare(200),
    web.bare(200, DATA[:HALF]),
    web.bare(200, OTHER, Content_Length=len(OTHER)),
    web.bare(200, DATA[:99], Content_Length=99),
    web.bare(206, Content_Length=len(DATA), Content_Range=f"bytes 0-{len(DATA) - 1}/{len(DATA)}"),
    web.bare(206, OTHER[HALF:], Content_Length=HALF, Content_Range=f"bytes {HALF}-{len(DATA) - 1}/{len(DATA)}"),
    web.bare(416, b"", Content_Range=f"bytes */{HALF}", Content_Length=0),
    web.bare(200, b"<html>", Content_Type="text/html", Content_Length=6),
]


@pytest.mark.parametrize("seed", range(20))
def test_any_mixture_of_faults_ends_in_the_right_file_or_one_error(server: Any, seed: int) -> None:
    """And whatever was left lying, an honest server mends it, at the second time if pieces of two files lay there."""
    dice = random.Random(seed)
    mixed = [dice.choices(FAULTS, k=dice.randrange(8)) for _ in range(2)]
    etags = [dice.choice(['"one"', None]) for _ in range(2)]
    urls = [server.put(f"/{n}", DATA, *mixed[n], etag=etags[n]) for n in range(2)]
    for _ in range(3):
        with suppress(WeightsError):
            assert is_right(fetch(toy(*urls)))
        assert not cache.place(toy()).exists() or cache.place(toy()).read_bytes() == DATA
    for url in urls:
        server.put(url[url.rindex("/") :], DATA)
    assert is_right(fetch(toy(*urls)))


def test_offline_asks_nobody(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVSET_OFFLINE", "1")
    weights = toy(server.put("/w", DATA))
    with pytest.raises(WeightsError, match="toy: not here, and INVSET_OFFLINE forbids to fetch it"):
        fetch(weights)
    assert server.requests == []
    cache.folder().mkdir(parents=True)
    cache.place(weights).write_bytes(DATA)
    assert is_right(fetch(weights))


def test_ctrl_c_keeps_what_came(server: Any) -> None:
    def interrupt(done: int, total: int | None) -> None:
        if done >= 20_000:
            raise KeyboardInterrupt

    weights = toy(server.put("/w", DATA))
    with pytest.raises(KeyboardInterrupt):
        fetch(weights, move=interrupt)
    kept = part().stat().st_size
    assert kept >= 20_000
    assert is_right(fetch(weights))
    assert server.ranges() == [None, f"bytes={kept}-"]


def test_waits_are_announced_and_grow(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(fetching, "WAIT", 1.0)
    monkeypatch.setattr(fetching.time, "sleep", slept.append)
    lines: list[str] = []
    url = server.put("/w", DATA, web.status(503), web.status(503), web.status(429))
    fetch(toy(url), lines.append)
    assert slept == [1, 2, 4]
    assert lines == [
        "fetching toy (0.1 MB); terms: research only",
        f"  from {url}",
        "  waiting 1 s to try again: it answers 503 Service Unavailable",
        "  waiting 2 s to try again: it answers 503 Service Unavailable",
        "  waiting 4 s to try again: it answers 429 Too Many Requests",
        "  matches the published sha1",
    ]


def test_a_long_download_may_fail_often_but_not_in_a_row(server: Any) -> None:
    ends = range(5000, 100_000, 5000)
    assert is_right(fetch(toy(server.put("/w", DATA, *map(web.part, ends)))))
    assert server.ranges() == [None, *(f"bytes={end}-" for end in ends)]


def test_a_disk_that_is_full(server: Any) -> None:
    """With a limit on file sizes, which the system enforces as it does the end of a disk."""
    weights = toy(server.put("/w", DATA), server.put("/mirror", DATA))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    try:
        with pytest.raises(WeightsError, match=r"toy.bin.\w+.part: cannot be written \(File too large\)"):
            fetch(weights)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(server.requests) == 1  # another source would not help
    assert is_right(fetch(weights))


def test_a_cache_that_cannot_be_made(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("INVSET_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=r"\(Not a directory\): mend that, or set INVSET_CACHE"):
        fetch(toy(server.put("/w", DATA)))


PROGRAM = """
import sys
from invset.weights.fetch import fetch
from invset.weights.known import Source, Weights
url, sha1 = sys.argv[1:]
weights = Weights("toy", "toy.bin", 100_000, {"sha1": sha1}, (Source(url),), "", "")
print(fetch(weights, lambda text: print(text, flush=True), lambda done, total: print(done, flush=True)))
"""


def other_process(url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, url, hashlib.sha1(DATA).hexdigest()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_at_once_fetch_once(server: Any) -> None:
    url = server.put("/w", DATA, web.halfway)
    with other_process(url) as first:
        assert server.halfway.wait(20)
        with other_process(url) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == "waiting for another process\n"
            server.gate.set()
            outputs = [process.communicate(timeout=20) for process in (first, second)]
    path = cache.folder() / "toy.bin"
    assert [out.splitlines()[-1] for out, _ in outputs] == [str(path)] * 2
    assert [err for _, err in outputs] == ["", ""]
    assert len(server.requests) == 1
    assert is_right(path)


def test_a_process_that_waited_for_one_that_failed_fetches_itself(server: Any) -> None:
    url = server.put("/w", DATA, web.halfway)
    with other_process(url) as first:
        assert server.halfway.wait(20)
        with other_process(url) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == "waiting for another process\n"
            first.kill()
            out, _ = second.communicate(timeout=20)
            first.communicate()
    assert out.splitlines()[-1] == str(cache.folder() / "toy.bin")
    assert is_right(cache.folder() / "toy.bin")


def test_a_kill_in_the_middle_loses_nothing_that_came(server: Any) -> None:
    url = server.put("/w", DATA, web.halfway)
    with other_process(url) as process:
        assert process.stdout is not None
        while process.stdout.readline() != f"{HALF}\n":
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    kept = part().stat().st_size
    assert DATA.startswith(part().read_bytes())
    assert HALF - 10_000 < kept <= HALF  # but for what was on its way to the disk
    server.gate.set()
    assert is_right(fetch(toy(url)))
    assert server.ranges() == [None, f"bytes={kept}-"]
