/*
 * The load of the benchmark: servers on the host's loopback, clients in the guest.
 *
 *   load serve COUNTERS [ADDRESS]              prints "NAME PORT" for each service, then "ready"; ends with its parent
 *   load send|receive COUNTERS HOST PORT FLOWS TCP towards or from the host until killed; prints "ready" when all are open
 *   load udp-send|udp-receive COUNTERS HOST PORT  the same with 1,400-byte datagrams, 5 Gbit/s offered
 *   load tcp-rr|udp-rr HOST PORT SECONDS       one byte (64 bytes) to and fro; prints "MEDIAN_US P99_US ROUNDS LOST"
 *   load idle HOST PORT                        opens as many flows as each line of standard input says, prints "open N"
 *   load arp INTERFACE GATEWAY                 asks until the gateway answers; prints CLOCK_MONOTONIC in ns
 *
 * What arrives is counted by the receiver, in a file that all of them map: four u64, see `struct counters`. So the
 * benchmark reads both directions the same way, at any instant it likes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  CHUNK_BYTES = 256 << 10,
  DATAGRAM_BYTES = 1400,
  UDP_BATCH = 64,
  UDP_BUFFER_BYTES = 8 << 20,
  /*
   * 5 Gbit/s of payload: more than a backend takes, and yet not all of a processor. Nothing holds a sender back, neither
   * on loopback nor on a tap (which drops when its ring is full), so one without a pace would starve what is measured.
   */
  UDP_OFFERED_PER_SECOND = 450000,
  FLOW_LIMIT = 64,
  EVENT_LIMIT = 256,
  ROUND_LIMIT = 4000000,
  DIALS_AT_ONCE = 64, /* idle flows: enough to be quick, too few to overrun an accept queue */
};

struct counters {
  uint64_t tcp_bytes, udp_bytes, udp_received, udp_sent;
};

static struct counters *counters;
static char chunk[CHUNK_BYTES];

static void die(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void say(const char *line) {
  puts(line);
  fflush(stdout);
}

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void count(uint64_t *counter, uint64_t more) { __atomic_fetch_add(counter, more, __ATOMIC_RELAXED); }

static void map_counters(const char *path) {
  int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) die(path);
  counters = mmap(NULL, sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (counters == MAP_FAILED) die("mmap");
}

static struct sockaddr_in address_of(const char *host, const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
    errno = EINVAL;
    die(host);
  }
  return address;
}

static void set(int fd, int level, int option, int value) {
  if (setsockopt(fd, level, option, &value, sizeof value) < 0) die("setsockopt");
}

/* ---- servers ---- */

/* Where the servers stand: the host's loopback, or in a guest whose ports are forwarded its own address. */
static const char *serve_at = "127.0.0.1";

static int bound_socket(int type, const char *name) {
  int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = address_of(serve_at, "0");
  socklen_t size = sizeof address;
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0) die("bind");
  if (type & SOCK_STREAM && listen(fd, 4096) < 0) die("listen");
  if (getsockname(fd, (struct sockaddr *)&address, &size) < 0) die("getsockname");
  printf("%s %d\n", name, ntohs(address.sin_port));
  return fd;
}

/* What a service does with a readable or writable connection; false ends it. */
typedef int service(int fd);

static int sink(int fd) {
  ssize_t got = recv(fd, chunk, sizeof chunk, 0);
  if (got <= 0) return got < 0 && errno == EAGAIN;
  count(&counters->tcp_bytes, (uint64_t)got);
  return 1;
}

static int source(int fd) {
  ssize_t sent = send(fd, chunk, sizeof chunk, MSG_NOSIGNAL);
  return sent > 0 || errno == EAGAIN;
}

static int echo(int fd) {
  char bytes[4096];
  ssize_t got = recv(fd, bytes, sizeof bytes, 0);
  if (got <= 0) return got < 0 && errno == EAGAIN;
  return send(fd, bytes, (size_t)got, MSG_NOSIGNAL) == got;
}

