"""Guests on QEMU's stream framing (u32 big-endian length, then the Ethernet frame) that send as fast as they are taken, and
throw away what they get: valid UDP from ever new ports, SYNs to ever new ports, echo requests.

  flooding-guests.py SOCKET_PATH GUESTS SECONDS GATEWAY TARGET

They have the addresses from GATEWAY + 100 on. Prints 'flooding' once all are connected.
"""

import selectors
import socket
import struct
import sys
import time

path, guests, seconds, gateway, target = sys.argv[1:6]
GATEWAY_MAC = bytes.fromhex("5a94efe40cdd")
FRAMES = 4096


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(source, destination, protocol, payload):
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + source + destination
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def transport(source, destination, protocol, segment, at):
    pseudo = source + destination + struct.pack(">HH", protocol, len(segment))
    return segment[:at] + struct.pack(">H", checksum(pseudo + segment)) + segment[at + 2 :]


def udp(source, destination, i):
    segment = struct.pack(">HHHH", 1024 + i, 40000 + i % 1000, 40, 0) + bytes(32)
    return packet(source, destination, 17, transport(source, destination, 17, segment, 6))


def syn(source, destination, i):
    segment = struct.pack(">HHIIBBHHH", 1024 + i, 40000 + i % 1000, i, 0, 0x50, 2, 65535, 0, 0)
    return packet(source, destination, 6, transport(source, destination, 6, segment, 16))


def echo(source, destination, i):
    message = struct.pack(">BBHHH", 8, 0, 0, i & 0xFF, i) + bytes(32)
    return packet(source, destination, 1, message[:2] + struct.pack(">H", checksum(message)) + message[4:])


def burst(guest):
    base = socket.inet_aton(gateway)
    source = base[:3] + bytes([base[3] + 100 + guest])
    ethernet = GATEWAY_MAC + bytes.fromhex("525400f100") + bytes([guest]) + b"\x08\x00"
    frames = []
    for i in range(FRAMES):
        frame = ethernet + (udp, syn, echo)[i % 3](source, socket.inet_aton(target), i)
        frames.append(struct.pack(">I", len(frame)) + frame)
    return memoryview(b"".join(frames))


class Guest:
    def __init__(self, number):
        self.burst = burst(number)
        self.at = 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.setblocking(False)

    def run(self, events):
        if events & selectors.EVENT_READ and not self.socket.recv(1 << 20):
            raise SystemExit("a guest was detached")
        if events & selectors.EVENT_WRITE:
            taken = self.socket.send(self.burst[self.at :])
            self.at = (self.at + taken) % len(self.burst)


selector = selectors.DefaultSelector()
flooders = [Guest(number) for number in range(int(guests))]
for one in flooders:
    selector.register(one.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, one)
print("flooding", flush=True)
end = time.monotonic() + float(seconds)
while time.monotonic() < end:
    for key, events in selector.select(1):
        key.data.run(events)
