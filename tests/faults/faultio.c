/* Makes the N-th I/O call below a folder fail, and shifts the clock. Loaded with LD_PRELOAD by tests/faults/faultio.py.
 *
 * faultio_arm(folder, n, error, kinds): from now on the n-th call of these kinds on a file below the folder fails with
 * the error; a failing write has written half of its bytes. ENOSPC stays: every later call that needs room fails too.
 * With error 0 the process kills itself at the n-th call, half of a write written. With n = 0 calls are only counted.
 * faultio_count(): how many calls there were. FAULTIO_CLOCK in the environment: the clock jumps by so many seconds
 * forth and back from call to call.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { READ = 1, WRITE = 2, CHANGE = 4 }; /* CHANGE: open to write, close, make, rename, remove, fsync */

static char root[PATH_MAX];
static size_t root_size;
static long fails_at, calls;
static int fault, kinds, is_full;

void faultio_arm(const char *folder, long n, int error, int wanted) {
  snprintf(root, sizeof root, "%s", folder);
  root_size = strlen(root);
  fails_at = n, calls = 0, fault = error, kinds = wanted, is_full = 0;
}

long faultio_count(void) { return calls; }

#define REAL(name) \
  static typeof(&name) real; \
  if (!real) real = (typeof(&name))dlsym(RTLD_NEXT, #name)

static int is_below(int dir, const char *path) {
  char buffer[PATH_MAX], full[PATH_MAX * 2 + 2];
  if (!root_size || !path) return 0;
  if (path[0] != '/') {
    char link[64];
    if (dir == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t size = readlink(link, buffer, sizeof buffer - 1);
    if (size < 0) return 0;
    buffer[size] = 0;
    snprintf(full, sizeof full, "%s/%s", buffer, path);
    path = full;
  }
  return !strncmp(path, root, root_size) && (path[root_size] == '/' || !path[root_size]);
}

static int is_open_below(int fd) {
  char link[64], path[PATH_MAX];
  if (!root_size || fd < 3) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0 || path[0] != '/') return 0; /* a pipe or a socket */
  path[size] = 0;
  return is_below(AT_FDCWD, path);
}

/* Whether a call on a file below the folder fails: 0, or 1 with errno set; -1 where the process is to die. */
static int fails(int kind, int needs_room) {
  if (!(kinds & kind)) return 0;
  calls++;
  if (calls == fails_at) {
    if (!fault) return -1;
    is_full = fault == ENOSPC;
  } else if (!(is_full && needs_room)) {
    return 0;
  }
  errno = fault;
  return 1;
}

static int stop(int found) {
  if (found < 0) kill(getpid(), SIGKILL);
  return found;
}

ssize_t write(int fd, const void *data, size_t size) {
  REAL(write);
  int found = is_open_below(fd) ? fails(WRITE, 1) : 0;
  if (!found) return real(fd, data, size);
  int error = errno;
  if (calls == fails_at) real(fd, data, size / 2);
  stop(found);
  errno = error;
  return -1;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(writev);
  return is_open_below(fd) && stop(fails(WRITE, 1)) ? -1 : real(fd, parts, count);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  REAL(pwrite64);
  return is_open_below(fd) && stop(fails(WRITE, 1)) ? -1 : real(fd, data, size, offset);
}

int ftruncate64(int fd, off64_t size) {
  REAL(ftruncate64);
  return is_open_below(fd) && stop(fails(WRITE, 1)) ? -1 : real(fd, size);
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t count) {
  static ssize_t (*real)(int, int, off64_t *, size_t);
  if (!real) real = dlsym(RTLD_NEXT, "sendfile64");
  return is_open_below(out) && stop(fails(WRITE, 1)) ? -1 : real(out, in, offset, count);
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t count, unsigned flags) {
  REAL(copy_file_range);
  return is_open_below(out) && stop(fails(WRITE, 1)) ? -1 : real(in, from, out, to, count, flags);
}

ssize_t read(int fd, void *data, size_t size) {
  REAL(read);
  return is_open_below(fd) && stop(fails(READ, 0)) ? -1 : real(fd, data, size);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t offset) {
  REAL(pread64);
  return is_open_below(fd) && stop(fails(READ, 0)) ? -1 : real(fd, data, size, offset);
}

static int opens(int dir, const char *path, int flags) {
  if (!is_below(dir, path)) return 0;
  return stop(flags & (O_CREAT | O_WRONLY | O_RDWR) ? fails(CHANGE, flags & O_CREAT) : fails(READ, 0));
}

#define MODE(flags) \
  mode_t mode = 0; \
  if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list rest; \
    va_start(rest, flags); \
    mode = va_arg(rest, mode_t); \
    va_end(rest); \
  }

int open64(const char *path, int flags, ...) {
  REAL(open64);
  MODE(flags)
  return opens(AT_FDCWD, path, flags) ? -1 : real(path, flags, mode);
}

int open(const char *path, int flags, ...) {
  REAL(open);
  MODE(flags)
  return opens(AT_FDCWD, path, flags) ? -1 : real(path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...) {
  REAL(openat64);
  MODE(flags)
  return opens(dir, path, flags) ? -1 : real(dir, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...) {
  REAL(openat);
  MODE(flags)
  return opens(dir, path, flags) ? -1 : real(dir, path, flags, mode);
}

int fsync(int fd) {
  REAL(fsync);
  return is_open_below(fd) && stop(fails(CHANGE, 1)) ? -1 : real(fd);
}

int fdatasync(int fd) {
  REAL(fdatasync);
  return is_open_below(fd) && stop(fails(CHANGE, 1)) ? -1 : real(fd);
}

int close(int fd) {
  REAL(close);
  int is_written = (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY; /* closing says what a late write met */
  int found = is_written && is_open_below(fd) ? stop(fails(CHANGE, 0)) : 0;
  int error = errno, done = real(fd);
  if (!found) return done;
  errno = error;
  return -1;
}

int rename(const char *from, const char *to) {
  REAL(rename);
  return is_below(AT_FDCWD, to) && stop(fails(CHANGE, 1)) ? -1 : real(from, to);
}

int unlink(const char *path) {
  REAL(unlink);
  return is_below(AT_FDCWD, path) && stop(fails(CHANGE, 0)) ? -1 : real(path);
}

int unlinkat(int dir, const char *path, int flags) {
  REAL(unlinkat);
  return is_below(dir, path) && stop(fails(CHANGE, 0)) ? -1 : real(dir, path, flags);
}

int rmdir(const char *path) {
  REAL(rmdir);
  return is_below(AT_FDCWD, path) && stop(fails(CHANGE, 0)) ? -1 : real(path);
}

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  return is_below(AT_FDCWD, path) && stop(fails(CHANGE, 1)) ? -1 : real(path, mode);
}

int clock_gettime(clockid_t id, struct timespec *now) {
  REAL(clock_gettime);
  static long shift;
  static int is_read;
  int found = real(id, now);
  if (!is_read) {
    const char *text = getenv("FAULTIO_CLOCK");
    shift = text ? atol(text) : 0;
    is_read = 1;
  }
  if (id == CLOCK_REALTIME) now->tv_sec += shift = -shift;
  return found;
}