/* A request is taken to arrive whole, in one read: true of wrk. */
static int http(int fd) {
  static const char body[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 64\r\n\r\n"
                             "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  static const char last[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 64\r\n\r\n"
                             "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  char request[4096];
  ssize_t got = recv(fd, request, sizeof request, 0);
  if (got <= 0) return got < 0 && errno == EAGAIN;
  if (memmem(request, (size_t)got, "Connection: close", 17)) {
    send(fd, last, sizeof last - 1, MSG_NOSIGNAL);
    return 0;
  }
  return send(fd, body, sizeof body - 1, MSG_NOSIGNAL) == sizeof body - 1;
}

static void serve_tcp(int listener, service *serve, uint32_t interest) {
  int poller = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENT_LIMIT];
  fcntl(listener, F_SETFL, O_NONBLOCK);
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int ready = epoll_wait(poller, events, EVENT_LIMIT, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd != listener) {
        if (!serve(fd)) close(fd);
        continue;
      }
      for (int next; (next = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        set(next, IPPROTO_TCP, TCP_NODELAY, 1);
        struct epoll_event added = {.events = interest, .data.fd = next};
        epoll_ctl(poller, EPOLL_CTL_ADD, next, &added);
      }
    }
  }
}

struct datagrams {
  struct mmsghdr headers[UDP_BATCH];
  struct iovec vectors[UDP_BATCH];
  char bytes[UDP_BATCH][2048];
};

static struct datagrams datagrams;

static struct mmsghdr *prepare(size_t length, struct sockaddr_in *to) {
  for (int i = 0; i < UDP_BATCH; i++) {
    datagrams.vectors[i] = (struct iovec){datagrams.bytes[i], length};
    datagrams.headers[i].msg_hdr = (struct msghdr){
        .msg_name = to, .msg_namelen = to ? sizeof *to : 0, .msg_iov = &datagrams.vectors[i], .msg_iovlen = 1};
  }
  return datagrams.headers;
}

static void large_buffer(int fd, int option) {
  int size = UDP_BUFFER_BYTES;
  if (setsockopt(fd, SOL_SOCKET, option, &size, sizeof size) < 0) die("UDP buffer");
}

static void count_datagrams(int fd) {
  struct mmsghdr *headers = prepare(2048, NULL);
  int got = recvmmsg(fd, headers, UDP_BATCH, MSG_WAITFORONE, NULL);
  uint64_t bytes = 0;
  for (int i = 0; i < got; i++) bytes += headers[i].msg_len;
  if (got <= 0) return;
  count(&counters->udp_bytes, bytes);
  count(&counters->udp_received, (uint64_t)got);
}

static void serve_udp_sink(int fd) {
  large_buffer(fd, SO_RCVBUFFORCE);
  for (;;) count_datagrams(fd);
}

/* Waits until the next batch of datagrams is due; catches up with a late wake-up, not with a pause. */
static void await_batch(int64_t *due) {
  int64_t now = now_ns();
  if (now - *due > 1000000) *due = now;
  if (now < *due) {
    struct timespec nap = {.tv_nsec = *due - now};
    nanosleep(&nap, NULL);
  }
  *due += UDP_BATCH * 1000000000LL / UDP_OFFERED_PER_SECOND;
}

/* Sends to whoever asked, for 300 ms after each asking. */
static void serve_udp_source(int fd) {
  struct sockaddr_in peer = {0};
  int64_t until = 0, due = 0;
  char question[64];
  for (;;) {
    socklen_t size = sizeof peer;
    int wait = now_ns() >= until;
    if (recvfrom(fd, question, sizeof question, wait ? 0 : MSG_DONTWAIT, (struct sockaddr *)&peer, &size) > 0)
      until = now_ns() + 300000000;
    await_batch(&due);
    int sent = sendmmsg(fd, prepare(DATAGRAM_BYTES, &peer), UDP_BATCH, 0);
    if (sent > 0) count(&counters->udp_sent, (uint64_t)sent);
  }
}

static void serve_udp_echo(int fd) {
  char bytes[2048];
  for (;;) {
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    ssize_t got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&peer, &size);
    if (got >= 0) sendto(fd, bytes, (size_t)got, 0, (struct sockaddr *)&peer, size);
  }
}

