"""Pictures, one after the other, as a file: MP4 (H.264), WebP or GIF.

Pictures are drawn and let go one by one in every format; WebP's encoder keeps the file in memory until its end. The
same pictures give the same bytes with the same versions of the encoders: no clock is read, and H.264 is encoded in one
thread, as it depends on their number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from PIL import GifImagePlugin, Image, ImageColor

from invset.errors import ConfigError, RunFolderError
from invset.run.files import temporary_name

# For 500 images of the built-in model this gives 2.9 MB, and at equal size half a level less error than without tune.
H264 = {"crf": "18", "preset": "medium", "tune": "stillimage"}
WEBP = {"quality": 90, "method": 4}  # 3.4 MB; lossless is twice as large, and far more for large images
GREYS = range(44, 212, 24)  # that soft edges of letters have in a GIF: as far from the colours as Pillow needs to tell


class Look(NamedTuple):
    """What a writer may know of the pictures.

    Attributes:
        box: left, top, right, bottom of the part that changes freely from picture to picture.
        grain: the side in pixels of the squares of one colour that this part consists of.
        colours: what all else is drawn in, with soft edges between them.
    """

    box: tuple[int, int, int, int]
    grain: int
    colours: Sequence[str]


def has_mp4() -> bool:
    """Whether MP4 can be written here."""
    try:
        _pyav()
    except ConfigError:
        return False
    return True


def write_movie(
    path: Path, frames: Iterable[Image.Image], count: int, fps: Fraction, look: Look, kind: str = "mp4"
) -> None:
    """Write `count` ≥ 2 pictures (RGB, of one size, its sides even) as a movie; the file is whole or not there.

    Pictures are asked for one by one, `fps` a second; what is at `path` is replaced; `kind` is mp4, webp or gif.

    Raises:
        ConfigError: MP4 without PyAV.
        RunFolderError: the file cannot be written.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        if kind == "mp4":
            _mp4(temporary, iter(frames), fps)
        elif kind == "webp":
            _webp(temporary, iter(frames), durations(count, fps, 1000))
        else:
            _gif(temporary, iter(frames), durations(count, fps, 100), look)
        temporary.replace(path)
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot be written ({error.strerror or error}). Choose another place with out=, or make room."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def durations(count: int, fps: Fraction, ticks: int) -> list[int]:
    """How long each of `count` pictures stands, in `ticks` a second: whole numbers that sum up to count / fps."""
    ends = [round(Fraction(number * ticks) / fps) for number in range(count + 1)]
    return [after - before for before, after in pairwise(ends)]


def _pyav() -> Any:
    try:
        import av
    except ImportError as error:
        raise ConfigError(
            f"format=mp4 needs the package av ({error}): pip install 'invset[video]', or give format=webp or "
            "format=gif, which need nothing."
        ) from error
    if "libx264" not in av.codecs_available:
        raise ConfigError(
            "format=mp4: the package av that is installed cannot encode H.264 (no libx264); install the one of PyPI, "
            "or give format=webp or format=gif."
        )
    return av


def _mp4(path: Path, frames: Iterator[Image.Image], fps: Fraction) -> None:
    """H.264 in yuv420p, which every player shows, with its index in front, so that browsers begin at once."""
    av = _pyav()
    first = next(frames)
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    # An absolute path: what stands before a colon would be taken for a protocol.
    with av.open(str(path.absolute()), "w", format="mp4", options=options) as file:
        stream: Any = file.add_stream("libx264", rate=fps, options=H264)
        stream.width, stream.height = first.size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.thread_count = 1
        # BT.601 is what players take for pictures of this size if they do not look at tags; others read it here. As
        # numbers, for old versions: matrix 6 is BT.601, primaries and curve 1 are BT.709's, range 1 is television's.
        context.colorspace = 6
        context.color_primaries = context.color_trc = context.color_range = 1
        for picture in _chained(first, frames):
            frame = av.VideoFrame.from_image(picture).reformat(
                format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG"
            )
            for packet in stream.encode(frame):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)


class _Later:
    """One item of many frames, for a writer that makes a list of what it is to append: each is drawn on its turn."""

    def __init__(self, frames: Iterator[Image.Image], count: int) -> None:
        self._frames = frames
        self.n_frames = count
        self._picture: Image.Image | None = None

    def seek(self, frame: int) -> None:
        self._picture = next(self._frames)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._picture, name)


def _webp(path: Path, frames: Iterator[Image.Image], milliseconds: Sequence[int]) -> None:
    rest: Any = _Later(frames, len(milliseconds) - 1)
    lengths = list(milliseconds)
    with path.open("wb") as file:  # Pillow would leave it open when it is interrupted
        next(frames).save(file, format="WEBP", save_all=True, append_images=[rest], duration=lengths, loop=0, **WEBP)


def _gif(path: Path, frames: Iterator[Image.Image], hundredths: Sequence[int], look: Look) -> None:
    """Block by block, as GIF89a lays them out: Pillow's own writer of many frames would hold them all.

    Each frame has its own colours for the image, and the same for all else: nothing that stands still flickers.
    """
    first = next(frames)
    fixed = _fixed_palette(look.colours)
    with path.open("wb") as file:
        file.write(b"GIF89a" + struct.pack("<HHBBB", *first.size, 0x70, 0, 0))  # no palette for all
        file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")  # again and again
        for picture, ticks in zip(_chained(first, frames), hundredths, strict=True):
            indexed = _indexed(picture, look, fixed)
            # Pillow takes milliseconds, and cuts off what is no hundredth.
            for block in GifImagePlugin.getdata(indexed, duration=ticks * 10, include_color_table=True):
                file.write(block)
        file.write(b";")


def _indexed(picture: Image.Image, look: Look, fixed: Image.Image) -> Image.Image:
    """A picture in 256 colours: the fixed ones first, then those that suit what is in the box."""
    own = fixed.getpalette("RGB") or []
    taken = len(own) // 3
    inner = picture.crop(look.box)
    # One pixel stands for each square: the same colours come out in a fraction of the time.
    small = inner.resize((inner.width // look.grain, inner.height // look.grain), Image.Resampling.NEAREST)
    small = small.quantize(256 - taken, method=Image.Quantize.MEDIANCUT, kmeans=1)
    whole = picture.quantize(palette=fixed, dither=Image.Dither.NONE)
    shifted = small.point([min(255, index + taken) for index in range(256)])
    whole.paste(shifted.resize(inner.size, Image.Resampling.NEAREST), look.box[:2])
    whole.putpalette(own + (small.getpalette("RGB") or []))
    return whole


def _fixed_palette(colours: Sequence[str]) -> Image.Image:
    chosen = dict.fromkeys([*(ImageColor.getrgb(colour)[:3] for colour in colours), *((grey,) * 3 for grey in GREYS)])
    palette = Image.new("P", (1, 1))
    palette.putpalette([level for colour in chosen for level in colour])
    return palette


def _chained(first: Image.Image, rest: Iterator[Image.Image]) -> Iterator[Image.Image]:
    yield first
    yield from rest
