"""Joins a tap device of this network namespace to a backend that speaks QEMU's stream framing (u32 big-endian length,
then the Ethernet frame), as QEMU and its virtio-net device would.

  stream-relay.py SOCKET_PATH TAP MTU MAC [priority-tags]

With priority-tags each frame from the guest bears a tag of VLAN 0 and priority 3, as some network cards put it on.

Prints 'ready' once the tap is up and the backend connected; ends when the backend closes the stream.
"""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading

TUNSETIFF = 0x400454CA
IFF_TAP = 2
IFF_NO_PI = 0x1000

path, name, mtu, mac = sys.argv[1:5]
tag = bytes.fromhex("81006000") if "priority-tags" in sys.argv[5:] else b""
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
# A long queue: a burst of the guest's TCP must not be dropped before it gets here.
subprocess.run(["ip", "link", "set", name, "address", mac, "mtu", mtu, "txqueuelen", "20000", "up"], check=True)
backend = socket.socket(socket.AF_UNIX)
backend.connect(path)


def from_guest():
    largest = int(mtu) + 18
    while True:
        frame = os.read(tap, largest)
        frame = frame[:12] + tag + frame[12:]
        backend.sendall(struct.pack(">I", len(frame)) + frame)


threading.Thread(target=from_guest, daemon=True).start()
print("ready", flush=True)
stream = backend.makefile("rb", 1 << 20)
while True:
    head = stream.read(4)
    if len(head) < 4:
        break
    frame = stream.read(struct.unpack(">I", head)[0])
    try:
        os.write(tap, frame)
    except OSError:
        # The guest took its interface down.
        pass