static int forked(void) {
  fflush(stdout);
  int child = fork();
  if (child < 0) die("fork");
  if (child == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  return child == 0;
}

static void serve(void) {
  int fd;
  fd = bound_socket(SOCK_STREAM, "sink");
  if (forked()) serve_tcp(fd, sink, EPOLLIN);
  fd = bound_socket(SOCK_STREAM, "source");
  if (forked()) serve_tcp(fd, source, EPOLLOUT);
  fd = bound_socket(SOCK_STREAM, "echo");
  if (forked()) serve_tcp(fd, echo, EPOLLIN);
  fd = bound_socket(SOCK_STREAM, "http");
  if (forked()) serve_tcp(fd, http, EPOLLIN);
  fd = bound_socket(SOCK_DGRAM, "udp-sink");
  if (forked()) serve_udp_sink(fd);
  fd = bound_socket(SOCK_DGRAM, "udp-source");
  if (forked()) serve_udp_source(fd);
  fd = bound_socket(SOCK_DGRAM, "udp-echo");
  if (forked()) serve_udp_echo(fd);
  say("ready");
  for (;;) pause();
}

/* ---- clients ---- */

static int connected(int type, struct sockaddr_in to) {
  int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
  return fd;
}

/* A killed client resets its flows, so that what it had queued does not reach into the next cell. */
static void reset_on_close(int fd) {
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static void bulk(service *move, short events, struct sockaddr_in to, int flows) {
  struct pollfd polled[FLOW_LIMIT];
  if (flows < 1 || flows > FLOW_LIMIT) {
    errno = ERANGE;
    die("flows");
  }
  for (int i = 0; i < flows; i++) {
    polled[i] = (struct pollfd){.fd = connected(SOCK_STREAM, to), .events = events};
    reset_on_close(polled[i].fd);
    /* A word from the client first: Debian's passt joins a forwarded connection to the guest no sooner. */
    if (events == POLLIN && send(polled[i].fd, "!", 1, MSG_NOSIGNAL) != 1) die("send");
    fcntl(polled[i].fd, F_SETFL, O_NONBLOCK);
  }
  say("ready");
  for (;;) {
    if (poll(polled, (nfds_t)flows, -1) < 0) die("poll");
    for (int i = 0; i < flows; i++) {
      if (polled[i].revents && !move(polled[i].fd)) {
        fprintf(stderr, "load: flow %d ended early: %s\n", i, strerror(errno));
        exit(1);
      }
    }
  }
}

static void udp_send(struct sockaddr_in to) {
  int fd = connected(SOCK_DGRAM, to);
  say("ready");
  for (int64_t due = 0;;) {
    await_batch(&due);
    int sent = sendmmsg(fd, prepare(DATAGRAM_BYTES, NULL), UDP_BATCH, 0);
    if (sent > 0) count(&counters->udp_sent, (uint64_t)sent);
    else if (errno != ENOBUFS && errno != ECONNREFUSED) die("sendmmsg");
  }
}

static void udp_receive(struct sockaddr_in from) {
  int fd = connected(SOCK_DGRAM, from);
  large_buffer(fd, SO_RCVBUFFORCE);
  say("ready");
  for (int64_t asked = 0;;) {
    if (now_ns() - asked > 50000000) {
      send(fd, "more", 4, 0);
      asked = now_ns();
    }
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    if (poll(&polled, 1, 50) > 0) count_datagrams(fd);
  }
}

static int by_value(const void *a, const void *b) {
  uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
  return (left > right) - (left < right);
}

static void round_trips(int type, struct sockaddr_in to, double seconds) {
  size_t length = type == SOCK_STREAM ? 1 : 64;
  int fd = connected(type, to);
  if (type == SOCK_STREAM) set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  struct timeval patience = {.tv_sec = 1};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  uint32_t *samples = malloc(ROUND_LIMIT * sizeof *samples);
  if (!samples) die("malloc");
  char bytes[64] = {0}, answer[64];
  uint32_t rounds = 0, lost = 0;
  int64_t warm = now_ns() + 200000000, until = warm + (int64_t)(seconds * 1e9);
  for (int64_t start; (start = now_ns()) < until && rounds < ROUND_LIMIT;) {
    if (send(fd, bytes, length, MSG_NOSIGNAL) < 0) die("send");
    ssize_t got = recv(fd, answer, length, 0);
    if (got < 0 && errno == EAGAIN && type == SOCK_DGRAM) {
      lost++;
      continue;
    }
    if (got <= 0) die("recv");
    if (start >= warm) samples[rounds++] = (uint32_t)(now_ns() - start);
  }
  if (rounds == 0) {
    errno = ETIMEDOUT;
    die("round trips");
  }
  qsort(samples, rounds, sizeof *samples, by_value);
  printf("%.1f %.1f %u %u\n", samples[rounds / 2] / 1e3, samples[rounds / 100 * 99] / 1e3, rounds, lost);
}

/* Opens flows up to `total`, some at a time; each has answered one byte before it counts. */
static void open_idle(struct sockaddr_in to, int *opened, int total) {
  int flows[DIALS_AT_ONCE];
  while (*opened < total) {
    int batch = total - *opened < DIALS_AT_ONCE ? total - *opened : DIALS_AT_ONCE;
    for (int i = 0; i < batch; i++) {
      flows[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (flows[i] < 0) die("socket");
      reset_on_close(flows[i]);
      if (connect(flows[i], (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
    }
    for (int i = 0; i < batch; i++) {
      char byte = 0;
      struct pollfd polled = {.fd = flows[i], .events = POLLOUT};
      if (poll(&polled, 1, 10000) != 1) die("an idle flow did not open");
      if (send(flows[i], &byte, 1, MSG_NOSIGNAL) != 1) die("an idle flow was refused");
    }
    for (int i = 0; i < batch; i++) {
      char byte;
      struct pollfd polled = {.fd = flows[i], .events = POLLIN};
      if (poll(&polled, 1, 10000) != 1 || recv(flows[i], &byte, 1, 0) != 1) die("an idle flow did not answer");
    }
    *opened += batch;
  }
}

static void idle(struct sockaddr_in to) {
  char line[32];
  int opened = 0;
  while (fgets(line, sizeof line, stdin)) {
    open_idle(to, &opened, atoi(line));
    printf("open %d\n", opened);
    fflush(stdout);
  }
}

static void arp(const char *interface, const char *gateway) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ARP));
  if (fd < 0) die("packet socket");
  struct ifreq request = {0};
  snprintf(request.ifr_name, IFNAMSIZ, "%s", interface);
  struct {
    uint8_t to[6], from[6];
    uint16_t type, hardware, protocol;
    uint8_t hardware_size, protocol_size;
    uint16_t operation;
    uint8_t sender[6], sender_address[4], target[6], target_address[4];
  } __attribute__((packed)) frame, got;
  memset(&frame, 0, sizeof frame);
  memset(frame.to, 0xff, 6);
  if (ioctl(fd, SIOCGIFHWADDR, &request) < 0) die(interface);
  memcpy(frame.from, request.ifr_hwaddr.sa_data, 6);
  memcpy(frame.sender, frame.from, 6);
  if (ioctl(fd, SIOCGIFADDR, &request) < 0) die(interface);
  memcpy(frame.sender_address, &((struct sockaddr_in *)&request.ifr_addr)->sin_addr, 4);
  struct in_addr target = address_of(gateway, "0").sin_addr;
  memcpy(frame.target_address, &target, 4);
  frame.type = htons(ETH_P_ARP);
  frame.hardware = htons(1);
  frame.protocol = htons(ETH_P_IP);
  frame.hardware_size = 6;
  frame.protocol_size = 4;
  frame.operation = htons(1);
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(interface), .sll_halen = 6};
  memset(to.sll_addr, 0xff, 6);
  for (;;) {
    sendto(fd, &frame, sizeof frame, 0, (struct sockaddr *)&to, sizeof to); /* ENETDOWN until the tap has a reader */
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    if (poll(&polled, 1, 1) <= 0) continue;
    if (recv(fd, &got, sizeof got, 0) < (ssize_t)sizeof got || got.operation != htons(2)) continue;
    if (memcmp(got.sender_address, frame.target_address, 4) == 0) break;
  }
  printf("%lld\n", (long long)now_ns());
}

static int usage(void) {
  fprintf(stderr, "usage: see the head of load.c\n");
  return 2;
}

int main(int count_of, char **arguments) {
  if (count_of < 3) return usage();
  const char *what = arguments[1];
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_TIMERSLACK, 1000);
  signal(SIGPIPE, SIG_IGN);
  if (!strcmp(what, "serve") && count_of <= 4) {
    map_counters(arguments[2]);
    if (count_of == 4) serve_at = arguments[3];
    serve();
    return 0;
  }
  if (!strcmp(what, "arp") && count_of == 4) return arp(arguments[2], arguments[3]), 0;
  if (!strcmp(what, "idle") && count_of == 4) return idle(address_of(arguments[2], arguments[3])), 0;
  if (count_of == 5 && !strncmp(what + 3, "-rr", 4)) {
    int type = !strcmp(what, "tcp-rr") ? SOCK_STREAM : SOCK_DGRAM;
    round_trips(type, address_of(arguments[2], arguments[3]), atof(arguments[4]));
    return 0;
  }
  if (count_of < 5) return usage();
  map_counters(arguments[2]);
  struct sockaddr_in peer = address_of(arguments[3], arguments[4]);
  if (!strcmp(what, "send") && count_of == 6) bulk(source, POLLOUT, peer, atoi(arguments[5]));
  if (!strcmp(what, "receive") && count_of == 6) bulk(sink, POLLIN, peer, atoi(arguments[5]));
  if (!strcmp(what, "udp-send")) udp_send(peer);
  if (!strcmp(what, "udp-receive")) udp_receive(peer);
  return usage();
}
