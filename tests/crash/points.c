/* Runs a command and counts its changes of files below a folder, or its looks at them, over all of its threads, in the order in which they
 * come; at the one with a given number it kills the process, or answers with an error instead of performing it.
 *
 *   points LOG kill|error|full|readonly|stop|none|look-ERROR|lasting-ERROR|threads|tasks NUMBER FOLDER PROGRAM ARGUMENT…
 *
 * kill      SIGKILL before the change with that number
 * error     EIO instead of it, once
 * full      ENOSPC instead of it and of every later one that needs room
 * readonly  EROFS instead of it and of every later one
 * stop      nothing happens from that change on until a file LOG.go is there; LOG.stopped says that it has come to that
 * look-EIO  that error, once, instead of the look with that number: opening for reading, stat, listing, reading, a link's text; the same
 *           for EACCES, EMFILE, ENOMEM, ESTALE, EINTR
 * lasting-EIO  that error instead of that look and of every later one at the same path; the same for the other errors
 * threads   EAGAIN instead of the start of that thread and of every later one; `tasks`: the same for threads and processes
 * none      only counts
 *
 * LOG gets a line for each change: its number, the call, the path. Ends with the program's status, or 137 if it was killed; 125 if
 * processes cannot be traced here. Only the program itself is counted, not what it starts.
 *
 * strace can do the same except for one thing: it counts for each thread on its own, so calls of a thread that makes fewer than
 * another one could never be chosen. Linux; x86_64 and aarch64. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* How a call names what it changes: an open file, a path, or a path below an open folder; and at which argument. */
enum names { FILE_AT, PATH_AT, BELOW_AT, NOTHING };

/* What is special about a call. */
enum special { PLAIN, NEEDS_ROOM, OPENS, CREATES, CLONES, LOOKS, STARTS };

