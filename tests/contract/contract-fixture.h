/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "contract.h"
#include "harness.h"

/* What the tests of the contract share; transports' own tests need contract.h and harness.h only.
 */

G_BEGIN_DECLS

#define CONNECT_MS 10000

/* A transport of its own for each test, and a private directory. */
typedef struct {
  const Contract *contract;
  HyphaTransport *transport;
  char *directory;
  gpointer beside;
  GArray *held; /* of int: descriptors that make an endpoint silent */
  int far;      /* the listening socket that a transport which only connects leads to; -1: none */
  gboolean skipped;
} Fixture;

/* What a test needs; of those that need nothing, every transport has to pass. */
typedef enum {
  NEEDS_CHANNEL = 1 << 0,  /* both ends of one can be had */
  NEEDS_LISTENER = 1 << 1, /* the transport listens */
  NEEDS_STREAM = 1 << 2,   /* it loses nothing */
  NEEDS_LOSSY = 1 << 3,    /* it carries datagrams */
  NEEDS_NOTHING = 1 << 4,  /* nor a machine that can run it */
} ContractNeeds;

typedef struct {
  const char *name;
  void (*run) (Fixture *f);
  ContractNeeds needs;
  const char *promise; /* what the transport promises, for those who broke it */
} ContractTest;

/* Each ends with a test without a name. */
extern const ContractTest contract_endpoint_tests[];
extern const ContractTest contract_channel_tests[];
extern const ContractTest contract_close_tests[];
extern const ContractTest contract_many_tests[];
extern const ContractTest contract_listen_tests[];
extern const ContractTest contract_connect_tests[];
extern const ContractTest contract_cancel_tests[];
extern const ContractTest contract_adopt_tests[];
extern const ContractTest contract_rest_tests[];

HyphaEndpoint *fixture_parse (Fixture *f, const char *uri);
HyphaEndpoint *fixture_fresh (Fixture *f);
/* NULL: the test has been skipped. */
HyphaEndpoint *fixture_silent (Fixture *f);
HyphaListener *fixture_listen (Fixture *f, HyphaEndpoint *endpoint);
HyphaChannel *fixture_connect (Fixture *f, HyphaEndpoint *endpoint);
/* A channel of datagrams is accepted with the first of them; it has its length before it. */
void fixture_knock (Fixture *f, HyphaChannel *dialled);
void fixture_welcome (Fixture *f, HyphaChannel *accepted);
/* How many descriptors are open when nothing goes on. */
guint fixture_count_at_rest (Fixture *f);

/* A listener and both ends of one channel. */
typedef struct {
  HyphaListener *listener;
  HarnessSink *sink;
  HyphaChannel *dialled;
  HyphaChannel *accepted;
} Pair;
Pair pair_new (Fixture *f);
void pair_clear (Pair *pair);
/* The descriptor of one end: 0 is the one that dialled. */
int pair_get_fd (const Pair *pair, guint end);
void pair_close_end (Pair *pair, guint end);

G_END_DECLS
