#pragma once
// Calls by which a process gives up rights, for Swift: Landlock (landlock(7)) and seccomp (seccomp(2)). Landlock's
// numbers are written out because the kernel may be newer than the headers. Each call returns -1 and sets errno on
// failure.
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// The kernel's Landlock ABI version, from 1. 0 if Landlock is unavailable.
static inline int leadpipe_landlock_version(void) {
  long version = syscall(444, NULL, 0, 1);
  return version < 0 ? 0 : (int)version;
}

// Creates a ruleset that denies all of `files`, `ports` and `scopes` except what is allowed later. The kernel rejects
// bits that its version does not support.
static inline int leadpipe_landlock_rules(uint64_t files, uint64_t ports, uint64_t scopes) {
  uint64_t attributes[3] = {files, ports, scopes};
  return (int)syscall(444, attributes, sizeof attributes, 0);
}

// Allows `rights` on `path` and everything below it. The kernel rejects folder rights on a file, so the call is then
// repeated with the rights that apply to files.
static inline int leadpipe_landlock_allow_path(int rules, const char *path, uint64_t rights) {
  // Execute, write, read, truncate, ioctl.
  const uint64_t of_files = 1 | 2 | 4 | 1 << 14 | 1 << 15;
  struct __attribute__((packed)) { uint64_t rights; int32_t place; } rule = {rights, open(path, 010000000 /* O_PATH */ | O_CLOEXEC)};
  if (rule.place < 0) return -1;
  int result = (int)syscall(445, rules, 1, &rule, 0);
  if (result < 0 && errno == EINVAL) {
    rule.rights &= of_files;
    result = (int)syscall(445, rules, 1, &rule, 0);
  }
  close(rule.place);
  return result;
}

// Allows `rights` (1 bind, 2 connect) on a TCP port.
static inline int leadpipe_landlock_allow_port(int rules, uint64_t port, uint64_t rights) {
  uint64_t rule[2] = {rights, port};
  return (int)syscall(445, rules, 2, rule, 0);
}

// Applies the ruleset permanently to the calling thread and everything it starts. It must have no_new_privs.
static inline int leadpipe_landlock_enter(int rules) { return (int)syscall(446, rules, 0); }

// A filter program that the kernel runs for each system call.
struct leadpipe_filter {
  unsigned short count;
  struct sock_filter code[256];
};

static inline void leadpipe_filter_add(struct leadpipe_filter *filter, unsigned code, unsigned value, unsigned yes, unsigned no) {
  filter->code[filter->count++] = (struct sock_filter){(unsigned short)code, (unsigned char)yes, (unsigned char)no, value};
}

#define LEADPIPE_LOAD(field) leadpipe_filter_add(filter, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field), 0, 0)
#define LEADPIPE_IF(value, yes, no) leadpipe_filter_add(filter, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value), yes, no)
#define LEADPIPE_IF_ANY(bits, yes, no) leadpipe_filter_add(filter, BPF_JMP | BPF_JSET | BPF_K, (unsigned)(bits), yes, no)
#define LEADPIPE_RETURN(action) leadpipe_filter_add(filter, BPF_RET | BPF_K, action, 0, 0)
#define LEADPIPE_REFUSE(call) (LEADPIPE_IF(call, 0, 1), LEADPIPE_RETURN(SECCOMP_RET_ERRNO | EPERM))