static const struct call {
    long number;
    const char *name;
    enum names names;
    int argument;
    enum special special;
} calls[] = {
#ifdef __NR_open
    {__NR_open, "open", PATH_AT, 0, OPENS},
    {__NR_creat, "creat", PATH_AT, 0, CREATES},
    {__NR_rename, "rename", PATH_AT, 0, NEEDS_ROOM},
    {__NR_link, "link", PATH_AT, 1, NEEDS_ROOM},
    {__NR_symlink, "symlink", PATH_AT, 1, NEEDS_ROOM},
    {__NR_unlink, "unlink", PATH_AT, 0, PLAIN},
    {__NR_mkdir, "mkdir", PATH_AT, 0, NEEDS_ROOM},
    {__NR_rmdir, "rmdir", PATH_AT, 0, PLAIN},
    {__NR_chmod, "chmod", PATH_AT, 0, PLAIN},
    {__NR_renameat, "renameat", BELOW_AT, 0, NEEDS_ROOM},
#endif
    {__NR_openat, "openat", BELOW_AT, 0, OPENS},
    {__NR_renameat2, "renameat2", BELOW_AT, 0, NEEDS_ROOM},
    {__NR_linkat, "linkat", BELOW_AT, 2, NEEDS_ROOM},
    {__NR_symlinkat, "symlinkat", BELOW_AT, 1, NEEDS_ROOM},
    {__NR_unlinkat, "unlinkat", BELOW_AT, 0, PLAIN},
    {__NR_mkdirat, "mkdirat", BELOW_AT, 0, NEEDS_ROOM},
    {__NR_fchmodat, "fchmodat", BELOW_AT, 0, PLAIN},
    {__NR_utimensat, "utimensat", BELOW_AT, 0, PLAIN},
    {__NR_truncate, "truncate", PATH_AT, 0, PLAIN},
    {__NR_write, "write", FILE_AT, 0, NEEDS_ROOM},
    {__NR_pwrite64, "pwrite64", FILE_AT, 0, NEEDS_ROOM},
    {__NR_writev, "writev", FILE_AT, 0, NEEDS_ROOM},
    {__NR_pwritev, "pwritev", FILE_AT, 0, NEEDS_ROOM},
    {__NR_pwritev2, "pwritev2", FILE_AT, 0, NEEDS_ROOM},
    {__NR_ftruncate, "ftruncate", FILE_AT, 0, PLAIN},
    {__NR_fallocate, "fallocate", FILE_AT, 0, NEEDS_ROOM},
    {__NR_fsync, "fsync", FILE_AT, 0, NEEDS_ROOM},
    {__NR_fdatasync, "fdatasync", FILE_AT, 0, NEEDS_ROOM},
    {__NR_syncfs, "syncfs", FILE_AT, 0, NEEDS_ROOM},
    {__NR_fchmod, "fchmod", FILE_AT, 0, PLAIN},
    {__NR_copy_file_range, "copy_file_range", FILE_AT, 2, NEEDS_ROOM},
    {__NR_sendfile, "sendfile", FILE_AT, 0, NEEDS_ROOM},
    {__NR_splice, "splice", FILE_AT, 2, NEEDS_ROOM},
    {__NR_ioctl, "ioctl", FILE_AT, 0, CLONES},
#ifdef __NR_stat
    {__NR_stat, "stat", PATH_AT, 0, LOOKS},
    {__NR_lstat, "lstat", PATH_AT, 0, LOOKS},
    {__NR_access, "access", PATH_AT, 0, LOOKS},
    {__NR_readlink, "readlink", PATH_AT, 0, LOOKS},
#endif
    {__NR_statx, "statx", BELOW_AT, 0, LOOKS},
    {__NR_newfstatat, "newfstatat", BELOW_AT, 0, LOOKS},
    {__NR_fstat, "fstat", FILE_AT, 0, LOOKS},
    {__NR_faccessat, "faccessat", BELOW_AT, 0, LOOKS},
    {__NR_faccessat2, "faccessat2", BELOW_AT, 0, LOOKS},
    {__NR_readlinkat, "readlinkat", BELOW_AT, 0, LOOKS},
    {__NR_getdents64, "getdents64", FILE_AT, 0, LOOKS},
    {__NR_read, "read", FILE_AT, 0, LOOKS},
    {__NR_pread64, "pread64", FILE_AT, 0, LOOKS},
    {__NR_readv, "readv", FILE_AT, 0, LOOKS},
    {__NR_clone, "clone", NOTHING, 0, STARTS},
    {__NR_clone3, "clone3", NOTHING, 0, STARTS},
};
#define CALLS (sizeof calls / sizeof *calls)

static void give_up(const char *what) {
    fprintf(stderr, "points: %s: %s\n", what, strerror(errno));
    exit(125);
}

/* Whether a call of the table may be one of those that are counted. */
static int is_asked_for(const struct call *call, int looks, int starts) {
    if (starts || call->special == STARTS) return starts && call->special == STARTS;
    return looks ? call->special == LOOKS || call->special == OPENS : call->special != LOOKS;
}

static const struct {
    const char *name;
    int number;
} errors[] = {{"EIO", EIO}, {"EACCES", EACCES}, {"EMFILE", EMFILE}, {"ENOMEM", ENOMEM}, {"ESTALE", ESTALE}, {"EINTR", EINTR}};

/* The error of `look-ERROR` and `lasting-ERROR`; 0 for other kinds. */
static int error_of_look(const char *kind, int *lasting) {
    *lasting = !strncmp(kind, "lasting-", 8);
    if (!*lasting && strncmp(kind, "look-", 5)) return 0;
    const char *name = strchr(kind, '-') + 1;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (!strcmp(name, errors[i].name)) return errors[i].number;
    fprintf(stderr, "points: %s\n", kind);
    exit(2);
}

/* Says that it has come to the point, and waits until it may go on. */
static void wait_to_go_on(const char *log) {
    char path[4096];
    snprintf(path, sizeof path, "%s.stopped", log);
    FILE *stopped = fopen(path, "we");
    if (stopped) fclose(stopped);
    snprintf(path, sizeof path, "%s.go", log);
    while (access(path, F_OK)) usleep(10000);
}

