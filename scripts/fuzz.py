"""Damage files in many ways and read them: each ends in what it holds or in one error of a line, soon and small.

    python scripts/fuzz.py --mutations 10000

Of weights, images and labels; and of the folder of a run and of a sweep each file, which `invset.load`, `invset sample
resume=`, compare, facets and overview, by chance, then read. Prints a row a format. Exits with 1 if a reader raised
anything else, took long, grew beyond the limit, gave more than its file holds, lost a sample or ran a program; the
files that did are left in the folder. After a crash of the interpreter the last one is `current` there.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import random
import resource
import runpy
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

import invset
from invset.cli import main as cli
from invset.cli.sweep.jobs import read_jobs
from invset.errors import InvsetError, RunFolderError
from invset.models.image_folder import read_image
from invset.models.labels import class_names
from invset.names import legible
from invset.run.summary import peak_memory
from invset.weights.caffemodel import read_caffemodel, read_mean
from invset.weights.formats import kind
from invset.weights.matconvnet import read_matconvnet
from invset.weights.tensors import read_tensors

CAFFE_FILES = Path(__file__).parents[1] / "tests" / "weights" / "caffe_files.py"

READERS: dict[str, Callable[[Path], Any]] = {
    "caffemodel": read_caffemodel,
    "binaryproto": read_mean,
    "matconvnet": read_matconvnet,
    "safetensors": read_tensors,
    "torch": read_tensors,
    "image": partial(read_image, size=(8, 8)),
    "labels": class_names,
}
RUN = (
    "config.yaml", "manifest.json", "summary.json", "activations.csv", "trace.csv", "codes.bin", "codes.safetensors",
    "checkpoint.safetensors", "checkpoint.flushed.safetensors", "checksums.bin", "samples.png", "images/0003.png",
)  # fmt: skip
SWEEP = ("multirun.yaml", "0/.hydra/overrides.yaml", "0/config.yaml", "0/summary.json", "0/activations.csv")
LINEAR = ("experiment=linear", "schedule.K=4", "device=cpu", "threads=1")
QUICK = 16  # times as often as commands, which take a second, what takes a hundredth
COMMANDS = {
    "run": (*[("load",)] * QUICK, ("sample", "resume=run", "n=10"), ("compare", "run", "whole/run"), ("facets", "run")),
    "sweep": (*[("jobs",)] * QUICK, ("overview", "sweep"), ("runs", "."), ("sample", "resume=sweep")),
}
PROGRAMS = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pty.spawn", "socket.connect")
started: list[str] = []  # programs, by what reads the files
MOST_SECONDS = 5.0  # of the processor, a file; the files are some kilobytes
MOST_SECONDS_OF_A_COMMAND = 30.0  # which may sample
HANGS = 600  # seconds of the clock, after which something is waited for that does not come
MOST_MEMORY = 256  # MiB more than at the start
HEADROOM = 2**31  # bytes of addresses beyond those in use, after which allocation fails


def main() -> None:
    """Damage, read, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=10_000, help="of each format")
    parser.add_argument("--formats", nargs="+", help="those whose names begin so")
    parser.add_argument("--seed", type=int, default=0, help="random seed")
    parser.add_argument("--folder", type=Path, help="for the files that fail; a new one in the system's for such")
    arguments = parser.parse_args()

    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="invset-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    faulthandler.enable()
    warnings.simplefilter("error")
    sys.addaudithook(lambda event, _: started.append(event) if event in PROGRAMS else None)
    signal.signal(signal.SIGALRM, _stop)
    originals = whole_files(folder)
    originals |= whole_folders(folder)
    for name, files in originals.items():  # imports, and whatever a first time needs
        for data in files:
            if not isinstance(read_file(READERS[name], data, folder), int):
                sys.exit(f"a file of {name} that is whole was not read")
    limit_memory()
    start, failures = peak_memory(), 0
    print("| format | mutations | loaded | refused | failed | slowest, s | peak memory, MiB more |")
    print("|---|---|---|---|---|---|---|")
    for name in READERS:
        if arguments.formats and not name.startswith(tuple(arguments.formats)):
            continue
        counts, slowest = fuzz(name, originals, arguments.mutations, random.Random(f"{arguments.seed} {name}"), folder)
        more = (peak_memory() - start) / 2**20
        failures += counts["failed"] + (more > MOST_MEMORY)
        print(
            f"| {name} | {arguments.mutations} | {counts['loaded']} | {counts['refused']} | {counts['failed']} "
            f"| {slowest:.2f} | {more:.0f} |",
            flush=True,
        )
    if failures:
        sys.exit(f"failures, of files that are in {folder}, or of memory beyond {MOST_MEMORY} MiB")


