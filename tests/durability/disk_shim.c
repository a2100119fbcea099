/* Put before a process (LD_PRELOAD), writes down what it does to the files below a directory, in order: a log from which
   power_disk.py makes what a disk could hold if the power went at some moment. Linux.

   DISK_ROOT     the directory, absolute
   DISK_LOG      where the log goes
   DISK_KILL     the process is killed within this fsync, the first being 1
   DISK_SYNC_US  fsync takes up to so many microseconds, and nothing else: only what the log says counts

   One lock is held over each call and its record, so that the log has the order of the calls. Of an fsync there are two
   records: what was written before the first is durable at the second. Whoever wants to note something in the same order
   calls disk_note. Files whose name ends in -shm are mapped, not written; they do not survive a reboot. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE, TRUNCATE, UNLINK, RENAME, LINK, MKDIR, RMDIR, SYNC_BEGIN, SYNC_END, NOTE };

struct record {
    uint32_t kind;
    int32_t fd;
    int64_t number; /* an offset, a length, flags, or which fsync */
    uint32_t first, second; /* bytes that follow: a path, then another path or data */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[4096];
static size_t root_length;
static int log_fd = -1;
static unsigned sync_us, seed = 1;
static int64_t syncs, deadly;
static unsigned char tracked[1 << 16];

static void put(int kind, int fd, int64_t number, const char *first, const void *second, size_t length) {
    struct record head = {kind, fd, number, first ? strlen(first) : 0, length};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)first, head.first}, {(void *)second, length}};
    size_t whole = sizeof head + head.first + length;
    if (syscall(SYS_writev, log_fd, parts, 3) != (long)whole)
        abort(); /* without the log nothing that follows means anything */
}

__attribute__((constructor)) static void begin(void) {
    const char *log = getenv("DISK_LOG"), *where = getenv("DISK_ROOT"), *us = getenv("DISK_SYNC_US"), *kill = getenv("DISK_KILL");
    if (!log || !where)
        return;
    root_length = strlen(where);
    memcpy(root, where, root_length + 1);
    sync_us = us ? atoi(us) : 0;
    deadly = kill ? atoi(kill) : 0;
    log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int concerns(const char *path) {
    if (log_fd < 0 || !path || strncmp(path, root, root_length) || (path[root_length] && path[root_length] != '/'))
        return 0;
    size_t length = strlen(path);
    return length < 4 || strcmp(path + length - 4, "-shm");
}

static int is_tracked(int fd) { return fd >= 0 && fd < (int)sizeof tracked && tracked[fd]; }

void disk_note(const char *text) {
    pthread_mutex_lock(&lock);
    put(NOTE, -1, 0, text, NULL, 0);
    pthread_mutex_unlock(&lock);
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int opened(int fd, const char *path, int flags) {
    if (fd >= (int)sizeof tracked)
        abort();
    if (fd >= 0) {
        tracked[fd] = 1;
        put(OPEN, fd, flags, path, NULL, 0);
    }
    return fd;
}

#define OPENS(call) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); } \
    if (!concerns(path)) return call; \
    pthread_mutex_lock(&lock); \
    int fd = opened(call, path, flags), error = errno; \
    pthread_mutex_unlock(&lock); \
    errno = error; \
    return fd

int open(const char *path, int flags, ...) { REAL(open); OPENS(real(path, flags, mode)); }
int open64(const char *path, int flags, ...) { REAL(open64); OPENS(real(path, flags, mode)); }
int openat(int at, const char *path, int flags, ...) { REAL(openat); OPENS(real(at, path, flags, mode)); }
int openat64(int at, const char *path, int flags, ...) { REAL(openat64); OPENS(real(at, path, flags, mode)); }

int close(int fd) {
    REAL(close);
    if (!is_tracked(fd))
        return real(fd);
    pthread_mutex_lock(&lock);
    tracked[fd] = 0;
    int done = real(fd), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

#define WRITES(call, at) \
    if (!is_tracked(fd)) return call; \
    pthread_mutex_lock(&lock); \
    ssize_t done = call; \
    int error = errno; \
    if (done > 0) put(WRITE, fd, at, NULL, data, done); \
    pthread_mutex_unlock(&lock); \
    errno = error; \
    return done

ssize_t write(int fd, const void *data, size_t count) { REAL(write); WRITES(real(fd, data, count), lseek(fd, 0, SEEK_CUR) - done); }
ssize_t pwrite(int fd, const void *data, size_t count, off_t at) { REAL(pwrite); WRITES(real(fd, data, count, at), at); }
ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) { REAL(pwrite64); WRITES(real(fd, data, count, at), at); }

#define CHANGES(condition, call, kind, fd, number, first, second, length) \
    if (!(condition)) return call; \
    pthread_mutex_lock(&lock); \
    int done = call, error = errno; \
    if (!done) put(kind, fd, number, first, second, length); \
    pthread_mutex_unlock(&lock); \
    errno = error; \
    return done

int ftruncate(int fd, off_t length) { REAL(ftruncate); CHANGES(is_tracked(fd), real(fd, length), TRUNCATE, fd, length, NULL, NULL, 0); }
int ftruncate64(int fd, off64_t length) { REAL(ftruncate64); CHANGES(is_tracked(fd), real(fd, length), TRUNCATE, fd, length, NULL, NULL, 0); }
int unlink(const char *path) { REAL(unlink); CHANGES(concerns(path), real(path), UNLINK, -1, 0, path, NULL, 0); }
int rmdir(const char *path) { REAL(rmdir); CHANGES(concerns(path), real(path), RMDIR, -1, 0, path, NULL, 0); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); CHANGES(concerns(path), real(path, mode), MKDIR, -1, 0, path, NULL, 0); }
int rename(const char *old, const char *new) { REAL(rename); CHANGES(concerns(new), real(old, new), RENAME, -1, 0, old, new, strlen(new)); }
int link(const char *old, const char *new) { REAL(link); CHANGES(concerns(new), real(old, new), LINK, -1, 0, old, new, strlen(new)); }
/* what os.link calls since Python 3.14 */
int linkat(int from, const char *old, int to, const char *new, int flags) { REAL(linkat); CHANGES(concerns(new), real(from, old, to, new, flags), LINK, -1, 0, old, new, strlen(new)); }

static int synced(int fd) {
    pthread_mutex_lock(&lock);
    int64_t number = ++syncs;
    put(SYNC_BEGIN, fd, number, NULL, NULL, 0);
    if (number == deadly)
        raise(SIGKILL);
    unsigned pause = sync_us ? rand_r(&seed) % sync_us : 0;
    pthread_mutex_unlock(&lock);
    if (pause)
        usleep(pause);
    pthread_mutex_lock(&lock);
    put(SYNC_END, fd, number, NULL, NULL, 0);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) { REAL(fsync); return is_tracked(fd) ? synced(fd) : real(fd); }
int fdatasync(int fd) { REAL(fdatasync); return is_tracked(fd) ? synced(fd) : real(fd); }
