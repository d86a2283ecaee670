/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "contract.h"

G_BEGIN_DECLS

/* What the author of a transport says of it in a key file, NAME.contract: plugins/README.md tells
 * the keys. One for each process, since a Contract's functions are given no data. */

/* Reads it; with PATH NULL, there is none, and nothing is promised. FALSE: an error that names the
 * key. */
gboolean contract_file_read (const char *path, GError **error);

/* Of TRANSPORT, which is looked at, and by way of CREATE and RELEASE. Where there is no file, an
 * address to listen on is tried out. Not owned; it lasts. */
const Contract *contract_file_make (const char *name, HyphaTransport *transport,
                                    HyphaTransport *(*create) (void),
                                    void (*release) (HyphaTransport *transport));
/* a{sv}, floating or not owned; NULL: none. */
GVariant *contract_file_get_options (void);

G_END_DECLS
