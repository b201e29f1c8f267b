"""Media files that are cut off: how their bytes tell it, and what can still be decoded of an image."""

from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

MOST_PIXELS = 120_000_000  # of a frame
BLOCK = 1 << 20  # bytes read of both ends of a file
ENDS = {  # the last of the first marks must be followed by one of the second
    "png_pipe": (b"IHDR", b"IEND"),
    "apng": (b"IHDR", b"IEND"),
    "jpeg_pipe": (b"\xff\xd8\xff", b"\xff\xd9"),
    "mjpeg": (b"\xff\xd8\xff", b"\xff\xd9"),
}
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
    if kind in ENDS:
        begin, end = ENDS[kind]
        return end not in tail[max(0, tail.rfind(begin)) :]
    if kind == "gif":
        return not tail.rstrip(b"\0").endswith(b";")
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
    if kind == "tiff_pipe":
        found = [lacks_some for _, _, lacks_some in decode_images(path.read_bytes())]
        return not found or any(found)
    return size < find_stated_size(head, kind)


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
    elif kind == "mp3" and (at := max(head.find(b"Xing"), head.find(b"Info"))) > 0 and head[at + 7] & 2:
        place = at + 8 + 4 * (head[at + 7] & 1)
        stated = at - 36 + int.from_bytes(head[place : place + 4], "big")
    return stated if stated < 0x7FFFF000 else 0


def decode_images(data: bytes) -> Iterator[tuple[float, UInt8[np.ndarray, "H W 3"], bool]]:
    """Decode an image, or the frames of an animated one, by Pillow: time, upright pixels, whether some lack.

    Pixels that lack are black. What Pillow cannot decode at all gives nothing.
    """
    from PIL import Image, ImageOps, ImageSequence  # matplotlib depends on it

    errors = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
    with suppress(*errors), Image.open(BytesIO(data), formats=IMAGES) as image:
        time = 0.0
        for page in ImageSequence.Iterator(image):
            lacks_some = page.width * page.height > MOST_PIXELS
            if lacks_some or (time and page.format != "WEBP"):  # pages of a TIFF are other images
                return
            try:
                page.load()
            except errors:
                lacks_some, page.tile = True, []  # do not try again
            pixels = np.asarray(ImageOps.exif_transpose(page).convert("RGB"))
            if lacks_some and not pixels.any():
                return
            yield time, pixels, lacks_some
            time += page.info.get("duration", 100) / 1000
