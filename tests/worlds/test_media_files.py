"""Media files are found in order, at any depth, and nothing else is."""

from minitvlt.worlds.media_files import find_media_files


def test_files_come_in_the_order_of_their_names(tmp_path):
    for name in ("b.mp4", "a/z.mov", "a.mkv", "C.webm", ".hidden/a.mp4", "x.mp4/readme.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in find_media_files(tmp_path)]
    assert found == ["C.webm", "a.mkv", "a/z.mov", "b.mp4"]