// System calls that no handler needs. Leaving the process group is refused because a handler could then escape being
// killed with the group. Calls that change modes, owners and times of files, or watch folders, are refused because
// Landlock does not cover them. Calls that change scheduling act on other processes of the user, such as the gateway.
// Shared memory, semaphores and message queues outlive their process, and no resource limit counts them.
static const int leadpipe_refused_calls[] = {
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_perf_event_open, SYS_bpf, SYS_userfaultfd,
    425 /* io_uring_setup */, 426, 427, 438 /* pidfd_getfd */, 440 /* process_madvise */, 448 /* process_mrelease */,
    SYS_migrate_pages, SYS_move_pages, SYS_setsid, SYS_setpgid, SYS_unshare, SYS_setns, SYS_chroot, SYS_pivot_root,
    SYS_mount, SYS_umount2, 428 /* open_tree */, 429 /* move_mount */, 430 /* fsopen */, 431, 432, 433,
    442 /* mount_setattr */, 467 /* open_tree_attr */, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_init_module,
    SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load, SYS_reboot, SYS_swapon, SYS_swapoff,
    SYS_acct, SYS_quotactl, 443 /* quotactl_fd */, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex,
    SYS_clock_adjtime, SYS_sethostname, SYS_setdomainname, SYS_open_by_handle_at, SYS_personality, SYS_syslog,
    SYS_vhangup, SYS_fanotify_init, SYS_fanotify_mark, SYS_inotify_init1, SYS_inotify_add_watch, SYS_sched_setparam,
    SYS_sched_setscheduler, SYS_sched_setattr, SYS_sched_setaffinity, SYS_setpriority, SYS_ioprio_set, SYS_shmget,
    SYS_shmat, SYS_shmctl, SYS_semget, SYS_semop, SYS_semctl, SYS_semtimedop, SYS_msgget, SYS_msgsnd, SYS_msgrcv,
    SYS_msgctl, SYS_mq_open, SYS_mq_unlink, SYS_memfd_create, 447 /* memfd_secret */, SYS_fchmod, SYS_fchmodat,
    452 /* fchmodat2 */, SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr,
    463 /* setxattrat */, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr, 466 /* removexattrat */,
    469 /* file_setattr */,
#ifdef SYS_chmod  // calls that newer machines have never had
    SYS_chmod, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat, SYS_iopl, SYS_ioperm, SYS_inotify_init,
    SYS_modify_ldt,
#endif
};

// Refuses the listed calls, using a bitmap. The filter has a third of the instructions that one comparison per call
// would need; the kernel translates them at every start.
static inline void leadpipe_filter_refuse_list(struct leadpipe_filter *filter) {
  uint32_t map[16] = {0};
  unsigned words = 0;
  for (size_t at = 0; at < sizeof leadpipe_refused_calls / sizeof *leadpipe_refused_calls; at++)
    map[leadpipe_refused_calls[at] / 32] |= (uint32_t)1 << leadpipe_refused_calls[at] % 32;
  for (unsigned at = 0; at < 16; at++) words += map[at] != 0;
  // Puts the call's bit within its word into the filter's memory, and the index of that word into the accumulator.
  leadpipe_filter_add(filter, BPF_ALU | BPF_AND | BPF_K, 31, 0, 0);
  leadpipe_filter_add(filter, BPF_MISC | BPF_TAX, 0, 0, 0);
  leadpipe_filter_add(filter, BPF_LD | BPF_IMM, 1, 0, 0);
  leadpipe_filter_add(filter, BPF_ALU | BPF_LSH | BPF_X, 0, 0, 0);
  leadpipe_filter_add(filter, BPF_ST, 0, 0, 0);
  LEADPIPE_LOAD(nr);
  leadpipe_filter_add(filter, BPF_ALU | BPF_RSH | BPF_K, 5, 0, 0);
  for (unsigned at = 0; at < 16; at++) {
    if (map[at] == 0) continue;
    LEADPIPE_IF(at, 0, 3);
    leadpipe_filter_add(filter, BPF_LD | BPF_MEM, 0, 0, 0);
    leadpipe_filter_add(filter, BPF_JMP | BPF_JSET | BPF_K, map[at], 0, 1 + 4 * --words);
    LEADPIPE_RETURN(SECCOMP_RET_ERRNO | EPERM);
  }
  LEADPIPE_LOAD(nr);
}

// Flags of clone(2): new namespaces, and a child of the caller's parent, which would not expect and reap it.
#define LEADPIPE_REFUSED_CLONES 0x7E028000
#define LEADPIPE_CLONE_THREAD 0x00010000

