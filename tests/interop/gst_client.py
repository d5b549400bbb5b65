#!/usr/bin/env python3
"""A GStreamer player that can pause and seek, which gst-launch-1.0 cannot.

    gst_client.py PIPELINE ACTION…

Actions: play=SECONDS, pause=SECONDS, seek=TO_SECONDS, end=WITHIN_SECONDS. The pipeline has an
rtspsrc named `source`, and unlinked elements named by their medium (`video`, `audio`,
`application`) that its pads are linked to as they come; gst-launch-1.0 leaves one out now and then,
when two come at once. This speaks to the C library directly, since the bindings for Python are an
extra that few machines have.
"""
import ctypes
import ctypes.util
import sys
import time

NULL, PAUSED, PLAYING = 1, 3, 4  # GstState
FAILURE = 0  # GstStateChangeReturn
FORMAT_TIME = 3
FLUSH_AND_KEY_UNIT = 1 | 4
EOS, ERROR = 1, 2  # GstMessageType
PAD_LINK_OK = 0
SECOND = 1_000_000_000
STATE_WITHIN = 20 * SECOND
SEEK_WITHIN = 10


PadAdded = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class GError(ctypes.Structure):
    _fields_ = [("domain", ctypes.c_uint32), ("code", ctypes.c_int), ("message", ctypes.c_char_p)]


def load():
    """The library, its functions declared; None when it is not there."""
    try:
        gst = ctypes.CDLL(ctypes.util.find_library("gstreamer-1.0") or "libgstreamer-1.0.so.0")
    except OSError:
        return None
    pointer, error = ctypes.c_void_p, ctypes.POINTER(ctypes.POINTER(GError))
    for name, result, arguments in (
            ("gst_init", None, [pointer, pointer]),
            ("gst_parse_launch", pointer, [ctypes.c_char_p, error]),
            ("gst_element_get_bus", pointer, [pointer]),
            ("gst_element_set_state", ctypes.c_int, [pointer, ctypes.c_int]),
            ("gst_element_get_state", ctypes.c_int, [pointer, pointer, pointer, ctypes.c_uint64]),
            ("gst_element_seek_simple", ctypes.c_int,
             [pointer, ctypes.c_int, ctypes.c_int, ctypes.c_int64]),
            ("gst_bus_timed_pop_filtered", pointer, [pointer, ctypes.c_uint64, ctypes.c_int]),
            ("gst_message_parse_error", None, [pointer, error, pointer]),
            ("gst_bin_get_by_name", pointer, [pointer, ctypes.c_char_p]),
            ("gst_element_get_static_pad", pointer, [pointer, ctypes.c_char_p]),
            ("gst_pad_query_caps", pointer, [pointer, pointer]),
            ("gst_caps_to_string", ctypes.c_char_p, [pointer]),
            ("gst_pad_link", ctypes.c_int, [pointer, pointer]),
            ("g_signal_connect_data", ctypes.c_ulong,
             [pointer, ctypes.c_char_p, PadAdded, pointer, pointer, ctypes.c_int])):
        function = getattr(gst, name)  # GLib's too: it is among what the library is linked to
        function.restype, function.argtypes = result, arguments
    return gst


class Player:
    def __init__(self, gst, description):
        self.gst = gst
        gst.gst_init(None, None)
        error = ctypes.POINTER(GError)()
        self.pipeline = gst.gst_parse_launch(description.encode(), ctypes.byref(error))
        if not self.pipeline or error:
            sys.exit("gst_client: " + error.contents.message.decode())
        self.bus = gst.gst_element_get_bus(self.pipeline)
        self.link_error = None
        self.on_pad_added = PadAdded(self.link)  # kept alive
        gst.g_signal_connect_data(gst.gst_bin_get_by_name(self.pipeline, b"source"), b"pad-added",
                                  self.on_pad_added, None, None, 0)

    def link(self, _source, pad, _data):
        caps = self.gst.gst_caps_to_string(self.gst.gst_pad_query_caps(pad, None))
        for media in (b"video", b"audio", b"application"):
            if b"media=(string)" + media not in caps:
                continue
            branch = self.gst.gst_bin_get_by_name(self.pipeline, media)
            if branch and self.gst.gst_pad_link(
                    pad, self.gst.gst_element_get_static_pad(branch, b"sink")) != PAD_LINK_OK:
                self.link_error = f"the {media.decode()} pad could not be linked"

    def set_state(self, state):
        if (self.gst.gst_element_set_state(self.pipeline, state) == FAILURE or
                self.gst.gst_element_get_state(self.pipeline, None, None, STATE_WITHIN) == FAILURE):
            self.leave_on_error(0)
            sys.exit(f"gst_client: state {state} was not reached")

    def leave_on_error(self, nanoseconds):
        if self.link_error:
            sys.exit("gst_client: " + self.link_error)
        message = self.gst.gst_bus_timed_pop_filtered(self.bus, nanoseconds, ERROR)
        if message:
            error = ctypes.POINTER(GError)()
            self.gst.gst_message_parse_error(message, ctypes.byref(error), None)
            sys.exit("gst_client: " + error.contents.message.decode())

    def wait(self, seconds):
        self.leave_on_error(int(seconds * SECOND))

    def do(self, action, value):
        if action == "play":
            self.set_state(PLAYING)
            self.wait(value)
        elif action == "pause":
            self.set_state(PAUSED)
            self.wait(value)
        elif action == "seek":
            # Refused until the sinks have their first packets.
            deadline = time.monotonic() + SEEK_WITHIN
            while not self.gst.gst_element_seek_simple(
                    self.pipeline, FORMAT_TIME, FLUSH_AND_KEY_UNIT, int(value * SECOND)):
                self.wait(0.1)
                if time.monotonic() > deadline:
                    sys.exit("gst_client: the seek was refused")
        elif action == "end":
            deadline = time.monotonic() + value
            while not self.gst.gst_bus_timed_pop_filtered(self.bus, SECOND // 10, EOS):
                self.leave_on_error(0)
                if time.monotonic() > deadline:
                    sys.exit(f"gst_client: no end of stream within {value} s")
        else:
            sys.exit(f"gst_client: unknown action {action}")


def main():
    gst = load()
    if gst is None:
        sys.exit("gst_client: libgstreamer-1.0 is not there")
    player = Player(gst, sys.argv[1])
    for word in sys.argv[2:]:
        action, _, value = word.partition("=")
        player.do(action, float(value))
    player.set_state(NULL)


if __name__ == "__main__":
    main()
