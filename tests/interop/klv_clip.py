"""KLV metadata (SMPTE 336M) put into a transport stream, which ffmpeg does not do."""
import itertools

PACKET = 188
TABLE_PID, VIDEO_PID, KLV_PID = 0x1000, 0x100, 0x1f1  # the first two are ffmpeg's
UNIVERSAL_LABEL = bytes.fromhex("060e2b34020b01010e01030101000000")
EVERY = 10  # pictures


def item(number):
    """Of a size of its own, some larger than a packet."""
    value = bytes((number * 31 + i) % 256 for i in range(50 + number % 4 * 700))
    return UNIVERSAL_LABEL + b"\x82" + len(value).to_bytes(2, "big") + value


def checksum(section):
    value = 0xffffffff
    for byte in section:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04c11db7 if value & 0x80000000 else 0)) & 0xffffffff
    return value.to_bytes(4, "big")


def _with_klv_in_table(packet):
    """The program map with another stream: private data, registered as KLVA."""
    section = packet[5:5 + 3 + ((packet[6] & 0x0f) << 8 | packet[7])]
    stream = bytes([6, 0xe0 | KLV_PID >> 8, KLV_PID & 0xff, 0xf0, 6, 5, 4]) + b"KLVA"
    body = section[3:-4] + stream
    length = len(body) + 4
    section = bytes([section[0], section[1] & 0xf0 | length >> 8, length & 0xff]) + body
    return (packet[:5] + section + checksum(section)).ljust(PACKET, b"\xff")


def _packets(pes, counter):
    room = PACKET - 4
    for at in range(0, len(pes), room):
        part = pes[at:at + room]
        head = bytes([0x47, KLV_PID >> 8 | (0 if at else 0x40), KLV_PID & 0xff])
        gap = room - len(part)
        if gap == 0:
            yield head + bytes([0x10 | next(counter) % 16]) + part
        else:  # an adaptation field fills it
            field = bytes([gap - 1]) + (b"\0" + b"\xff" * (gap - 2) if gap > 1 else b"")
            yield head + bytes([0x30 | next(counter) % 16]) + field + part


def put_into(stream):
    """The stream with an item behind every tenth picture's first packet; all items end to end."""
    out, items, pictures = [], [], 0
    counter = itertools.count()
    for at in range(0, len(stream) - PACKET + 1, PACKET):
        packet = stream[at:at + PACKET]
        pid = (packet[1] & 0x1f) << 8 | packet[2]
        starts = packet[1] & 0x40
        out.append(_with_klv_in_table(packet) if pid == TABLE_PID and starts else packet)
        if pid != VIDEO_PID or not starts:
            continue
        if pictures % EVERY == 0:
            items.append(item(pictures // EVERY))
            # With the picture's time, from the header of its packet of the elementary stream.
            begin = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
            time = packet[begin + 9:begin + 14]
            body = b"\x80\x80\5" + bytes([0x20 | time[0] & 0x0f]) + time[1:] + items[-1]
            out.extend(_packets(b"\0\0\1\xbd" + len(body).to_bytes(2, "big") + body, counter))
        pictures += 1
    return b"".join(out), b"".join(items)
