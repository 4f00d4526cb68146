/*
 * Joins a tap device to a backend that speaks QEMU's stream framing (u32 big-endian length, then the Ethernet frame).
 * It plays the part of QEMU and its virtio-net device, so the guest is a network namespace with the real Linux TCP stack.
 * Every stream backend gets this same relay; it batches both ways so that it is not what the benchmark measures.
 *
 *   relay NETNS_PATH TAP SOCKET_PATH
 *
 * The tap is plain (no vnet header): the guest's kernel cuts and checksums. The connection is retried every millisecond
 * until the backend listens. Ends when the backend closes the stream.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <signal.h>
#include <unistd.h>

enum {
  BATCH_BYTES = 1 << 20,
  LENGTH_BYTES = 4,
  FRAME_LIMIT = 65520 + 18, /* largest MTU, Ethernet header and a VLAN tag */
};

struct batch {
  uint8_t bytes[BATCH_BYTES];
  size_t start, end;
};

static struct batch from_guest, to_guest;

static void die(const char *what) {
  fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int open_tap(const char *netns, const char *name) {
  int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int guest = open(netns, O_RDONLY | O_CLOEXEC);
  if (own < 0 || guest < 0) die(netns);
  if (setns(guest, CLONE_NEWNET) < 0) die("setns");
  int tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap < 0) die("/dev/net/tun");
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
  if (ioctl(tap, TUNSETIFF, &request) < 0) die("TUNSETIFF");
  if (setns(own, CLONE_NEWNET) < 0) die("setns back");
  close(own);
  close(guest);
  return tap;
}

static int connect_stream(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    die(path);
  }
  strcpy(address.sun_path, path);
  for (;;) {
    int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (stream < 0) die("socket");
    if (connect(stream, (struct sockaddr *)&address, sizeof address) == 0) {
      int size = BATCH_BYTES;
      if (setsockopt(stream, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        setsockopt(stream, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
      fcntl(stream, F_SETFL, O_NONBLOCK);
      return stream;
    }
    if (errno != ENOENT && errno != ECONNREFUSED && errno != EAGAIN && errno != EACCES) die(path);
    close(stream);
    usleep(1000);
  }
}

/* Reads what the tap has into the batch, each frame behind its length. */
static void gather(int tap) {
  while (from_guest.end + LENGTH_BYTES + FRAME_LIMIT <= BATCH_BYTES) {
    uint8_t *at = from_guest.bytes + from_guest.end;
    ssize_t length = read(tap, at + LENGTH_BYTES, FRAME_LIMIT);
    if (length <= 0) return;
    uint32_t prefix = htonl((uint32_t)length);
    memcpy(at, &prefix, LENGTH_BYTES);
    from_guest.end += LENGTH_BYTES + (size_t)length;
  }
}

static void flush(int stream) {
  while (from_guest.start < from_guest.end) {
    ssize_t sent = send(stream, from_guest.bytes + from_guest.start, from_guest.end - from_guest.start, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EAGAIN) return;
      die("send");
    }
    from_guest.start += (size_t)sent;
  }
  from_guest.start = from_guest.end = 0;
}

/* One read from the backend, then every whole frame to the tap. */
static void deliver(int stream, int tap) {
  ssize_t got = recv(stream, to_guest.bytes + to_guest.end, BATCH_BYTES - to_guest.end, 0);
  if (got == 0) exit(0);
  if (got < 0) {
    if (errno == EAGAIN) return;
    die("recv");
  }
  to_guest.end += (size_t)got;
  while (to_guest.end - to_guest.start >= LENGTH_BYTES) {
    uint32_t length;
    memcpy(&length, to_guest.bytes + to_guest.start, LENGTH_BYTES);
    length = ntohl(length);
    if (length == 0 || length > FRAME_LIMIT) {
      fprintf(stderr, "relay: the backend sent a frame of %u bytes\n", length);
      exit(1);
    }
    if (to_guest.end - to_guest.start < LENGTH_BYTES + length) break;
    /* A refused frame (interface down) is lost, as on a real wire. */
    if (write(tap, to_guest.bytes + to_guest.start + LENGTH_BYTES, length) < 0 && errno != EIO && errno != EINVAL)
      die("write to the tap");
    to_guest.start += LENGTH_BYTES + length;
  }
  size_t rest = to_guest.end - to_guest.start;
  if (to_guest.start > 0) memmove(to_guest.bytes, to_guest.bytes + to_guest.start, rest);
  to_guest.start = 0;
  to_guest.end = rest;
}

int main(int count, char **arguments) {
  if (count != 4) {
    fprintf(stderr, "usage: relay NETNS_PATH TAP SOCKET_PATH\n");
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int tap = open_tap(arguments[1], arguments[2]);
  puts("tap");
  fflush(stdout);
  int stream = connect_stream(arguments[3]);
  puts("joined");
  fflush(stdout);
  for (;;) {
    int blocked = from_guest.end > 0;
    struct pollfd polled[2] = {
        {.fd = stream, .events = (short)(POLLIN | (blocked ? POLLOUT : 0))},
        {.fd = blocked ? -1 : tap, .events = POLLIN},
    };
    if (poll(polled, 2, -1) < 0) die("poll");
    if (polled[0].revents & (POLLIN | POLLHUP | POLLERR)) deliver(stream, tap);
    if (polled[1].revents & POLLIN) gather(tap);
    if (from_guest.end > 0) flush(stream);
  }
}
