/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib-object.h>
#include "hypha-macros.h"

G_BEGIN_DECLS

/**
 * HYPHA_ERROR:
 *
 * The error domain of Hypha; its codes are those of [error@Hypha.Error].
 */
#define HYPHA_ERROR (hypha_error_quark ())

/**
 * HyphaError:
 * @HYPHA_ERROR_FAILED: no other code says it better
 * @HYPHA_ERROR_INVALID_ENDPOINT: an endpoint that does not parse
 * @HYPHA_ERROR_INVALID_ID: a node id that does not parse, or names no usable key
 * @HYPHA_ERROR_INVALID_ARGUMENT: any other wrong argument of a caller
 * @HYPHA_ERROR_INVALID_SETTING: a wrong key, key file or command line
 * @HYPHA_ERROR_NO_TRANSPORT: no plug-in claims this scheme
 * @HYPHA_ERROR_UNAVAILABLE: the transport is here but cannot work on this machine
 * @HYPHA_ERROR_PLUGIN: a plug-in that was refused, or broke its contract
 * @HYPHA_ERROR_ADDRESS_IN_USE: somebody listens there; the message says who, if known
 * @HYPHA_ERROR_CONNECT: the channel did not come about
 * @HYPHA_ERROR_TIMED_OUT: a deadline passed
 * @HYPHA_ERROR_HANDSHAKE: the other end broke the handshake, or the wire did
 * @HYPHA_ERROR_TLS_REQUIRED: the other end does not take a plain link here
 * @HYPHA_ERROR_NOT_TRUSTED: one node does not trust the other, as is the default
 * @HYPHA_ERROR_WRONG_ID: somebody else answered than was expected
 * @HYPHA_ERROR_IDENTITY: the key file: absent, loose, not a key, held by another daemon
 * @HYPHA_ERROR_PROTOCOL: the peer broke the session protocol, or that of messages
 * @HYPHA_ERROR_NO_SUCH_PEER: no peer has this id or name
 * @HYPHA_ERROR_AMBIGUOUS_PEER: a prefix or a name that fits several
 * @HYPHA_ERROR_NO_SUCH_SERVICE: the peer has no service of this name
 * @HYPHA_ERROR_REFUSED: the peer, or its service, said no
 * @HYPHA_ERROR_OFFLINE: no link to the peer now
 * @HYPHA_ERROR_RESET: the other program ended this stream early
 * @HYPHA_ERROR_GONE: the peer no longer knows the stream
 * @HYPHA_ERROR_EXPIRED: no link for longer than session-timeout
 * @HYPHA_ERROR_RESTARTED: the peer, or this node, started anew
 * @HYPHA_ERROR_ROLLED_BACK: one side's state went backwards (a restored snapshot)
 * @HYPHA_ERROR_DISCONNECTED: somebody asked for the end of the session
 * @HYPHA_ERROR_BUSY: a limit was reached; the message names it
 * @HYPHA_ERROR_NOT_SUPPORTED: this node, or what it runs on, cannot do this
 * @HYPHA_ERROR_PERMISSION_DENIED: the caller, or the daemon, may not do this
 *
 * The codes of `HYPHA_ERROR`. A program decides by the code; the message is for people, and says
 * what failed, on what, why, and what to do.
 */
typedef enum {
  /* The numbers are part of the ABI and, as names, of the D-Bus interface: append only. */
  HYPHA_ERROR_FAILED,
  HYPHA_ERROR_INVALID_ENDPOINT,
  HYPHA_ERROR_INVALID_ID,
  HYPHA_ERROR_INVALID_ARGUMENT,
  HYPHA_ERROR_INVALID_SETTING,
  HYPHA_ERROR_NO_TRANSPORT,
  HYPHA_ERROR_UNAVAILABLE,
  HYPHA_ERROR_PLUGIN,
  HYPHA_ERROR_ADDRESS_IN_USE,
  HYPHA_ERROR_CONNECT,
  HYPHA_ERROR_TIMED_OUT,
  HYPHA_ERROR_HANDSHAKE,
  HYPHA_ERROR_TLS_REQUIRED,
  HYPHA_ERROR_NOT_TRUSTED,
  HYPHA_ERROR_WRONG_ID,
  HYPHA_ERROR_IDENTITY,
  HYPHA_ERROR_PROTOCOL,
  HYPHA_ERROR_NO_SUCH_PEER,
  HYPHA_ERROR_AMBIGUOUS_PEER,
  HYPHA_ERROR_NO_SUCH_SERVICE,
  HYPHA_ERROR_REFUSED,
  HYPHA_ERROR_OFFLINE,
  HYPHA_ERROR_RESET,
  HYPHA_ERROR_GONE,
  HYPHA_ERROR_EXPIRED,
  HYPHA_ERROR_RESTARTED,
  HYPHA_ERROR_ROLLED_BACK,
  HYPHA_ERROR_DISCONNECTED,
  HYPHA_ERROR_BUSY,
  HYPHA_ERROR_NOT_SUPPORTED,
  HYPHA_ERROR_PERMISSION_DENIED,
} HyphaError;

HYPHA_EXTERN
GQuark hypha_error_quark (void);

#define HYPHA_TYPE_ERROR (hypha_error_get_type ())
HYPHA_EXTERN
GType hypha_error_get_type (void); /* the nicks are "no-such-peer" and the like */

G_END_DECLS
