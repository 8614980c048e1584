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

#ifndef PNPDR_CSHIM_CLIENT_PROCESS_H
#define PNPDR_CSHIM_CLIENT_PROCESS_H

#include <signal.h>
#include <stdint.h>

/* The soft limit of open files then, 0 if unknown. */
uint64_t pnpdr_soft_nofile(void);

/* Ignore SIGPIPE again if the process did. */
void pnpdr_restore_sigpipe(void);

/* The signals that a thread blocks, of one that is about to call Go. */
typedef struct
{
	int first; /* its first call: only that one changes them */
	sigset_t blocked;
} process_mask;

process_mask process_mask_keep(void);

/* Have the thread block what it did before, but for what tells of a fault. */
void process_mask_restore(const process_mask* mask);

#endif /* PNPDR_CSHIM_CLIENT_PROCESS_H */
