"""Which files are media: they are known by the ends of their names."""

from pathlib import Path

FILMS = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv")
SOUNDS = (".aac", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav")
PICTURES = (".gif", ".jpeg", ".jpg", ".png")
MEDIA_SUFFIXES = (*FILMS, *SOUNDS, *PICTURES)


def find_media_files(folder: Path) -> list[Path]:
    """All media files in a folder and the folders in it, in the order of their names, without hidden ones."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: give the folder that holds the media files.")
    found = [path for path in folder.rglob("*") if path.suffix.lower() in MEDIA_SUFFIXES and path.is_file()]
    visible = [path for path in found if not any(p.startswith(".") for p in path.relative_to(folder).parts)]
    if not visible:
        known = " ".join(MEDIA_SUFFIXES)
        raise ValueError(f"{folder} holds no media file, that is none whose name ends in {known}.")
    return sorted(visible, key=lambda path: path.relative_to(folder).as_posix())
