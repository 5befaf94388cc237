/* A load client that takes little of the machine it measures: one thread, epoll, HTTP/1.1 with kept connections.
 *
 *   load PORT HEAD CORPUS CONNECTIONS FIRST COUNT TIMINGS
 *
 * HEAD holds the request line and headers up to, and without, Content-Length. CORPUS holds bodies, each behind its
 * length as 4 little-endian bytes. Sends bodies FIRST … FIRST+COUNT-1 once each, a new request on a connection when
 * the answer to the last one is complete. Writes one `struct timing` a request to TIMINGS and prints its own CPU
 * seconds. A connection that breaks counts as status 0, except a kept one that the server closed before any answer:
 * that is the ordinary race of keep-alive, and the body is sent again.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 60
#define ANSWER_MAX 65536
enum { OVERHEAD = 64 };

struct timing { double sent, done; int32_t status, unused; };
struct body { const char *bytes; uint32_t length; };
struct wire {
    int fd, busy, served;
    double sent;
    char *out; size_t out_length, out_done;
    char in[ANSWER_MAX + 1]; size_t in_length;
    struct body body;
};

static struct sockaddr_in server;
static struct body *bodies;
static char *head;
static size_t head_length, next_body, end_body, busy;
static FILE *timings;
static int poller;

static double clock_s(clockid_t which) {
    struct timespec t;
    clock_gettime(which, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) { perror(what); exit(2); }

static char *whole_file(const char *path, size_t *length) {
    FILE *f = fopen(path, "rb");
    if (!f) die(path);
    fseek(f, 0, SEEK_END);
    *length = ftell(f);
    rewind(f);
    char *bytes = malloc(*length + 1);
    if (!bytes || fread(bytes, 1, *length, f) != *length) die(path);
    bytes[*length] = 0;
    fclose(f);
    return bytes;
}

static size_t split_corpus(char *bytes, size_t length) {
    size_t n = 0, room = 1024;
    bodies = malloc(room * sizeof *bodies);
    for (size_t at = 0; at + 4 <= length; n++) {
        if (n == room) bodies = realloc(bodies, (room *= 2) * sizeof *bodies);
        memcpy(&bodies[n].length, bytes + at, 4);
        bodies[n].bytes = bytes + at + 4;
        at += 4 + bodies[n].length;
    }
    return n;
}

static void hang_up(struct wire *w) {
    if (w->fd >= 0) close(w->fd);
    w->fd = -1;
    w->served = 0;
}

static void finish(struct wire *w, int status) {
    struct timing t = {w->sent, clock_s(CLOCK_REALTIME), status, 0};
    fwrite(&t, sizeof t, 1, timings);
    w->busy = 0;
    busy--;
}

static void dial(struct wire *w) {
    int on = 1;
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (w->fd < 0) die("socket");
    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(w->fd, (void *)&server, sizeof server) < 0 && errno != EINPROGRESS) { hang_up(w); return; }
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = w};
    epoll_ctl(poller, EPOLL_CTL_ADD, w->fd, &e);
}

static void push(struct wire *w) {
    while (w->out_done < w->out_length) {
        ssize_t n = send(w->fd, w->out + w->out_done, w->out_length - w->out_done, MSG_NOSIGNAL);
        if (n < 0) break; /* not connected yet, full, or broken: epoll says which */
        w->out_done += n;
    }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = w};
    if (w->out_done < w->out_length) e.events |= EPOLLOUT;
    epoll_ctl(poller, EPOLL_CTL_MOD, w->fd, &e);
}

static void send_body(struct wire *w) {
    w->out = realloc(w->out, head_length + OVERHEAD + w->body.length);
    memcpy(w->out, head, head_length);
    w->out_length = head_length + sprintf(w->out + head_length, "Content-Length: %u\r\n\r\n", w->body.length);
    memcpy(w->out + w->out_length, w->body.bytes, w->body.length);
    w->out_length += w->body.length;
    w->out_done = w->in_length = 0;
    if (w->fd < 0) dial(w);
    if (w->fd < 0) { finish(w, 0); return; }
    push(w);
}

