"""Dials ports of addresses, a bounded number at once, and says as JSON what each answered but a refusal.

argv: how many at once, then addresses. Prints {address: {port: answer}}: "open", or the name of the errno.
"""
import errno, json, select, socket, sys

AT_ONCE = int(sys.argv[1])
WAIT_SECONDS = 30

poll = select.epoll()
waiting = {}
answers = {address: {} for address in sys.argv[2:]}
targets = ((address, port) for address in sys.argv[2:] for port in range(1, 65536))


def said(target, code):
    if code != errno.ECONNREFUSED:
        answers[target[0]][target[1]] = "open" if code == 0 else errno.errorcode[code]


def dial(target):
    one = socket.socket()
    one.setblocking(False)
    code = one.connect_ex(target)
    if code == errno.EINPROGRESS:
        waiting[one.fileno()] = (one, target)
        poll.register(one, select.EPOLLOUT)
        return
    one.close()
    said(target, code)


more = True
while more or waiting:
    while more and len(waiting) < AT_ONCE:
        target = next(targets, None)
        more = target is not None
        if more:
            dial(target)
    ready = poll.poll(WAIT_SECONDS)
    for fd, _ in ready:
        one, target = waiting.pop(fd)
        said(target, one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        one.close()
    if not ready:
        for one, target in waiting.values():
            answers[target[0]][target[1]] = "silence"
            one.close()
        waiting.clear()
print(json.dumps(answers))
