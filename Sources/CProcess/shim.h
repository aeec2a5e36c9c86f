#pragma once
// Functions that Swift cannot call on Linux: variadic functions, and functions missing from its Glibc overlay.
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

// Set-user-id programs started from here gain no rights (prctl(2), PR_SET_NO_NEW_PRIVS).
static inline int leadpipe_no_new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

// Disables core dumps. Other processes of the same user cannot attach to this one or read its memory (PR_SET_DUMPABLE).
static inline int leadpipe_not_dumpable(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

// This process gets `signal` when the thread that started it ends (PR_SET_PDEATHSIG).
static inline int leadpipe_parent_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }

// Returns freed memory to the system (malloc_trim(3)).
#include <malloc.h>

// GNU extensions, declared here because the overlay compiles the headers without _GNU_SOURCE.
#include <spawn.h>
extern int pipe2(int descriptors[2], int flags);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
// Returns a descriptor that becomes readable when the process ends (pidfd_open(2), Linux 5.3, glibc 2.36).
extern int pidfd_open(pid_t pid, unsigned int flags);
