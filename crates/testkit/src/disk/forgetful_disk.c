/* A disk that forgets what was not synced, for one program: loaded into it with LD_PRELOAD.
 *
 * Of every database file below FORGETFUL_DISK_FOLDER there is a second one in FORGETFUL_DISK_SYNCED, with the same name:
 * what a disk holds for sure, which is the file as it was when it was last synced. What was written since is taken over
 * when fsync or fdatasync is called, before it returns, and not otherwise. The program works on its own files and sees
 * nothing of this. Whoever plays the power cut kills the program and puts the second files in the place of the first.
 *
 * A new file is there for sure from its first sync on; a removed one is gone at once. A new name of a file is there for sure
 * when the folder is synced; until then it is a line in FORGETFUL_DISK_SYNCED/renames, the old name and the new one, and the
 * second file has the old one. With FORGETFUL_DISK_END=<n> the program is killed in place of its n-th change of a name or sync.
 * Index files of write-ahead logs
 * (-shm) are mapped and not written, and made anew by whoever opens the database: they are left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FDS 65536
#define MAX_FILES 256
#define MAX_RANGES 4096

struct range {
    int64_t from, to;
};

/* One file, whichever descriptors it has. */
struct file {
    char path[PATH_MAX];
    int synced; /* the second file, or -1 before the first sync */
    int count;
    struct range dirty[MAX_RANGES];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *files[MAX_FILES];
static struct file *open_files[MAX_FDS];
static char is_folder[MAX_FDS];
static char folder[PATH_MAX], synced_folder[PATH_MAX], renames[PATH_MAX + 16];
static long until_end = -1;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void give_up(const char *what) {
    fprintf(stderr, "forgetful disk: %s: %s\n", what, strerror(errno));
    abort();
}

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

__attribute__((constructor)) static void start(void) {
    const char *own = getenv("FORGETFUL_DISK_FOLDER"), *synced = getenv("FORGETFUL_DISK_SYNCED");
    if (!own || !synced) {
        fprintf(stderr, "forgetful disk: set FORGETFUL_DISK_FOLDER and FORGETFUL_DISK_SYNCED\n");
        abort();
    }
    if (!realpath(own, folder) || !realpath(synced, synced_folder)) give_up("its folders cannot be used");
    snprintf(renames, sizeof renames, "%s/renames", synced_folder);
    const char *end = getenv("FORGETFUL_DISK_END");
    if (end) until_end = atol(end);
}

/* Called before each change of a name and each sync of what is ours. */
static void count_down(void) {
    if (until_end > 0 && --until_end == 0) raise(SIGKILL);
}

/* Whether a name is that of a database, also of one that is moved, or of a log beside it. */
static int is_database(const char *name) {
    char base[PATH_MAX];
    if (strlen(name) >= sizeof base) return 0;
    strcpy(base, name);
    const char *ends[] = {"-wal", "-journal", ".moving", ".moved", ".new"};
    for (size_t n = 0; n < sizeof ends / sizeof *ends; n++)
        if (ends_with(base, ends[n])) base[strlen(base) - strlen(ends[n])] = 0;
    return ends_with(base, ".db");
}

/* The absolute path of a database file below the folder; 0 for anything else. */
static int is_ours(const char *name, char *path) {
    if (!is_database(name)) return 0;
    if (!realpath(name, path)) return 0;
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && path[length] == '/';
}

/* Where the second file of a path is. */
static void second_of(const char *path, char *second) {
    const char *name = strrchr(path, '/') + 1;
    if (snprintf(second, PATH_MAX, "%s/%s", synced_folder, name) >= PATH_MAX) give_up("a path is too long");
}

static struct file *file_of(const char *path) {
    int place = 0;
    for (; place < MAX_FILES && files[place]; place++)
        if (strcmp(files[place]->path, path) == 0) return files[place];
    if (place == MAX_FILES) give_up("too many files");
    struct file *file = calloc(1, sizeof *file);
    if (!file) give_up("no memory");
    strcpy(file->path, path);
    char second[PATH_MAX];
    second_of(path, second);
    /* There already when the program is started on what an earlier one has left. */
    file->synced = REAL(open64)(second, O_RDWR | O_CLOEXEC);
    files[place] = file;
    return file;
}

/* Notes that a part of a file is not synced. */
static void written(int fd, int64_t from, int64_t length) {
    if (fd < 0 || fd >= MAX_FDS || length <= 0) return;
    pthread_mutex_lock(&lock);
    struct file *file = open_files[fd];
    if (file) {
        int64_t to = from > INT64_MAX - length ? INT64_MAX : from + length;
        struct range *last = file->count ? &file->dirty[file->count - 1] : NULL;
        if (last && from <= last->to && to >= last->from) {
            if (from < last->from) last->from = from;
            if (to > last->to) last->to = to;
        } else if (file->count < MAX_RANGES) {
            file->dirty[file->count++] = (struct range){from, to};
        } else {
            /* One range around all of them: what is between them is synced already or is about to be. */
            for (int n = 0; n < file->count; n++) {
                if (file->dirty[n].from < from) from = file->dirty[n].from;
                if (file->dirty[n].to > to) to = file->dirty[n].to;
            }
            file->dirty[0] = (struct range){from, to};
            file->count = 1;
        }
    }
    pthread_mutex_unlock(&lock);
}

/* Takes over what was written to a file since its last sync. Called with the lock held. */
static void take_over(int fd, struct file *file) {
    static char buffer[1 << 16];
    if (file->synced < 0) {
        char second[PATH_MAX];
        second_of(file->path, second);
        file->synced = REAL(open64)(second, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (file->synced < 0) give_up(second);
        file->dirty[0] = (struct range){0, INT64_MAX};
        file->count = 1;
    }
    struct stat now;
    if (fstat(fd, &now) != 0) give_up(file->path);
    for (int n = 0; n < file->count; n++) {
        int64_t to = file->dirty[n].to < now.st_size ? file->dirty[n].to : now.st_size;
        for (int64_t at = file->dirty[n].from; at < to;) {
            size_t want = to - at < (int64_t)sizeof buffer ? (size_t)(to - at) : sizeof buffer;
            ssize_t got = REAL(pread64)(fd, buffer, want, at);
            if (got <= 0 || REAL(pwrite64)(file->synced, buffer, (size_t)got, at) != got) give_up(file->path);
            at += got;
        }
    }
    if (REAL(ftruncate64)(file->synced, now.st_size) != 0) give_up(file->path);
    file->count = 0;
}

static int opened(int fd, const char *name, int flags) {
    char path[PATH_MAX];
    if (fd < 0 || fd >= MAX_FDS) return fd;
    if (is_ours(name, path)) {
        pthread_mutex_lock(&lock);
        open_files[fd] = file_of(path);
        pthread_mutex_unlock(&lock);
        if (flags & O_TRUNC) written(fd, 0, INT64_MAX);
    } else if (realpath(name, path) && strcmp(path, folder) == 0) {
        is_folder[fd] = 1;
    }
    return fd;
}

static mode_t mode_of(int flags, va_list more) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

#define OPEN(function)                                                 \
    int function(const char *name, int flags, ...) {                   \
        va_list more;                                                  \
        va_start(more, flags);                                         \
        mode_t mode = mode_of(flags, more);                            \
        va_end(more);                                                  \
        return opened(REAL(function)(name, flags, mode), name, flags); \
    }

OPEN(open)
OPEN(open64)

int close(int fd) {
    if (fd >= 0 && fd < MAX_FDS) {
        pthread_mutex_lock(&lock);
        open_files[fd] = NULL;
        is_folder[fd] = 0;
        pthread_mutex_unlock(&lock);
    }
    return REAL(close)(fd);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    int is_known = fd >= 0 && fd < MAX_FDS && open_files[fd] != NULL;
    off64_t at = is_known ? lseek64(fd, 0, SEEK_CUR) : 0;
    ssize_t done = REAL(write)(fd, bytes, length);
    if (is_known) written(fd, at, done);
    return done;
}

#define PWRITE(function, offset)                                                  \
    ssize_t function(int fd, const void *bytes, size_t length, offset at) {       \
        ssize_t done = REAL(function)(fd, bytes, length, at);                     \
        written(fd, at, done);                                                    \
        return done;                                                              \
    }

PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(function, offset)                  \
    int function(int fd, offset length) {           \
        int result = REAL(function)(fd, length);    \
        written(fd, length, INT64_MAX);             \
        return result;                              \
    }

TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define ALLOCATE(function, offset)                           \
    int function(int fd, offset from, offset length) {       \
        int result = REAL(function)(fd, from, length);       \
        written(fd, from, length);                           \
        return result;                                       \
    }

ALLOCATE(posix_fallocate, off_t)
ALLOCATE(posix_fallocate64, off64_t)

/* Gives the second files the names that the files have. Called with the lock held. */
static void take_over_names(void) {
    FILE *lines = fopen(renames, "r");
    if (!lines) return;
    char line[2 * NAME_MAX + 3], *from, *to;
    while (fgets(line, sizeof line, lines)) {
        if (!(from = strtok(line, "\t")) || !(to = strtok(NULL, "\n"))) give_up(renames);
        char old[PATH_MAX], new[PATH_MAX];
        snprintf(old, sizeof old, "%s/%s", synced_folder, from);
        snprintf(new, sizeof new, "%s/%s", synced_folder, to);
        if (REAL(rename)(old, new) != 0 && errno != ENOENT) give_up(old);
    }
    fclose(lines);
    REAL(unlink)(renames);
}

/* After the program's own sync, so that what the second file has the program could rely on. */
#define SYNC(function)                                  \
    int function(int fd) {                              \
        int is_known = fd >= 0 && fd < MAX_FDS;         \
        if (is_known && (open_files[fd] || is_folder[fd])) count_down(); \
        int result = REAL(function)(fd);                \
        if (result == 0 && is_known) {                  \
            pthread_mutex_lock(&lock);                  \
            if (open_files[fd]) take_over(fd, open_files[fd]); \
            if (is_folder[fd]) take_over_names();       \
            pthread_mutex_unlock(&lock);                \
        }                                               \
        return result;                                  \
    }

SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *name) {
    char path[PATH_MAX];
    if (is_ours(name, path)) {
        count_down();
        char second[PATH_MAX];
        second_of(path, second);
        pthread_mutex_lock(&lock);
        struct file *file = file_of(path);
        if (file->synced >= 0) REAL(close)(file->synced);
        file->synced = -1;
        file->count = 0;
        REAL(unlink)(second);
        pthread_mutex_unlock(&lock);
    }
    return REAL(unlink)(name);
}

/* The name of a file without its folder, of which there is one only. */
static const char *base_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int rename(const char *from, const char *to) {
    char path[PATH_MAX];
    if (!is_ours(from, path)) return REAL(rename)(from, to);
    count_down();
    pthread_mutex_lock(&lock);
    struct file *file = file_of(path);
    int result = REAL(rename)(from, to);
    if (result == 0) {
        FILE *lines = fopen(renames, "a");
        if (!lines || fprintf(lines, "%s\t%s\n", base_of(from), base_of(to)) < 0 || fclose(lines) != 0) give_up(renames);
        char moved[PATH_MAX];
        if (!realpath(to, moved)) give_up(to);
        /* What was there before under the new name is gone. */
        for (int n = 0; n < MAX_FILES && files[n]; n++)
            if (files[n] != file && strcmp(files[n]->path, moved) == 0) strcpy(files[n]->path, "/");
        strcpy(file->path, moved);
    }
    pthread_mutex_unlock(&lock);
    return result;
}
