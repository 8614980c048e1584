/* SPDX-License-Identifier: Apache-2.0 */
/* In place of the header that cgo makes: the test of the C side defines these. */
#ifndef PNPDR_TEST_CGO_EXPORT_H
#define PNPDR_TEST_CGO_EXPORT_H

#include "shim.h"

void* pnpdrEntry(int argc, char** argv, pnpdr_host* host);
void pnpdrEnded(void* session);
void* pnpdrAccept(void* session, char* name, pnpdr_channel* channel);
uint32_t pnpdrReceive(void* receiver, uint8_t* data, size_t size);
void pnpdrClosed(void* receiver);

#endif
