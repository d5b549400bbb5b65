"""The clips the interoperability tests serve, and what a player must receive of each."""
import fcntl
import hashlib
import json
import os
import time

import interop

# Still noise makes key frames of more than 16 packets (the burst cap) and leaves the others small.
RATE = 25
PICTURE = f"testsrc2=size=320x240:rate={RATE},noise=alls=60"
SECONDS = 5
KEY_FRAME_EVERY = 40
KEY_FRAME_BYTES_MIN = 17 * 1400
X264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-bf", "2", "-g",
        str(KEY_FRAME_EVERY), "-keyint_min", str(KEY_FRAME_EVERY), "-sc_threshold", "0",
        "-pix_fmt", "yuv420p"]
X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "28", "-pix_fmt", "yuv420p",
        "-x265-params", f"log-level=error:bframes=3:keyint={KEY_FRAME_EVERY}:"
                        f"min-keyint={KEY_FRAME_EVERY}:scenecut=0"]
AAC = ["-c:a", "aac", "-b:a", "96k"]


def _lavfi(seconds, picture=PICTURE, rate=48000):
    return ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i",
            f"sine=frequency=440:sample_rate={rate},aformat=channel_layouts=stereo",
            "-t", str(seconds)]


# name: (ffmpeg arguments; an earlier clip is named with a leading @)
RECIPES = {
    "h264_aac.mp4": _lavfi(SECONDS) + X264 + AAC,  # moov at the end, edit lists
    "h265_aac.mp4": _lavfi(SECONDS, rate=44100) + X265 + ["-tag:v", "hvc1"] + AAC
                    + ["-movflags", "+faststart"],
    "h264_aac.mkv": ["-i", "@h264_aac.mp4", "-c", "copy"],
    "h264_aac.ts": ["-i", "@h264_aac.mp4", "-c", "copy"],
    "h264_aac.mov": ["-i", "@h264_aac.mp4", "-c", "copy"],
    "raw.h264": ["-i", "@h264_aac.mp4", "-map", "0:v", "-c", "copy", "-f", "h264"],
    "raw.h265": ["-i", "@h265_aac.mp4", "-map", "0:v", "-c", "copy", "-f", "hevc"],
    # For what takes longer: seeks, reports, time-outs.
    "long.mp4": _lavfi(40) + X264 + AAC,
}

# For publishing, in real time: a reader soon has a key frame to join at.
LIVE_SECONDS = 9


def _every_second(encoder):
    return [word.replace(str(KEY_FRAME_EVERY), str(RATE)) for word in encoder]


LIVE_RECIPES = {
    "live_h264.mp4": _lavfi(LIVE_SECONDS) + _every_second(X264) + AAC,
    "live_h265.mp4": _lavfi(LIVE_SECONDS, rate=44100) + _every_second(X265) + ["-tag:v", "hvc1"]
                     + AAC,
}