/* Stops at the calls of the table; everything else runs at full speed. */
static void install_filter(int looks, int starts) {
    struct sock_filter filter[CALLS + 3];
    size_t length = 0, left = 0;
    for (size_t i = 0; i < CALLS; i++) left += is_asked_for(&calls[i], looks, starts);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++)
        if (is_asked_for(&calls[i], looks, starts))
            filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].number, (uint8_t)left--, 0);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    struct sock_fprog program = {.len = (unsigned short)length, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) give_up("seccomp");
}

static int read_text(pid_t thread, uint64_t address, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", thread);
    int memory = open(path, O_RDONLY | O_CLOEXEC);
    if (memory < 0) return 0;
    ssize_t count = pread(memory, text, size - 1, (off_t)address);
    close(memory);
    if (count <= 0) return 0;
    text[count] = 0;
    return 1;
}

static int link_of(pid_t thread, const char *what, char *text, size_t size) {
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/%s", thread, what);
    ssize_t count = readlink(path, text, size - 1);
    if (count < 0) return 0;
    text[count] = 0;
    return 1;
}

/* The absolute path that the call is about. */
static int path_of(pid_t thread, const struct call *call, const uint64_t *arguments, char *path, size_t size) {
    char folder[64] = "cwd", base[4096] = "", text[4096] = "";
    int file = (int)arguments[call->argument];
    if (call->names == FILE_AT) {
        snprintf(folder, sizeof folder, "fd/%d", file);
        return link_of(thread, folder, path, size);
    }
    uint64_t address = arguments[call->argument + (call->names == BELOW_AT)];
    if (address && !read_text(thread, address, text, sizeof text)) return 0;
    if (text[0] == '/') {
        snprintf(path, size, "%s", text);
        return 1;
    }
    if (call->names == BELOW_AT && file != AT_FDCWD) snprintf(folder, sizeof folder, "fd/%d", file);
    if (!link_of(thread, folder, base, sizeof base)) return 0;
    if (text[0]) snprintf(path, size, "%s/%s", base, text);
    else snprintf(path, size, "%s", base);
    return 1;
}

/* Whether a call that starts something starts a thread of the same program. */
static int starts_thread(pid_t thread, const struct call *call, const uint64_t *arguments) {
    uint64_t flags = arguments[0];
    if (call->number == __NR_clone3) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/mem", thread);
        int memory = open(path, O_RDONLY | O_CLOEXEC);
        if (memory < 0 || pread(memory, &flags, sizeof flags, (off_t)arguments[0]) != sizeof flags) flags = 0;
        if (memory >= 0) close(memory);
    }
    return (flags & CLONE_THREAD) != 0;
}

static int is_below(const char *path, const char *folder) {
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* Makes the thread, which is about to enter a call, leave it with `error` instead. */
static void answer(pid_t thread, int error) {
#if defined(__x86_64__)
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, thread, 0, &registers)) return;
    registers.orig_rax = (unsigned long long)-1;
    registers.rax = (unsigned long long)-(long long)error;
    ptrace(PTRACE_SETREGS, thread, 0, &registers);
#elif defined(__aarch64__)
    struct user_regs_struct registers;
    struct iovec all = {&registers, sizeof registers};
    int none = -1;
    struct iovec call = {&none, sizeof none};
    if (ptrace(PTRACE_GETREGSET, thread, NT_PRSTATUS, &all)) return;
    registers.regs[0] = (unsigned long long)-(long long)error;
    ptrace(PTRACE_SETREGSET, thread, NT_PRSTATUS, &all);
    ptrace(PTRACE_SETREGSET, thread, NT_ARM_SYSTEM_CALL, &call);
#else
#error "registers of this processor are not known here"
#endif
}

