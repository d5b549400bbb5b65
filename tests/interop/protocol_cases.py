"""How protocol checks are named and found, and the world they run in."""
import os
import shutil

CASES = []

# Served names; the value is the clip behind it.
NAMES = {
    "clip.mp4": "h264_aac.mp4",
    "long.mp4": "long.mp4",
    "h265.mp4": "h265_aac.mp4",
    "raw.h264": "raw.h264",
    "name with spaces.mp4": "h264_aac.mp4",
    "grüße 日本.mp4": "h264_aac.mp4",
    "100%.mp4": "h264_aac.mp4",
    "a/b c/deep.mp4": "h264_aac.mp4",
    "vanishing.mp4": "h264_aac.mp4",
}


def case(name):
    """Marks a check. The name starts with the numbers of the cases it covers."""
    def mark(function):
        CASES.append((name, function))
        return function
    return mark


class World:
    """A backend's servers, and what they serve."""

    def __init__(self, millrace, backend, root, server, brief, references):
        self.millrace = millrace
        self.backend = backend
        self.root = root
        self.server = server
        self.brief = brief  # the same with a session time-out of 2 s
        self.references = references


def fill_root(root, clips_folder):
    """The folder to serve: clips under awkward names, and things that must not be served."""
    for name, clip in NAMES.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy(os.path.join(clips_folder, clip), path)
    with open(os.path.join(root, "broken.mp4"), "wb") as broken:
        broken.write(b"\0\0\0\x18ftypisom" + os.urandom(4096))
    with open(os.path.join(root, "empty.mp4"), "wb"):
        pass
    os.symlink(os.path.join(clips_folder, "h264_aac.mp4"), os.path.join(root, "out.mp4"))
    os.symlink("clip.mp4", os.path.join(root, "in.mp4"))
    os.symlink(clips_folder, os.path.join(root, "folder-out"))
    os.mkfifo(os.path.join(root, "fifo.mp4"))