// Refuses the listed calls with EPERM from now on, for the calling thread and everything it starts. Refuses sockets
// with EACCES, except those of the allowed kinds, and anonymous shared memory with ENOMEM. If `processes` is 0, also
// refuses to run programs and to start processes; threads are still allowed. The calling thread must have no_new_privs.
static inline int leadpipe_refuse_calls(int processes, int local_sockets, int internet_sockets) {
#if defined(__x86_64__)
  const unsigned machine = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
  const unsigned machine = AUDIT_ARCH_AARCH64;
#else
  const unsigned machine = 0;
#endif
  if (machine == 0) return errno = ENOSYS, -1;
  struct leadpipe_filter storage = {0}, *filter = &storage;
  LEADPIPE_LOAD(arch);
  LEADPIPE_IF(machine, 1, 0);
  LEADPIPE_RETURN(SECCOMP_RET_KILL_PROCESS);
  LEADPIPE_LOAD(nr);
#if defined(__x86_64__)
  // The same calls under other numbers (x32).
  leadpipe_filter_add(filter, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
  LEADPIPE_RETURN(SECCOMP_RET_ERRNO | EPERM);
#endif
  leadpipe_filter_refuse_list(filter);
  if (!processes) {
    LEADPIPE_REFUSE(SYS_execve);
    LEADPIPE_REFUSE(SYS_execveat);
#ifdef SYS_fork
    LEADPIPE_REFUSE(SYS_fork);
    LEADPIPE_REFUSE(SYS_vfork);
#endif
  }
  // clone3, because a filter cannot read its flags. The C library then falls back to clone.
  LEADPIPE_IF(435, 0, 1);
  LEADPIPE_RETURN(SECCOMP_RET_ERRNO | ENOSYS);
  LEADPIPE_IF(SYS_clone, 0, 5);
  LEADPIPE_LOAD(args[0]);
  LEADPIPE_IF_ANY(LEADPIPE_REFUSED_CLONES, 1, 0);
  LEADPIPE_IF_ANY(LEADPIPE_CLONE_THREAD, 1, processes ? 1 : 0);
  LEADPIPE_RETURN(SECCOMP_RET_ERRNO | EPERM);
  LEADPIPE_RETURN(SECCOMP_RET_ALLOW);
  // RLIMIT_DATA counts neither shared mappings nor those that grow like a stack.
  LEADPIPE_IF(SYS_mmap, 0, 6);
  LEADPIPE_LOAD(args[3]);
  LEADPIPE_IF_ANY(MAP_GROWSDOWN, 2, 0);
  LEADPIPE_IF_ANY(MAP_ANONYMOUS, 0, 2);
  LEADPIPE_IF_ANY(MAP_SHARED, 0, 1);
  LEADPIPE_RETURN(SECCOMP_RET_ERRNO | ENOMEM);
  LEADPIPE_RETURN(SECCOMP_RET_ALLOW);
  // Pipes that hold more than the default: root may set any size.
  LEADPIPE_IF(SYS_fcntl, 0, 4);
  LEADPIPE_LOAD(args[1]);
  LEADPIPE_IF(1031 /* F_SETPIPE_SZ */, 0, 1);
  LEADPIPE_RETURN(SECCOMP_RET_ERRNO | EPERM);
  LEADPIPE_RETURN(SECCOMP_RET_ALLOW);
  // Limits can be read but not set: root could raise them.
  LEADPIPE_REFUSE(SYS_setrlimit);
  LEADPIPE_IF(SYS_prlimit64, 0, 6);
  LEADPIPE_LOAD(args[2]);
  LEADPIPE_IF(0, 0, 2);
  leadpipe_filter_add(filter, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2]) + 4, 0, 0);
  LEADPIPE_IF(0, 1, 0);
  LEADPIPE_RETURN(SECCOMP_RET_ERRNO | EPERM);
  LEADPIPE_RETURN(SECCOMP_RET_ALLOW);
  LEADPIPE_IF(SYS_socket, 1, 0);
  LEADPIPE_RETURN(SECCOMP_RET_ALLOW);
  LEADPIPE_LOAD(args[0]);
  const unsigned local[] = {1 /* AF_UNIX */}, internet[] = {2 /* AF_INET */, 10 /* AF_INET6 */, 16 /* AF_NETLINK */};
  for (size_t at = 0; local_sockets && at < 1; at++) {
    LEADPIPE_IF(local[at], 0, 1);
    LEADPIPE_RETURN(SECCOMP_RET_ALLOW);
  }
  for (size_t at = 0; internet_sockets && at < 3; at++) {
    LEADPIPE_IF(internet[at], 0, 1);
    LEADPIPE_RETURN(SECCOMP_RET_ALLOW);
  }
  LEADPIPE_RETURN(SECCOMP_RET_ERRNO | EACCES);
  struct sock_fprog program = {filter->count, filter->code};
  // Without SPEC_ALLOW, older kernels slow down the whole process.
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1 << 2, &program) == 0) return 0;
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

// True if the kernel supports such filters.
static inline int leadpipe_has_filters(void) {
  unsigned action = SECCOMP_RET_ERRNO;
  return syscall(SYS_seccomp, 2 /* SECCOMP_GET_ACTION_AVAIL */, 0, &action) == 0;
}