def make(folder, names=None, recipes=None):
    """Makes what is missing of the clips; returns their folder. Several tests may do so at once."""
    recipes = recipes or RECIPES
    recipe_hash = hashlib.md5(json.dumps(recipes).encode()).hexdigest()[:8]
    clips = os.path.join(os.path.abspath(folder), f"clips-{recipe_hash}")
    os.makedirs(clips, exist_ok=True)
    with open(os.path.join(folder, "clips.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, recipe in recipes.items():
            path = os.path.join(clips, name)
            if os.path.exists(path) or (names and name not in names):
                continue
            arguments = [os.path.join(clips, word[1:]) if word.startswith("@") else word
                         for word in recipe]
            part = os.path.join(folder, "part-" + name)  # the ending chooses the container
            interop.tool("ffmpeg", "-nostdin", "-loglevel", "error", "-y", *arguments, part)
            # What was written to just now would seem to be growing.
            hour_ago = time.time() - 3600
            os.utime(part, (hour_ago, hour_ago))
            os.rename(part, path)
    return clips


class Reference:
    """What the file holds, as ffmpeg reads it from disk."""

    def __init__(self, path, work):
        self.path = path
        self.codec = "h265" if "265" in os.path.basename(path) else "h264"
        ending = os.path.splitext(path)[1]
        self.has_audio = ending not in (".h264", ".h265")
        base = os.path.join(work, "reference-" + os.path.basename(path))
        command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-threads", "1", "-i", path,
                   "-map", "0:v", "-fps_mode", "passthrough", "-f", "framehash", "-hash", "md5",
                   base + ".frames", "-map", "0:v", "-c", "copy"]
        # As it lies in the file: a filter would add what only the container's header holds.
        command += ["-f", "rawvideo", base + ".video"]
        if self.has_audio:
            command += ["-map", "0:a", "-c", "copy"]
            if ending == ".ts":
                command += ["-bsf:a", "aac_adtstoasc"]
            command += ["-f", "framehash", "-hash", "md5", base + ".audio"]
        interop.tool(*command)
        self.frames = interop.framehash_hashes(base + ".frames")  # decoded, as shown
        split = (interop.split_prefixed if ending in (".mp4", ".mov", ".mkv")
                 else interop.split_nal_units)
        with open(base + ".video", "rb") as video:
            units = split(video.read())
        self.units = interop.media_units(units, self.codec)  # NAL units, as coded
        self._media = interop.without_parameter_sets(units, self.codec)
        self.audio = interop.framehash_hashes(base + ".audio") if self.has_audio else []
        self._read_times()
        pictures = sum(interop.is_picture(unit, self.codec) for unit in units)
        interop.expect(pictures == len(self.video_times) == len(self.frames),
                       f"{path}: {pictures} pictures, {len(self.video_times)} packets")
        keys = [size for size, key in zip(self.video_sizes, self.video_keys) if key]
        interop.expect(len(keys) > 1 and min(keys) > KEY_FRAME_BYTES_MIN,
                       f"{path}: key frames of {keys} bytes do not fill bursts")

    def _read_times(self):
        # A raw stream has no times; it is a copy of a clip that has.
        timed = self.path
        if not self.has_audio:
            source = RECIPES[os.path.basename(self.path)][1]
            timed = os.path.join(os.path.dirname(self.path), source[1:])
        shown = json.loads(interop.tool(
            "ffprobe", "-v", "error", "-show_packets", "-show_streams", "-of", "json",
            "-show_entries",
            "packet=codec_type,pts_time,size,flags:stream=codec_type,sample_rate", timed))
        listed, streams = shown["packets"], shown["streams"]
        video = [packet for packet in listed if packet["codec_type"] == "video"]
        video_times = [float(packet["pts_time"]) for packet in video]
        self.video_keys = [packet["flags"].startswith("K") for packet in video]
        self.video_sizes = [int(packet["size"]) for packet in video]
        audio_times = [float(packet["pts_time"]) for packet in listed
                       if packet["codec_type"] == "audio"]
        start = min(video_times + audio_times)  # is npt 0
        # In decode order.
        self.video_times = [time - start for time in video_times]
        self.audio_times = [time - start for time in audio_times]
        self.audio_rate = next((int(stream["sample_rate"]) for stream in streams
                                if stream["codec_type"] == "audio"), None)

    def key_frame_starts(self):
        """Where in `units` the key frames begin: at their slice, or at what belongs to it and
        stands before it."""
        pictures = [i for i, unit in enumerate(self._media) if interop.is_picture(unit, self.codec)]
        starts = set()
        for before, picture, key in zip([-1, *pictures], pictures, self.video_keys):
            starts.update(range(before + 1, picture + 1) if key else ())
        return starts

    def key_frame_at_or_before(self, npt):
        """Index of it in decode order."""
        return max(i for i, (time, key) in enumerate(zip(self.video_times, self.video_keys))
                   if key and time <= npt)

    def frames_from(self, key_frame):
        """Decoded pictures of a play that starts at this one."""
        shown_before = sum(time < self.video_times[key_frame] for time in self.video_times)
        return self.frames[shown_before:]

    def units_from(self, key_frame):
        """NAL units of such a play. Leading pictures that refer to what lies before (RASL) cannot
        be decoded after a start at their key frame, and are left out (H.265 section 8.1.3)."""
        pictures = [i for i, unit in enumerate(self._media) if interop.is_picture(unit, self.codec)]
        kept = []
        irap_passed = 0
        for i in range(pictures[key_frame], len(self._media)):
            kind = interop.nal_type(self._media[i], self.codec)
            irap_passed += self.codec == "h265" and 16 <= kind <= 23
            if not (self.codec == "h265" and irap_passed == 1 and kind in (8, 9)):
                kept.append(self.units[i])
        return kept
