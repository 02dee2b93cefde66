"""Pictures, one after the other, as a file: MP4 (H.264), WebP or GIF.

The same pictures give the same bytes with the same versions of the encoders: no clock is read, and H.264 is encoded in
one thread, as it depends on their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from PIL import Image

from invset.errors import ConfigError, RunFolderError
from invset.files import describing, temporary_name

# For 500 images of the built-in model this gives 2.9 MB, and at equal size half a level less error than without tune.
H264 = {"crf": "18", "preset": "medium", "tune": "stillimage"}
WEBP = {"quality": 90, "method": 4}  # 3.4 MB; lossless is twice as large, and far more for large images


def has_mp4() -> bool:
    """Whether MP4 can be written here."""
    try:
        import av
    except ImportError:
        return False
    return "libx264" in av.codecs_available


def write_movie(path: Path, frames: Iterable[Image.Image], count: int, fps: Fraction, kind: str = "mp4") -> None:
    """Write `count` ≥ 2 pictures (RGB, of one size, its sides even) as a movie; the file is whole or not there.

    Pictures stand `fps` a second; what is at `path` is replaced; `kind` is mp4, webp or gif. In MP4 they are asked for
    and let go one by one; WebP and GIF need memory for all of them.

    Raises:
        ConfigError: MP4 without PyAV.
        RunFolderError: the file cannot be written.
    """
    if kind == "mp4" and not has_mp4():
        raise ConfigError(
            "MP4 needs the package av with libx264, as PyPI has it: pip install 'invset[video]'. WebP and GIF need no "
            "package."
        )
    temporary = path.with_name(temporary_name(path.name))
    try:
        with describing(RunFolderError, path, ", or choose another place"):
            if kind == "mp4":
                _write_mp4(temporary, iter(frames), fps)
            else:
                _write_with_pillow(temporary, frames, count, fps, kind)
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def durations(count: int, fps: Fraction, ticks: int) -> list[int]:
    """How long each of `count` pictures stands, in `ticks` a second: whole numbers that sum up to count / fps."""
    ends = [round(Fraction(number * ticks) / fps) for number in range(count + 1)]
    return [after - before for before, after in pairwise(ends)]


def _write_with_pillow(path: Path, frames: Iterable[Image.Image], count: int, fps: Fraction, kind: str) -> None:
    # In milliseconds; a GIF knows hundredths of a second.
    times = durations(count, fps, 1000) if kind == "webp" else [10 * time for time in durations(count, fps, 100)]
    options: dict[str, Any] = WEBP if kind == "webp" else {}
    first, *others = frames
    with path.open("wb") as file:  # Pillow would leave it open when it is interrupted
        first.save(file, kind, save_all=True, append_images=others, duration=times, loop=0, **options)


def _write_mp4(path: Path, frames: Iterator[Image.Image], fps: Fraction) -> None:
    """H.264 in yuv420p, which every player shows, with its index in front, so that browsers begin at once."""
    import av

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
        for picture in chain([first], frames):
            frame = av.VideoFrame.from_image(picture).reformat(
                format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG"
            )
            for packet in stream.encode(frame):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)