static void next(struct wire *w) {
    if (next_body >= end_body) return;
    w->body = bodies[next_body++];
    w->busy = 1;
    busy++;
    w->sent = clock_s(CLOCK_REALTIME);
    send_body(w);
}

static void broken(struct wire *w) {
    int stale = w->busy && w->served && !w->in_length;
    hang_up(w);
    if (stale) send_body(w);
    else if (w->busy) finish(w, 0);
}

/* Whether the answer is whole; sets `closes` when the server will end the connection after it. */
static int whole(struct wire *w, int *closes) {
    char *end = strstr(w->in, "\r\n\r\n"), *found;
    if (!end) return 0;
    size_t answer_head = end + 4 - w->in, rest = w->in_length - answer_head;
    *closes = (found = strcasestr(w->in, "\r\nconnection: close")) && found < end;
    found = strcasestr(w->in, "\r\ncontent-length:");
    if (found && found < end) return rest >= strtoul(found + 17, NULL, 10);
    found = strcasestr(w->in, "\r\ntransfer-encoding: chunked");
    return found && found < end && rest >= 5 && !memcmp(w->in + w->in_length - 5, "0\r\n\r\n", 5);
}

static void pull(struct wire *w) {
    ssize_t n = recv(w->fd, w->in + w->in_length, ANSWER_MAX - w->in_length, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || !w->busy) { broken(w); return; }
    w->in[w->in_length += n] = 0;
    int closes = 0;
    if (!whole(w, &closes)) {
        if (w->in_length == ANSWER_MAX) broken(w);
        return;
    }
    int status = atoi(w->in + 9);
    w->served = 1;
    if (closes) hang_up(w);
    finish(w, status);
}

static void run(struct wire *wires, int connections) {
    struct epoll_event ready[256];
    for (;;) {
        for (int i = 0; i < connections; i++)
            if (!wires[i].busy) next(&wires[i]);
        if (!busy && next_body >= end_body) return;
        int n = epoll_wait(poller, ready, 256, 100);
        for (int i = 0; i < n; i++) {
            struct wire *w = ready[i].data.ptr;
            if (w->fd >= 0 && ready[i].events & EPOLLOUT && w->busy) push(w);
            if (w->fd >= 0 && ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) pull(w);
        }
        double now = clock_s(CLOCK_REALTIME);
        for (int i = 0; i < connections; i++)
            if (wires[i].busy && now - wires[i].sent > PATIENCE_S) { wires[i].served = 0; broken(&wires[i]); }
    }
}

int main(int argc, char **argv) {
    if (argc != 8) { fprintf(stderr, "load PORT HEAD CORPUS CONNECTIONS FIRST COUNT TIMINGS\n"); return 2; }
    size_t length, there;
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    inet_pton(AF_INET, "127.0.0.1", &server.sin_addr);
    head = whole_file(argv[2], &head_length);
    char *corpus = whole_file(argv[3], &length);
    there = split_corpus(corpus, length);
    int connections = atoi(argv[4]);
    next_body = strtoul(argv[5], NULL, 10);
    end_body = next_body + strtoul(argv[6], NULL, 10);
    if (end_body > there) { fprintf(stderr, "the corpus holds %zu bodies\n", there); return 2; }
    if (!(timings = fopen(argv[7], "wb"))) die(argv[7]);
    setvbuf(timings, NULL, _IOFBF, 1 << 20);
    poller = epoll_create1(0);
    struct wire *wires = calloc(connections, sizeof *wires);
    for (int i = 0; i < connections; i++) wires[i].fd = -1;
    run(wires, connections);
    fclose(timings);
    printf("%.3f\n", clock_s(CLOCK_PROCESS_CPUTIME_ID));
    return 0;
}