int main(int count, char **arguments) {
    if (count < 6) {
        fprintf(stderr, "points LOG kill|error|full|readonly|stop|none|look-ERROR|lasting-ERROR NUMBER FOLDER PROGRAM ARGUMENT…\n");
        return 2;
    }
    FILE *log = fopen(arguments[1], "we");
    if (!log) give_up(arguments[1]);
    const char *kind = arguments[2], *folder = arguments[4];
    long wanted = atol(arguments[3]), number = 0;
    int full = !strcmp(kind, "full"), readonly = !strcmp(kind, "readonly"), lasting;
    int look = error_of_look(kind, &lasting), threads = !strcmp(kind, "threads"), tasks = !strcmp(kind, "tasks");
    /* What a lasting error is at; and whether nothing more is to be interfered with, so that the rest can go fast. */
    char ill[8192] = "";
    int over = 0;

    pid_t program = fork();
    if (program < 0) give_up("fork");
    if (program == 0) {
        /* One processor, so that threads take their turns as much alike as can be. */
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(sched_getcpu(), &one);
        sched_setaffinity(0, sizeof one, &one);
        if (ptrace(PTRACE_TRACEME, 0, 0, 0)) _exit(125);
        raise(SIGSTOP);
        install_filter(look, threads || tasks);
        execvp(arguments[5], arguments + 5);
        _exit(126);
    }
    int status;
    if (waitpid(program, &status, 0) != program || !WIFSTOPPED(status)) {
        errno = EPERM;
        give_up("tracing");
    }
    long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, program, 0, options)) give_up("tracing");
    ptrace(PTRACE_CONT, program, 0, 0);

    int result = 125;
    pid_t thread;
    while ((thread = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (thread == program) result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        int event = status >> 16, signal = WSTOPSIG(status);
        if (event != PTRACE_EVENT_SECCOMP) {
            /* A new thread or process begins with a SIGSTOP that is ours. */
            int pass = event == 0 && signal != SIGSTOP && signal != SIGTRAP ? signal : 0;
            ptrace(PTRACE_CONT, thread, 0, pass);
            continue;
        }
        if (over) {
            ptrace(PTRACE_CONT, thread, 0, 0);
            continue;
        }
        char path[8192], task[64];
        struct __ptrace_syscall_info info;
        snprintf(task, sizeof task, "/proc/%d/task/%d", program, thread);
        const struct call *call = NULL;
        if (access(task, F_OK) == 0 && ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) > 0)
            for (size_t i = 0; i < CALLS; i++)
                if ((long)info.seccomp.nr == calls[i].number) call = &calls[i];
        if (call && call->special == STARTS && (tasks || starts_thread(thread, call, info.seccomp.args))) {
            number++;
            fprintf(log, "%ld %s -\n", number, call->name);
            if (number >= wanted) answer(thread, EAGAIN);
        } else if (call && call->special != STARTS && path_of(thread, call, info.seccomp.args, path, sizeof path) && is_below(path, folder)) {
            int flags = call->special == OPENS ? (int)info.seccomp.args[call->names == BELOW_AT ? 2 : 1] : 0;
            int changes = call->special == OPENS ? (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0
                        : call->special == CLONES ? info.seccomp.args[1] == FICLONE
                                                  : 1;
            struct stat found;
            int writes = changes;
            if (look) changes = call->special == LOOKS || (call->special == OPENS && !writes);
            else changes = writes && call->special != LOOKS;
            int makes = call->special == CREATES || (flags & O_CREAT);
            int needs_room = call->special == NEEDS_ROOM || (makes && lstat(path, &found) != 0);
            if (changes && (!full || needs_room)) {
                number++;
                fprintf(log, "%ld %s %s\n", number, call->name, path);
                if (number == wanted && !strcmp(kind, "kill")) {
                    kill(program, SIGKILL);
                    continue;
                }
                if (number == wanted && !strcmp(kind, "stop")) wait_to_go_on(arguments[1]);
                if (number == wanted && !strcmp(kind, "error")) answer(thread, EIO);
                if (number == wanted && lasting) snprintf(ill, sizeof ill, "%s", path);
                if (look && (number == wanted || (lasting && !strcmp(path, ill)))) answer(thread, look);
                over = number == wanted && ((look && !lasting) || !strcmp(kind, "error"));
                if (number >= wanted && full) answer(thread, ENOSPC);
                if (number >= wanted && readonly) answer(thread, EROFS);
            }
        }
        ptrace(PTRACE_CONT, thread, 0, 0);
    }
    fclose(log);
    return result;
}