def fuzz(
    name: str, originals: dict[str, list[bytes]], count: int, chance: random.Random, folder: Path
) -> tuple[Counter[str], float]:
    """How the reader of a format took so many damaged files of it, and the longest time it took."""
    counts: Counter[str] = Counter()
    slowest = 0.0
    others = [data for files in originals.values() for data in files]
    for number in range(count):
        data = damage(chance.choice(originals[name]), others, chance)
        began = time.process_time()
        result = read_file(READERS[name], data, folder)
        seconds = time.process_time() - began
        slowest = max(slowest, seconds)
        if isinstance(result, int):
            word = "loaded" if result <= 16 * len(data) + 1000 else f"gave {result} bytes for {len(data)}"
        else:
            word = "refused" if result == "refused" else result
        if seconds > (MOST_SECONDS_OF_A_COMMAND if "/" in name else MOST_SECONDS):
            word = f"took {seconds:.1f} s"
        if word not in ("loaded", "refused"):
            kept = folder / f"{name.replace('/', '-')}-{number}"
            kept.write_bytes(data)
            print(f"{kept}: {word}", file=sys.stderr)
            word = "failed"
        counts[word] += 1
    return counts, slowest


def read_file(reader: Callable[[Path], Any], data: bytes, folder: Path) -> int | str:
    """Bytes of the tensors that were read, or "refused", or the exception that should not have come."""
    path = folder / "current"
    path.write_bytes(data)
    started.clear()
    signal.alarm(HANGS)
    try:
        if reader in (read_caffemodel, read_mean, read_matconvnet, read_tensors):
            kind(path)
        found = sum(tensor.nbytes for tensor in tensors(reader(path)))
        return f"started {started}" if started else found
    except InvsetError as error:
        message = str(error)
        named = isinstance(error, RunFolderError) or message.startswith(str(path))
        return "refused" if named and len(message) < 1500 else f"says: {message[:3000]}"
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"[:300]
    finally:
        signal.alarm(0)


