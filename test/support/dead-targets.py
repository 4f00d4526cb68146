"""Opens a TCP connection to each of COUNT addresses from FIRST on, all at once, as a monitor does whose targets are dead.

  dead-targets.py FIRST COUNT PORT

Prints 'asked' once all have begun, and at the end of its input how many of them have ended, whatever way.
"""

import ipaddress
import resource
import select
import socket
import sys

first, count, port = ipaddress.IPv4Address(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 64, count + 64))
poll = select.poll()
targets = []
for i in range(count):
    target = socket.socket()
    target.setblocking(False)
    target.connect_ex((str(first + i), port))
    targets.append(target)
    poll.register(target, select.POLLOUT)
print("asked", flush=True)
sys.stdin.read()
print(len(poll.poll(0)), flush=True)
