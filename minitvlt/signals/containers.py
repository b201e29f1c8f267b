"""What a media file says beside its frames and its audio: whether it is whole, and which way is up.

Images that FFmpeg does not decode, or not as they are, are decoded by Pillow.
"""

import warnings
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

MOST_PIXELS = 64_000_000  # of a frame
BLOCK = 1 << 20  # bytes read of both ends of a file
IMAGES = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")  # others may run programs or open files


def is_cut_off(path: Path, kind: str) -> bool:
    """Whether a file is shorter than its first bytes state, or lacks what ends every file of its format.

    `kind` is FFmpeg's name of the format. What states no length and has no end is never found to be cut off.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(BLOCK)
        file.seek(max(0, size - BLOCK))
        tail = file.read()
    if kind.endswith("_pipe"):  # one image
        with warnings.catch_warnings(action="ignore"):
            found = [lacks_some for _, _, lacks_some in decode_images(path.read_bytes())]
        return not found or any(found)
    if kind == "apng":
        return b"IEND" not in tail
    if kind == "gif":
        return not tail.rstrip(b"\0\r\n").endswith(b";")
    if kind == "mpegts":
        return all(size % packet for packet in (188, 192, 204))
    if kind == "ogg":
        page = tail[max(0, tail.rfind(b"OggS")) :]  # its sixth byte says whether it is the last one
        return len(page) < 28 or not page[5] & 4 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])
    if kind == "mpeg":  # packets with their lengths
        at = max(tail.rfind(b"\0\0\1" + bytes([stream])) for stream in range(0xBD, 0xF0))
        return len(tail) < at + 6 + int.from_bytes(tail[at + 4 : at + 6], "big")
    if kind == "flv":  # the length of a packet is stated before it and behind it
        n = int.from_bytes(tail[-4:], "big")
        return int.from_bytes(tail[-3 - n : -n], "big") != n - 11
    return size + 1 < find_stated_size(head, kind)  # some writers count a last byte that fills up


def find_stated_size(head: bytes, kind: str) -> int:
    """How long a file is by its first bytes; 0 if they do not say. Pipes state 2 GiB or more."""
    stated = 0
    if head[:4] in (b"RIFF", b"RF64", b"FORM"):
        part = head[20:28] if head[:4] == b"RF64" else head[4:8]
        stated = 8 + int.from_bytes(part, "big" if head[:4] == b"FORM" else "little")
    elif kind == "matroska" and (at := head.find(b"\x18\x53\x80\x67") + 4) > 3:
        n = 9 - head[at].bit_length()  # the highest bit that is set says how many bytes the number has
        stated = at + n + int.from_bytes(head[at : at + n], "big") - (1 << 7 * n)
    elif head[:4] == b".snd":
        stated = int.from_bytes(head[4:8], "big") + int.from_bytes(head[8:12], "big")
    elif kind == "mp3" and (at := max(head.find(b"Xing\0\0\0"), head.find(b"Info\0\0\0"))) > 0:
        place = at + 8 + 4 * (head[at + 7] & 1)
        stated = at - 36 + int.from_bytes(head[place : place + 4], "big") if head[at + 7] & 2 else 0
    return stated if stated < 0x7FFFF000 else 0


def decode_images(data: bytes) -> Iterator[tuple[float, Any, bool]]:
    """Decode an image, or the frames of an animated one, by Pillow: time, image, whether pixels lack (black).

    What Pillow cannot decode at all gives nothing.
    """
    from PIL import Image, ImageSequence  # matplotlib depends on it

    errors = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
    with suppress(*errors), Image.open(BytesIO(data), formats=IMAGES) as image:
        time = 0.0
        for page in ImageSequence.Iterator(image):
            if page.width * page.height > MOST_PIXELS or page.mode in ("I", "F"):  # of unknown ranges
                return
            lacks_some = False
            try:
                page.load()
            except errors:
                lacks_some, page.tile = True, []  # do not try again
                if page.getbbox() is None:
                    return
            yield time, page, lacks_some
            if page.format != "WEBP":  # pages of a TIFF are other images
                return
            time += page.info.get("duration", 100) / 1000


def make_pixels(image: Any) -> UInt8[np.ndarray, "H W 3"]:
    """Upright RGB pixels of an image of Pillow."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.asarray(image.convert("RGB"))


def find_orientation(path: Path, frame: Any) -> tuple[bool, int, int]:
    """How a frame becomes upright: whether rows and columns are exchanged, then steps along both (1 or -1).

    A display matrix means (x, y) -> (a x + c y, b x + d y): one of four turns, mirrored or not. EXIF data
    number these eight.
    """
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV does not know EXIF data
        from PIL import Image  # matplotlib depends on it

        with (
            warnings.catch_warnings(action="ignore"),
            suppress(OSError),
            Image.open(path, formats=IMAGES) as image,
        ):
            number = image.getexif().get(0x0112, 1)
            return number > 4, -1 if number in (3, 4, 7, 8) else 1, -1 if number in (2, 3, 6, 7) else 1
        matrix = None
    if matrix is None:
        return False, 1, 1
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(matrix), np.int32)[:5])
    is_turned = abs(b) > abs(a)
    down, right = (b, c) if is_turned else (d, a)
    return is_turned, -1 if down < 0 else 1, -1 if right < 0 else 1
