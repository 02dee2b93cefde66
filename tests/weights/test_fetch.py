"""Fetching from servers that drop, lie, stall and change: the right file, or one clear error."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import io
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from invset.errors import WeightsError
from invset.weights import archive, cache, disk, download, records
from invset.weights.fetch import Patience, Progress, fetch
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
QUICK = Patience(connect=5, read=5, tries=4, backoff=0, longest_wait=0.02, slowest=0, window=60)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "XDG_CACHE_HOME", "INVSET_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("INVSET_CACHE", str(tmp_path / "cache"))
    with web.serving() as running:
        yield running


def toy(*urls: str, size: bool = True, checksum: bool = True, member: str | None = None) -> Weights:
    checksums = {"sha1": hashlib.sha1(DATA).hexdigest()} if checksum else {}
    sources = tuple(Source(url, member) for url in urls)
    return Weights("toy", "toy.bin", len(DATA) if size else None, checksums, sources, "research only", "a toy")


def unknown(*urls: str, member: str | None = None) -> Weights:
    return toy(*urls, size=False, checksum=False, member=member)


def left_over() -> set[str]:
    return {path.name for path in cache.folder().iterdir() if not path.name.endswith(".lock")}


def is_right(path: Path) -> bool:
    """The right bytes, in the right place, recorded, and nothing beside them."""
    assert path == cache.folder() / "toy.bin"
    assert left_over() == {"toy.bin", records.FILE}
    assert records.read(cache.folder())["toy"].sha256 == hashlib.sha256(DATA).hexdigest()
    return path.read_bytes() == DATA


def refused(weights: Weights, patience: Patience = QUICK) -> str:
    """The one error, after which the file is not there; it names each source and the way by hand."""
    with pytest.raises(WeightsError) as caught:
        fetch(weights, patience=patience)
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
    seen: list[Progress] = []
    weights = toy(server.put("/w", DATA))
    assert is_right(fetch(weights, seen.append, QUICK))
    assert [*dict.fromkeys(step.phase for step in seen)] == ["downloading", "checking"]
    assert (seen[0].done, seen[0].total) == (0, len(DATA))
    assert max(step.done for step in seen) == len(DATA)
    record = records.read(cache.folder())["toy"]
    assert (record.source, record.trust) == (weights.sources[0].url, cache.BY_CHECKSUM)
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_what_is_here_is_not_asked_for_again(server: Any) -> None:
    weights = toy(server.put("/w", DATA))
    fetch(weights, patience=QUICK)
    seen: list[Progress] = []
    assert is_right(fetch(weights, seen.append, QUICK))
    assert len(server.requests) == 1
    assert seen == []


def test_a_right_file_that_was_put_there_is_taken(server: Any) -> None:
    cache.folder().mkdir(parents=True)
    cache.place(toy()).write_bytes(DATA)
    assert is_right(fetch(toy(server.put("/w", OTHER)), patience=QUICK))
    assert server.requests == []


def test_a_wrong_file_that_was_put_there_is_replaced(server: Any) -> None:
    cache.folder().mkdir(parents=True)
    cache.place(toy()).write_bytes(OTHER)
    assert is_right(fetch(toy(server.put("/w", DATA)), patience=QUICK))


SPOILED: dict[str, list[Any]] = {
    "drops at once": [web.rude],
    "drops midway": [web.part(HALF)],
    "drops three times": [web.part(HALF), web.rude, web.part(HALF + 9)],
    "drops with one byte to go": [web.part(len(DATA) - 1)],
    "drops before the first byte": [web.part(0)],
    "babbles": [web.babble],
    "stalls": [web.stalls_at(HALF)],
    "503 then fine": [web.status(503), web.status(500), web.status(502)],
    "429 with Retry-After": [web.status(429, Retry_After="0"), web.status(429, Retry_After="1000000")],
    "429 with a date": [web.status(429, Retry_After=formatdate(time.time() + 3600, usegmt=True))],
    "429 with nonsense": [web.status(429, Retry_After="soon")],
    "ignores Range": [web.part(HALF), web.ignores_ranges],
    "another part than asked for": [
        web.part(HALF),
        web.bare(206, DATA[10:], Content_Length=len(DATA) - 10, Content_Range=f"bytes 10-{len(DATA) - 1}/{len(DATA)}"),
    ],
    "a part without its range": [web.part(HALF), web.bare(206, DATA[HALF:], Content_Length=HALF)],
    "a part with a nonsense range": [
        web.part(HALF),
        web.bare(206, DATA[HALF:], Content_Range="bytes x", Content_Length=1),
    ],
    "a part though all was asked for": [
        web.bare(206, Content_Length=len(DATA), Content_Range=f"bytes 0-{len(DATA) - 1}/{len(DATA)}")
    ],
    "another version than asked for": [
        web.part(HALF),
        web.bare(
            206,
            OTHER[HALF:],
            Content_Length=HALF,
            Content_Range=f"bytes {HALF}-{len(DATA) - 1}/{len(DATA)}",
            ETag='"two"',
        ),
    ],
    "416 to a good range": [web.part(HALF), web.bare(416, b"", Content_Length=0)],
    "no length": [web.bare(200)],
    "no length, cut": [web.bare(200, DATA[:HALF]), web.honest],
    "chunked": [web.chunked],
    "chunked, cut": [web.chunked_cut],
    "a nonsense length": [web.bare(200, Content_Length="many")],
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_server_that_comes_round(server: Any, name: str) -> None:
    patience = replace(QUICK, read=0.3) if name == "stalls" else QUICK
    assert is_right(fetch(toy(server.put("/w", DATA, *SPOILED[name])), patience=patience))


HOPELESS: dict[str, tuple[Any, str]] = {
    "404": (web.status(404), "it answers 404 Not Found"),
    "403": (web.status(403), "it answers 403 Forbidden"),
    "204": (web.status(204), "it answers 204 No Content"),
    "503 forever": (web.status(503), "it answers 503 Service Unavailable, 4 times in a row"),
    "drops always": (web.rude, "it drops the connection, 4 times in a row"),
    "babbles always": (web.babble, "it drops the connection, 4 times in a row"),
    "stalls always": (web.stalls_at(0), "it does not answer, or stopped sending, 4 times in a row"),
    "too short": (web.bare(200, DATA[:-1], Content_Length=len(DATA) - 1), "its file has 99,999 bytes, not 100,000"),
    "too long": (web.bare(200, DATA + b"x", Content_Length=len(DATA) + 1), "its file has 100,001 bytes, not 100,000"),
    "empty": (web.bare(200, b"", Content_Length=0), "its file has 0 bytes, not 100,000"),
    "too long, unsaid": (web.bare(200, DATA + bytes(999_999)), "it sends more than 100,000 bytes"),
    "promises more than it has": (
        web.bare(200, DATA[:50], Content_Length=len(DATA)),
        "it drops the connection, 4 times",
    ),
    "wrong bytes": (web.bare(200, OTHER, Content_Length=len(OTHER)), "not the right file: its sha1 is"),
    "a page": (web.bare(200, b"<html>", Content_Type="text/html; charset=utf-8"), "a web page, not a file"),
    "a page in disguise": (
        web.bare(200, b"<!DOCTYPE html>".ljust(len(DATA)), Content_Length=len(DATA)),
        "it answers with a web page, not a file",
    ),
    "compressed": (web.bare(200, Content_Encoding="gzip", Content_Length=len(DATA)), "compressed (gzip)"),
    "a redirect to itself": (web.status(302, Location="/w"), "it cannot be followed (Exceeded 10 redirects"),
    "a redirect to a file": (web.status(302, Location="file:///etc/passwd"), "it cannot be followed"),
    "a redirect to nonsense": (web.status(302, Location="http://[/"), "it cannot be followed"),
}


@pytest.mark.parametrize("name", HOPELESS)
def test_a_server_that_never_does_is_one_error_and_the_mirror_is_next(server: Any, name: str) -> None:
    answer, reason = HOPELESS[name]
    bad = server.put("/w", DATA, *[answer] * 50)
    patience = replace(QUICK, read=0.1) if name == "stalls always" else QUICK
    assert reason in refused(toy(bad), patience)
    server.requests.clear()
    assert is_right(fetch(toy(bad, server.put("/mirror", DATA)), patience=patience))
    assert server.requests[-1].path == "/mirror"


def test_no_server_at_all(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = refused(toy(f"http://127.0.0.1:{port}/w", "nonsense://x/w", "http:///w"))
    assert "cannot be reached ([Errno 111] Connection refused), 2 times in a row" in text
    assert text.count("it cannot be followed") == 2

    def no_network(*arguments: object, **options: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    assert "name.invalid/w: cannot be reached (Failed to resolve" in refused(toy("http://name.invalid/w"))


def test_a_servers_words_do_not_steer_the_terminal(server: Any) -> None:
    def shouts(handler: Any, page: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 404 \x1b[2J\x07Gone\r\nContent-Length: 0\r\n\r\n")

    assert "it answers 404 ?[2J?Gone" in refused(toy(server.put("/w", DATA, shouts)))


def test_a_redirect_is_followed(server: Any) -> None:
    there = server.put("/there", DATA)
    weights = toy(server.put("/w", b"", web.status(302, Location="/hop")))
    server.put("/hop", b"", web.status(307, Location=there))
    assert is_right(fetch(weights, patience=QUICK))
    assert records.read(cache.folder())["toy"].source == weights.sources[0].url


def test_sources_are_tried_in_turn_and_all_are_named(server: Any) -> None:
    urls = [server.put("/a", DATA, web.status(404)), server.put("/b", OTHER), server.put("/c", DATA, *[web.rude] * 9)]
    text = refused(toy(*urls))
    assert text.index("/a: it answers 404") < text.index("/b: not the right file") < text.index("/c: it drops")
    assert [request.path for request in server.requests] == ["/a", "/b"] + ["/c"] * 4


def test_only_the_rest_is_asked_for_after_a_drop(server: Any) -> None:
    assert is_right(fetch(toy(server.put("/w", DATA, web.part(HALF))), patience=QUICK))
    assert server.ranges() == [None, f"bytes={HALF}-"]
    assert server.requests[1].headers["if-range"] == '"one"'
    assert server.sent == len(DATA)


@pytest.mark.parametrize(
    ("about", "validator"),
    [
        ({"etag": '"one"', "modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, '"one"'),
        ({"etag": None, "modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, "Mon, 01 Jan 2024 00:00:00 GMT"),
        ({"etag": 'W/"weak"', "modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, "Mon, 01 Jan 2024 00:00:00 GMT"),
        ({"etag": 'W/"weak"'}, None),
        ({"etag": None}, None),
    ],
)
def test_the_version_that_is_asked_for(server: Any, about: dict[str, str | None], validator: str | None) -> None:
    """RFC 9110, 13.1.5: a strong ETag or a date. Without either, a checksum has to tell two halves from one file."""
    assert is_right(fetch(toy(server.put("/w", DATA, web.part(HALF), **about)), patience=QUICK))
    assert [request.headers.get("if-range") for request in server.requests] == [None, validator]
    assert server.ranges() == [None, f"bytes={HALF}-"]


def test_nothing_is_continued_that_nothing_could_tell_apart(server: Any) -> None:
    fetch(unknown(server.put("/w", DATA, web.part(HALF), etag=None)), patience=QUICK)
    assert cache.place(toy()).read_bytes() == DATA
    assert server.ranges() == [None, None]


@pytest.mark.parametrize("etag", ['"one"', None])
@pytest.mark.parametrize("checksum", [True, False])
def test_a_file_that_changes_between_two_parts(server: Any, etag: str | None, checksum: bool) -> None:
    """What is taken in the end is all of one version, whether or not the server keeps versions apart."""

    def change(handler: Any, page: Any) -> None:
        web.part(HALF)(handler, page)
        page.data, page.etag = DATA, '"two"' if etag else None

    path = fetch(toy(server.put("/w", OTHER, change, etag=etag), checksum=checksum), patience=QUICK)
    assert path.read_bytes() == DATA


def test_a_rest_that_is_of_another_version_is_not_taken(server: Any) -> None:
    """Though the server was asked for the rest of this version only, and no checksum would tell."""
    span = f"bytes {HALF}-{len(DATA) - 1}/{len(DATA)}"
    rest = web.bare(206, OTHER[HALF:], Content_Length=HALF, Content_Range=span, ETag='"two"')
    path = fetch(unknown(server.put("/w", DATA, web.part(HALF), rest)), patience=QUICK)
    assert path.read_bytes() == DATA


def test_halves_of_two_sources_are_not_put_together(server: Any) -> None:
    first = server.put("/w", OTHER, web.part(HALF), *[web.status(404)] * 9)
    path = fetch(unknown(first, server.put("/mirror", DATA)), patience=QUICK)  # both say that it is version "one"
    assert path.read_bytes() == DATA


def test_what_came_is_kept_for_the_next_time(server: Any) -> None:
    weights = toy(server.put("/w", DATA, *[web.part(HALF)] * 4))
    assert "What came, 50.0 kB, is kept, and fetching again goes on from there." in refused(weights)
    assert left_over() == {"toy.bin.part", "toy.bin.part.json"}
    server.sent = 0
    assert is_right(fetch(weights, patience=QUICK))
    assert server.sent == len(DATA) - HALF


def test_what_came_from_a_mirror_is_continued_there(server: Any) -> None:
    dead, mirror = server.put("/w", DATA, *[web.status(404)] * 9), server.put("/mirror", DATA, *[web.part(HALF)] * 4)
    refused(toy(dead, mirror))
    server.requests.clear()
    assert is_right(fetch(toy(dead, mirror), patience=QUICK))
    assert [(request.path, request.headers.get("range")) for request in server.requests] == [
        ("/mirror", f"bytes={HALF}-")
    ]


@pytest.mark.parametrize("answer", [web.status(404), web.rude, web.bare(200, b"x", Content_Length=1)])
def test_what_came_is_not_lost_to_a_mirror_that_gives_nothing(server: Any, answer: Any) -> None:
    first, mirror = server.put("/w", DATA, *[web.part(HALF)] * 4), server.put("/mirror", DATA, *[answer] * 9)
    refused(toy(first, mirror))
    assert is_right(fetch(toy(first, mirror), patience=QUICK))
    assert server.ranges("/w")[-1] == f"bytes={HALF}-"


def begun(data: bytes, url: str, **note: str) -> None:
    cache.folder().mkdir(parents=True, exist_ok=True)
    part = cache.folder() / "toy.bin.part"
    part.write_bytes(data)
    part.with_name("toy.bin.part.json").write_text(json.dumps({"url": url, "validator": '"one"', "total": "", **note}))


@pytest.mark.parametrize(
    "damage",
    [
        lambda part: part.with_name("toy.bin.part.json").unlink(),
        lambda part: part.with_name("toy.bin.part.json").write_text("{"),
        lambda part: part.with_name("toy.bin.part.json").write_text("[1]"),
        lambda part: part.with_name("toy.bin.part.json").write_text('{"url": 1, "validator": [], "total": {}}'),
        lambda part: part.write_bytes(OTHER[:HALF]),
        lambda part: part.write_bytes(OTHER),
        lambda part: part.write_bytes(OTHER + OTHER),
        lambda part: part.write_bytes(b""),
        lambda part: part.unlink(),
    ],
)
def test_a_part_that_is_damaged_does_no_harm(server: Any, damage: Callable[[Path], object]) -> None:
    url = server.put("/w", DATA)
    begun(DATA[:HALF], url)
    damage(cache.folder() / "toy.bin.part")
    assert is_right(fetch(toy(url), patience=QUICK))


def test_a_validator_that_would_break_the_request_is_not_sent(server: Any) -> None:
    url = server.put("/w", DATA)
    begun(DATA[:HALF], url, validator="a\r\nX-Evil: 1")
    assert is_right(fetch(toy(url), patience=QUICK))
    assert "x-evil" not in server.requests[0].headers


def test_a_whole_part_is_only_checked(server: Any) -> None:
    url = server.put("/w", DATA)
    begun(DATA, url, total=str(len(DATA)))
    assert is_right(fetch(toy(url), patience=QUICK))
    assert server.requests == []


def test_a_whole_part_that_nobody_called_whole(server: Any) -> None:
    """The server answers 416 with the length: there is no more."""
    url = server.put("/w", DATA)
    begun(DATA, url)
    assert is_right(fetch(toy(url), patience=QUICK))
    assert server.sent == 0


def test_trust_on_first_use(server: Any) -> None:
    weights = unknown(server.put("/w", DATA))
    assert is_right(fetch(weights, patience=QUICK))
    assert records.read(cache.folder())["toy"].trust == cache.BY_FIRST_USE
    cache.place(weights).unlink()
    server.put("/w", OTHER)
    text = refused(weights)
    assert hashlib.sha256(OTHER).hexdigest() in text
    assert hashlib.sha256(DATA).hexdigest() in text
    assert "as on first use" in text
    server.put("/w", DATA)
    assert is_right(fetch(weights, patience=QUICK))


def test_a_file_of_unknown_length_is_not_trusted(server: Any) -> None:
    assert "does not say how long the file is" in refused(unknown(server.put("/w", DATA, *[web.bare(200)] * 9)))
    assert is_right(fetch(unknown(server.put("/w", DATA, web.chunked)), patience=QUICK))


def test_more_than_any_file_of_weights(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LARGEST", 5000)
    assert "more than any file of weights" in refused(unknown(server.put("/w", DATA)))
    assert "it sends more than 5,000 bytes" in refused(unknown(server.put("/w", DATA, *[web.chunked] * 9)))


def test_an_empty_file(server: Any) -> None:
    assert "its file is empty" in refused(unknown(server.put("/w", b"")))


def test_a_prefix_of_a_checksum(server: Any) -> None:
    digest = hashlib.sha256(DATA).hexdigest()
    weights = Weights("toy", "toy.bin", None, {PREFIX: digest[:8]}, (Source(server.put("/w", DATA)),), "", "")
    assert is_right(fetch(weights, patience=QUICK))
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
    seen: list[Progress] = []
    url = server.put("/w", packed(kind), web.part(1000), web.part(2000))
    weights = toy(url, checksum=checksum, size=checksum, member="fc6/toy.bin")
    assert is_right(fetch(weights, seen.append, QUICK))
    assert [*dict.fromkeys(step.phase for step in seen)][-2:] == ["unpacking", "checking"]


def test_an_archive_that_a_server_calls_gzipped_content(server: Any) -> None:
    """As Apache does with .tar.gz: it is kept as it is, not unpacked on the way."""
    data = packed("tar.gz")
    answer = web.bare(200, Content_Encoding="x-gzip", Content_Type="application/x-tar", Content_Length=len(data))
    assert is_right(fetch(toy(server.put("/w", data, answer), member="fc6/toy.bin"), patience=QUICK))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives_that_will_not_do(server: Any, kind: str) -> None:
    urls = [
        server.put("/cut", packed(kind)[:5000]),
        server.put("/other", packed(kind, data=OTHER)),
        server.put("/elsewhere", packed(kind, name="../fc6/toy.bin")),
        server.put("/bomb", packed(kind, data=bytes(10_000_000))),
        server.put("/page", b"<html>no</html>"),
        server.put("/plain", DATA),
    ]
    text = refused(toy(*urls, member="fc6/toy.bin"))
    for reason in ("/other: not the right file: its sha1", "holds no", "10,000,000 bytes, not 100,000", "a web page"):
        assert reason in text
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


@pytest.mark.parametrize("seed", range(60))
def test_any_mixture_of_faults_ends_in_the_right_file_or_one_error(server: Any, seed: int) -> None:
    """And whatever was left lying, an honest server mends it."""
    dice = random.Random(seed)
    mixed = [dice.choices(FAULTS, k=dice.randrange(8)) for _ in range(2)]
    etags = [dice.choice(['"one"', None]) for _ in range(2)]
    urls = [server.put(f"/{n}", DATA, *mixed[n], etag=etags[n]) for n in range(2)]
    for _ in range(3):
        with suppress(WeightsError):
            assert is_right(fetch(toy(*urls), patience=QUICK))
        assert not cache.place(toy()).exists() or cache.place(toy()).read_bytes() == DATA
    for url in urls:
        server.put(url[url.rindex("/") :], DATA)
    assert is_right(fetch(toy(*urls), patience=QUICK))


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
    def interrupt(progress: Progress) -> None:
        if progress.done >= 20_000:
            raise KeyboardInterrupt

    weights = toy(server.put("/w", DATA))
    with pytest.raises(KeyboardInterrupt):
        fetch(weights, interrupt, QUICK)
    kept = (cache.folder() / "toy.bin.part").stat().st_size
    assert kept >= 20_000
    server.requests.clear()
    assert is_right(fetch(weights, patience=QUICK))
    assert server.ranges() in ([f"bytes={kept}-"], [])  # a quick server may have sent all of it


def test_a_slow_server_is_waited_for_while_it_sends(server: Any) -> None:
    def trickle(handler: Any, page: Any) -> None:
        handler.head(200, Content_Length=len(page.data), **web.about(page))
        for start in range(0, len(page.data), 5000):
            handler.body(page.data[start : start + 5000])
            handler.wfile.flush()
            time.sleep(0.02)

    assert is_right(fetch(toy(server.put("/w", DATA, trickle)), patience=QUICK))
    assert len(server.requests) == 1


def test_a_server_that_sends_next_to_nothing_is_given_up(server: Any) -> None:
    def drip(handler: Any, page: Any) -> None:
        handler.head(200, Content_Length=len(page.data), **web.about(page))
        while True:
            handler.body(b"x")
            handler.wfile.flush()
            time.sleep(0.01)

    patience = Patience(read=5, tries=2, backoff=0, slowest=1e6, window=0.05)
    text = refused(toy(server.put("/w", DATA, drip, drip)), patience)
    assert "it sends fewer than 1e+06 bytes a second, 2 times in a row" in text


def test_waiting_is_told_of_and_bounded(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(download.time, "sleep", slept.append)
    seen: list[Progress] = []
    answers = [web.status(503), web.status(503), web.status(429, Retry_After="7"), web.status(503, Retry_After="9999")]
    fetch(toy(server.put("/w", DATA, *answers)), seen.append, Patience())
    assert slept == [1, 2, 7, 60]
    notes = [step.note for step in seen if step.phase == "waiting to try again"]
    assert notes[2] == "it answers 429 Too Many Requests; 7 s"


def test_a_long_download_may_fail_often_but_not_in_a_row(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_GAIN", 5000)
    steps = [web.part(end) for end in range(5000, 100_000, 5000)]
    assert is_right(fetch(toy(server.put("/w", DATA, *steps)), patience=QUICK))
    assert server.sent == len(DATA)


def test_a_disk_that_is_full(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a limit on file sizes, which the system enforces as it does the end of a disk."""
    weights = toy(server.put("/w", DATA), server.put("/mirror", DATA))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    try:
        with pytest.raises(WeightsError, match=r"toy.bin.part: cannot be written \(File too large\): raise the limit"):
            fetch(weights, patience=QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(server.requests) == 1  # another source would not help
    assert is_right(fetch(weights, patience=QUICK))


def test_a_disk_without_room_is_seen_before(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = toy(server.put("/w", DATA))
    monkeypatch.setattr("invset.weights.fetch.shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(WeightsError, match=r"1.0 kB are free, and toy needs 1.1 MB. Make room, or set INVSET_CACHE"):
        fetch(weights, patience=QUICK)
    assert server.requests == []


def test_words_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"No space left on device\): make room on the disk"), disk.writing(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_cache_that_cannot_be_made(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("INVSET_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=r"\(Not a directory\): set INVSET_CACHE to a folder you may write to"):
        fetch(toy(server.put("/w", DATA)), patience=QUICK)


PROGRAM = """
import sys
from invset.errors import WeightsError
from invset.weights.fetch import Patience, fetch
from invset.weights.known import Source, Weights
url, sha1 = sys.argv[1:]
weights = Weights("toy", "toy.bin", 100_000, {"sha1": sha1}, (Source(url),), "", "")
print(fetch(weights, lambda p: print(p.phase, p.done, flush=True), Patience(read=30)))
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
            assert second.stdout.readline() == "waiting for another process 0\n"
            server.gate.set()
            outputs = [process.communicate(timeout=20) for process in (first, second)]
    path = cache.folder() / "toy.bin"
    assert [out.splitlines()[-1] for out, _ in outputs] == [str(path)] * 2
    assert [err for _, err in outputs] == ["", ""]
    assert len(server.requests) == 1
    assert server.sent == len(DATA)
    assert is_right(path)


def test_a_process_that_waited_for_one_that_failed_fetches_itself(server: Any) -> None:
    url = server.put("/w", DATA, web.halfway)
    with other_process(url) as first:
        assert server.halfway.wait(20)
        with other_process(url) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == "waiting for another process 0\n"
            first.kill()
            out, _ = second.communicate(timeout=20)
            first.communicate()
    assert out.splitlines()[-1] == str(cache.folder() / "toy.bin")
    assert is_right(cache.folder() / "toy.bin")


def test_a_kill_in_the_middle_loses_nothing_that_came(server: Any) -> None:
    url = server.put("/w", DATA, web.halfway)
    part = cache.folder() / "toy.bin.part"
    with other_process(url) as process:
        assert process.stdout is not None
        while f" {HALF}\n" not in (line := process.stdout.readline()):
            assert line
        process.send_signal(signal.SIGKILL)
        process.communicate()
    kept = part.stat().st_size
    assert DATA.startswith(part.read_bytes())
    assert kept == HALF
    server.gate.set()
    assert is_right(fetch(toy(url), patience=QUICK))
    assert server.ranges() == [None, f"bytes={kept}-"]
