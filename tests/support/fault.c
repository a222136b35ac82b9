/* Put before the C library by LD_PRELOAD: lets the files in the folder FAULT_IN fail to be written, as they do on a file
 * system that has turned read-only under open files, on a broken card, or on one that hangs. What happens is the one
 * word in the file FAULT_NOW: "erofs", "eio", "hang", or nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int fault(void) {
    const char *name = getenv("FAULT_NOW");
    int (*open_)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    char word[8] = "";
    int file = name ? open_(name, O_RDONLY) : -1;
    if (file < 0) return 0;
    ssize_t bytes = read(file, word, sizeof word - 1);
    close(file);
    if (bytes <= 0) return 0;
    if (!strncmp(word, "erofs", 5)) return EROFS;
    if (!strncmp(word, "eio", 3)) return EIO;
    return -1;
}

/* What a call that writes to this path comes to: 0, or an error number. Hangs as long as it is told to. */
static int verdict(const char *path) {
    const char *folder = getenv("FAULT_IN");
    if (!folder || strncmp(path, folder, strlen(folder))) return 0;
    int error;
    while ((error = fault()) < 0) {
        struct timespec pause = {0, 10000000};
        nanosleep(&pause, NULL);
    }
    return error;
}

static int of_file(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t bytes = readlink(link, path, sizeof path - 1);
    if (bytes < 0) return 0;
    path[bytes] = 0;
    return verdict(path);
}

#define FAIL_IF(error) do { int e = (error); if (e) { errno = e; return -1; } } while (0)
#define REAL(type, name, ...) ((type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

ssize_t write(int file, const void *from, size_t bytes) {
    FAIL_IF(of_file(file));
    return REAL(ssize_t, "write", int, const void *, size_t)(file, from, bytes);
}

ssize_t pwrite(int file, const void *from, size_t bytes, off_t at) {
    FAIL_IF(of_file(file));
    return REAL(ssize_t, "pwrite", int, const void *, size_t, off_t)(file, from, bytes, at);
}

ssize_t pwrite64(int file, const void *from, size_t bytes, off64_t at) {
    FAIL_IF(of_file(file));
    return REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t)(file, from, bytes, at);
}

int fsync(int file) {
    FAIL_IF(of_file(file));
    return REAL(int, "fsync", int)(file);
}

int fdatasync(int file) {
    FAIL_IF(of_file(file));
    return REAL(int, "fdatasync", int)(file);
}

int ftruncate64(int file, off64_t bytes) {
    FAIL_IF(of_file(file));
    return REAL(int, "ftruncate64", int, off64_t)(file, bytes);
}
