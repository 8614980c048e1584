/* SPDX-License-Identifier: Apache-2.0 */
/**
 * freerdp-pnpdr: Plug and Play device redirection for FreeRDP
 *
 * What the process was like before Go's runtime started in it.
 *
 * Licensed under the Apache License, Version 2.0 (the "License");
 * you may not use this file except in compliance with the License.
 * You may obtain a copy of the License at
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS,
 * WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
 * See the License for the specific language governing permissions and
 * limitations under the License.
 */

#include <signal.h>
#include <stddef.h>

#include <sys/resource.h>

#include "process.h"

static struct rlimit files;
static int files_known;
static int sigpipe_ignored;

/* Go's runtime starts in a constructor without a priority: one with a priority
 * runs before it. */
__attribute__((constructor(101))) static void process_remember(void)
{
	struct sigaction pipe;

	files_known = getrlimit(RLIMIT_NOFILE, &files) == 0;
	sigpipe_ignored = sigaction(SIGPIPE, NULL, &pipe) == 0 && pipe.sa_handler == SIG_IGN;
}

uint64_t pnpdr_soft_nofile(void)
{
	return files_known ? files.rlim_cur : 0;
}

void pnpdr_restore_sigpipe(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	if (sigpipe_ignored)
		(void)sigaction(SIGPIPE, &ignore, NULL);
}

/* Go unblocks SIGCHLD and others in a thread that calls it, and leaves it so. A
 * host may wait for them with signalfd. */
process_mask process_mask_keep(void)
{
	static _Thread_local int called;
	process_mask mask = { 0 };

	if (!called)
		mask.first = pthread_sigmask(SIG_SETMASK, NULL, &mask.blocked) == 0;
	called = 1;
	return mask;
}

/* A fault whose signal is blocked ends the process, where Go makes it a panic. */
void process_mask_restore(const process_mask* mask)
{
	sigset_t blocked = mask->blocked;

	if (!mask->first)
		return;
	sigdelset(&blocked, SIGSEGV);
	sigdelset(&blocked, SIGBUS);
	sigdelset(&blocked, SIGFPE);
	(void)pthread_sigmask(SIG_SETMASK, &blocked, NULL);
}