def read_folder(name: str, chance: random.Random, folder: Path, path: Path) -> None:
    """A command on the folder of a run or a sweep in which one file is damaged.

    Raises:
        RunFolderError: the command refused it.
        ValueError: a sample that is not damaged was lost, or the command said what it should not.
    """
    which = name.partition("/")[0]
    shutil.rmtree(folder / which, ignore_errors=True)
    shutil.copytree(folder / "whole" / which, folder / which)
    shutil.copyfile(path, folder / name)
    command = chance.choice(COMMANDS[which])
    said = StringIO()
    os.environ["COLUMNS"] = "200"
    with contextlib.chdir(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        if command[0] in ("load", "jobs"):
            code = 0 * len(invset.load(which) if command[0] == "load" else read_jobs(Path(which)))
        else:
            code = cli.run([*command, *(("out=out",) if command[0] in ("compare", "facets") else ())])
    text = said.getvalue()
    if "Traceback" in text or "Warning" in text or text != legible(text) or len(text) > 20_000:
        raise ValueError(f"{command}: said {text[-2000:]!r}")
    for image in (folder / "whole" / which).rglob("images/*.png"):
        now = folder / image.relative_to(folder / "whole")
        if now != folder / name and (not now.exists() or now.read_bytes() != image.read_bytes()):
            raise ValueError(f"{command}: lost {now}")
    if code not in (0, 3):
        raise RunFolderError(text[-1000:])


def whole_folders(folder: Path) -> dict[str, list[bytes]]:
    """The files of a run, and of a sweep; their readers are added to READERS."""
    shutil.rmtree(folder / "whole", ignore_errors=True)
    (folder / "whole").mkdir()
    with contextlib.chdir(folder / "whole"), contextlib.redirect_stdout(StringIO()):
        cli.run(["sample", *LINEAR, "n=8", "hydra.run.dir=run", "hydra.output_subdir=null"])
        cli.run(["sample", *LINEAR, "-m", "seed=0,1", "n=4", "hydra.sweep.dir=sweep"])
    chance = random.Random(0)
    names = [f"{which}/{name}" for which, files in (("run", RUN), ("sweep", SWEEP)) for name in files]
    READERS.update({name: partial(read_folder, name, chance, folder) for name in names})
    return {name: [(folder / "whole" / name).read_bytes()] for name in names}


def _stop(*_: object) -> None:
    raise TimeoutError("it hangs")


def tensors(value: Any) -> Iterable[torch.Tensor]:
    """Those in what a reader returns."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from tensors(entry)
    elif isinstance(value, tuple):
        for entry in value:
            yield from tensors(entry)


def damage(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """The file with one to four kinds of damage."""
    for _ in range(chance.randint(1, 4)):
        data = chance.choice(DAMAGE)(data or b"\0", others, chance)
    return data


def whole_files(folder: Path) -> dict[str, list[bytes]]:
    """Small files that are whole, some of each format."""
    caffe, path = runpy.run_path(str(CAFFE_FILES)), folder / "current"
    numbers = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return numbers.standard_normal(shape).astype(np.float32)

    layers = {
        "conv1": ("Convolution", [array(4, 3, 3, 3), array(4)]),
        "relu1": ("ReLU", []),
        "fc6": ("InnerProduct", [array(5, 36), array(5)]),
    }
    ways: list[dict[str, Any]] = [
        *({"version": version, "legacy": version < 2} for version in (0, 1, 2)),
        *({"packed": packed, "double": double} for packed, double in ((False, False), (False, True), (True, True))),
    ]
    state = {"conv.weight": torch.tensor(array(4, 3, 3, 3)), "conv.bias": torch.tensor(array(4)).double()}
    return {
        "caffemodel": [caffe["write_net"](path, layers, **way).read_bytes() for way in ways],
        "binaryproto": [
            caffe["write_mean"](path, array(1, 3, 4, 5), legacy=legacy, packed=packed).read_bytes()
            for legacy, packed in ((True, True), (False, False))
        ],
        "matconvnet": [matlab_file(array, old, compressed) for old in (True, False) for compressed in (True, False)],
        "safetensors": [save(state, {"size": "64"})],
        "torch": [torch_file(state, zip) for zip in (True, False)]
        + [torch_file({"state_dict": state, "epoch": 3}, True)],
        "image": [image_file(kind, mode) for kind in ("PNG", "JPEG", "BMP", "WEBP") for mode in ("RGB", "L")]
        + [image_file("PNG", mode) for mode in ("RGBA", "P", "I;16", "1")],
        "labels": [b"n01443537\tgoldfish\nn01484850\tgreat white shark\n", "Tür\r\nHügel\r\n".encode()],
    }


def image_file(kind: str, mode: str) -> bytes:
    """A small picture, with EXIF data that turn it."""
    file, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 6
    picture = Image.radial_gradient("L").resize((12, 9)).convert(mode if mode != "I;16" else "I").convert(mode)
    picture.save(file, kind, **({} if kind == "BMP" else {"exif": exif}))
    return file.getvalue()


def matlab_file(array: Callable[..., np.ndarray], old: bool, compressed: bool) -> bytes:
    """A SimpleNN with the older or the newer names of its fields."""
    from scipy.io import savemat

    filters, biases = array(3, 3, 2, 4), array(4, 1)
    cell = np.empty((1, 2), object)
    cell[0, 0], cell[0, 1] = filters, biases
    weights = {"filters": filters, "biases": biases} if old else {"weights": cell}
    layers = np.empty((1, 3), object)
    layers[0, 0] = {"name": "conv1", "type": "conv", "stride": 1.0, **weights}
    layers[0, 1] = {"name": "relu1", "type": "relu"}
    layers[0, 2] = {"name": "norm1", "type": "normalize", "param": np.array([5, 1, 2e-5, 0.75])}
    labels = np.empty((1, 3), object)
    labels[:] = ["tench", "goldfish", "great white shark"]
    meta = {
        "normalization": {"averageImage": array(6, 6, 3), "imageSize": np.array([6.0, 6, 3])},
        "classes": {"description": labels},
    }
    file = BytesIO()
    savemat(file, {"layers": layers, **(meta if old else {"meta": meta})}, do_compression=compressed)
    return file.getvalue()


def torch_file(content: Any, zip: bool) -> bytes:
    """What torch.save writes, now or before 1.6."""
    file = BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zip)
    return file.getvalue()


def _flip(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _cut(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _blow_up(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """A length becomes huge: as a number of 2, 4 or 8 bytes of either order, or protobuf's, or digits."""
    value = chance.choice((2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**32 - 8, 2**28, 2**63 - 1, 2**40))
    width = chance.choice((2, 4, 8))
    number = (value & (1 << 8 * width) - 1).to_bytes(width, chance.choice(("little", "big")))
    number = chance.choice((number, number, b"\xff" * chance.randint(1, 9) + b"\x01", str(value).encode()))
    position = chance.choice((chance.randrange(len(data)), chance.randrange(min(len(data), 400))))
    return data[:position] + number + data[position + len(number) * chance.choice((0, 1, 1)) :]


def _splice(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    source, position = chance.choice([data, *others]), chance.randrange(len(data))
    begin = chance.randrange(len(source))
    chunk = source[begin : begin + chance.choice((1, 8, 64, 512))]
    return data[:position] + chunk + data[position + len(chunk) * chance.choice((0, 1)) :]


def _repeat(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    begin, length = chance.randrange(len(data)), chance.choice((1, 2, 8, 100))
    return data[:begin] + data[begin : begin + length] * chance.choice((2, 3, 100, 3000)) + data[begin + length :]


def _zero(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    begin = chance.randrange(len(data))
    length = min(chance.choice((1, 8, 200)), len(data) - begin)
    return data[:begin] + b"\0" * length + data[begin + length :]


DAMAGE = (_flip, _cut, _blow_up, _blow_up, _splice, _repeat, _zero)


def limit_memory() -> None:
    """Let allocations fail that go far beyond what is in use (Linux)."""
    status = Path("/proc/self/status")
    if status.exists():
        (size,) = (int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmSize"))
        resource.setrlimit(resource.RLIMIT_AS, (size * 1024 + HEADROOM,) * 2)


if __name__ == "__main__":
    main()
