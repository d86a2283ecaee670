/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "program/transport.h"

#include <glib/gi18n-lib.h>
#include <unistd.h>
#include "hypha-source.h"
#include "program/endpoint.h"
#include "program/fields.h"
#include "program/listener.h"
#include "program/patience.h"
#include "program/run.h"

/* From the end of a program to its next start: twice as long each time, unless it has lived a
 * while. */
#define FIRST_BACK_OFF_MS 1000
#define LAST_BACK_OFF_MS 60000
#define LONG_LIFE_MS 60000
#define MAX_DETAILS 32

struct _HyphaProgramTransport {
  HyphaBaseTransport parent_instance;

  HyphaProgramManifest *manifest;
  HyphaProgramRun *run; /* NULL: it does not run */
  gint64 started;       /* us */
  gboolean answering;   /* this run has said that it works */
  gboolean probing;
  gboolean outdated; /* what that will say is not to be told any more, */
  gboolean again;    /* but what it says then */
  gboolean stopped;
  char *options; /* JSON */
  guint back_off_ms;
  guint timer; /* the next start */

  char *trouble; /* NULL: it works, as far as is known */
  char *told;    /* the same, as it was when somebody was told last */
  gboolean news; /* what it tells of itself is not what was told last */
  gboolean telling;
  GVariant *details;     /* a{sv}; nullable */
  GHashTable *listeners; /* number -> HyphaProgramListener, not owned: each leaves when it closes */
};

enum { CHANGED, N_SIGNALS };

static guint signals[N_SIGNALS];

static void hypha_program_transport_iface_init (HyphaTransportInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE (HyphaProgramTransport, hypha_program_transport,
                               HYPHA_TYPE_BASE_TRANSPORT,
                               G_IMPLEMENT_INTERFACE (HYPHA_TYPE_TRANSPORT,
                                                      hypha_program_transport_iface_init))

static const HyphaTransportInterface *parent_iface;

static const char *
get_name (HyphaProgramTransport *self)
{
  return self->manifest->schemes[0];
}

/* ---- whether it works ---- */

static void
tell (HyphaProgramTransport *self)
{
  if ((g_strcmp0 (self->trouble, self->told) == 0 && !self->news) || self->telling)
    return;
  self->news = FALSE;
  g_free (self->told);
  self->told = g_strdup (self->trouble);
  self->telling = TRUE;
  g_signal_emit (self, signals[CHANGED], 0);
  self->telling = FALSE;
}

static void
set_trouble (HyphaProgramTransport *self, const char *trouble)
{
  char *copy = g_strdup (trouble);

  g_free (self->trouble);
  self->trouble = copy;
}

static void
set_detail (GVariantDict *details, const char *name, JsonNode *node)
{
  GType type = json_node_get_value_type (node);

  if (json_node_get_node_type (node) != JSON_NODE_VALUE)
    return;
  if (type == G_TYPE_STRING)
    g_variant_dict_insert (details, name, "s", json_node_get_string (node));
  else if (type == G_TYPE_INT64)
    g_variant_dict_insert (details, name, "x", json_node_get_int (node));
  else if (type == G_TYPE_BOOLEAN)
    g_variant_dict_insert (details, name, "b", json_node_get_boolean (node));
}

static void
take_details (HyphaProgramTransport *self, JsonObject *object)
{
  g_auto (GVariantDict) details = G_VARIANT_DICT_INIT (NULL);
  JsonObjectIter iter;
  const char *name;
  JsonNode *node;

  if (object != NULL)
    json_object_iter_init (&iter, object);
  for (guint i = 0;
       object != NULL && i < MAX_DETAILS && json_object_iter_next (&iter, &name, &node); i++)
    set_detail (&details, name, node);
  g_clear_pointer (&self->details, g_variant_unref);
  self->details = g_variant_ref_sink (g_variant_dict_end (&details));
  self->news = TRUE;
}

/* ---- its runs ---- */

static GPtrArray *
list_listeners (HyphaProgramTransport *self)
{
  GPtrArray *listeners = g_ptr_array_new_with_free_func (g_object_unref);
  GHashTableIter iter;
  gpointer listener;

  g_hash_table_iter_init (&iter, self->listeners);
  while (g_hash_table_iter_next (&iter, NULL, &listener))
    g_ptr_array_add (listeners, g_object_ref (listener));
  return listeners;
}

/* All that goes on fails with ERROR. Anything may happen meanwhile. */
static void
end_run (HyphaProgramTransport *self, const GError *error)
{
  g_autoptr (GPtrArray) listeners = list_listeners (self);
  HyphaProgramRun *run = g_steal_pointer (&self->run);

  self->answering = FALSE;
  self->probing = self->outdated = self->again = FALSE;
  g_hash_table_remove_all (self->listeners);
  for (guint i = 0; i < listeners->len; i++)
    hypha_program_listener_forget (listeners->pdata[i]);
  if (run != NULL)
    hypha_program_run_free (run, error);
  for (guint i = 0; i < listeners->len; i++)
    hypha_program_listener_fail (listeners->pdata[i], error);
}

static gboolean start (HyphaProgramTransport *self, GError **error);

static gboolean
on_timer (gpointer user_data)
{
  g_autoptr (HyphaProgramTransport) self = g_object_ref (user_data);
  g_autoptr (GError) error = NULL;

  self->timer = 0;
  if (!start (self, &error)) {
    set_trouble (self, error->message);
    tell (self);
  }
  return G_SOURCE_REMOVE;
}

/* It has ended, or has to. */
static void
fall (HyphaProgramTransport *self, const char *why)
{
  G_GNUC_UNUSED g_autoptr (HyphaProgramTransport) kept = g_object_ref (self);
  g_autoptr (GError) error = NULL;
  gint64 lived = (g_get_monotonic_time () - self->started) / 1000;

  if (self->back_off_ms == 0 || lived >= LONG_LIFE_MS)
    self->back_off_ms = FIRST_BACK_OFF_MS;
  else
    self->back_off_ms = MIN (2 * self->back_off_ms, LAST_BACK_OFF_MS);
  error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                       _ ("the program of the plug-in %s has failed: %s; it is started again after "
                          "%u s"),
                       self->manifest->name, why, self->back_off_ms / 1000);
  set_trouble (self, error->message);
  if (self->timer == 0)
    self->timer = g_timeout_add (self->back_off_ms, on_timer, self);
  end_run (self, error);
  tell (self);
}

static void
on_ended (const char *why, gpointer user_data)
{
  fall (user_data, why);
}

static void
on_hello (const HyphaProgramWords *words, int fd, const GError *error, gpointer user_data)
{
  HyphaProgramTransport *self = user_data;

  if (fd >= 0)
    close (fd);
  /* Without a run this is the answer to a stop. */
  if (error != NULL && self->run != NULL)
    fall (self, error->message);
}

static void ask_probe (HyphaProgramTransport *self);

static void
on_probed (const HyphaProgramWords *words, int fd, const GError *error, gpointer user_data)
{
  HyphaProgramTransport *self = user_data;
  gboolean outdated = self->outdated, again = self->again;

  if (fd >= 0)
    close (fd);
  self->probing = self->outdated = self->again = FALSE;
  if (self->run == NULL)
    return;
  if (words == NULL) {
    fall (self, _ ("it does not answer"));
    return;
  }
  self->answering = TRUE;
  if (again)
    ask_probe (self);
  if (outdated)
    return;
  if (error == NULL)
    take_details (self, words->details);
  set_trouble (self, error != NULL ? error->message : NULL);
  tell (self);
}

static void
ask_probe (HyphaProgramTransport *self)
{
  GString *request = g_string_new (NULL);

  hypha_program_fields_add_string (request, "do", "probe");
  self->probing = hypha_program_run_call (self->run, HYPHA_PROGRAM_CALL_PLAIN, request,
                                          hypha_program_patience_get (), on_probed, self) != 0;
}

static void
on_configured (const HyphaProgramWords *words, int fd, const GError *error, gpointer user_data)
{
  HyphaProgramTransport *self = user_data;
  g_autofree char *trouble = NULL;

  if (fd >= 0)
    close (fd);
  if (self->run == NULL)
    return;
  /* A probe that is under way was asked before this was known. That nothing is known yet is less
   * than what it will say. */
  if (words != NULL) {
    self->outdated = self->probing;
    self->again = self->probing && error == NULL;
  }
  if (error == NULL) {
    if (!self->probing)
      ask_probe (self);
    return;
  }
  trouble = g_strdup_printf (_ ("the program of the plug-in %s does not take its options: %s"),
                             self->manifest->name, error->message);
  set_trouble (self, trouble);
  tell (self);
}

static void on_accepted (guint64 number, const HyphaProgramWords *words, int fd,
                         gpointer user_data);
static void on_failed (guint64 number, const char *message, gpointer user_data);

static const HyphaProgramRunEvents run_events = { .accepted = on_accepted,
                                                  .failed = on_failed,
                                                  .ended = on_ended };

/* Adds what is JSON already. */
static void
add_options (HyphaProgramTransport *self, GString *request)
{
  g_string_append_printf (request, ",\"options\":%s", self->options);
}

static gboolean
start (HyphaProgramTransport *self, GError **error)
{
  GString *hello;

  self->run = hypha_program_run_new (self->manifest, &run_events, self, error);
  if (self->run == NULL)
    return FALSE;
  self->started = g_get_monotonic_time ();
  hello = g_string_new (NULL);
  hypha_program_fields_add_string (hello, "do", "hello");
  hypha_program_fields_add_integer (hello, "protocol", HYPHA_PROGRAM_PROTOCOL);
  hypha_program_fields_add_string (hello, "name", self->manifest->name);
  hypha_program_fields_add_string (hello, "rendezvous", hypha_program_run_get_meeting (self->run));
  add_options (self, hello);
  hypha_program_run_call (self->run, HYPHA_PROGRAM_CALL_PLAIN, hello, hypha_program_patience_get (),
                          on_hello, self);
  ask_probe (self);
  return TRUE;
}

/* Whether there is a program to be asked. */
static gboolean
ensure_run (HyphaProgramTransport *self, GError **error)
{
  if (self->run != NULL)
    return TRUE;
  if (self->timer == 0)
    return start (self, error);
  g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, self->trouble);
  return FALSE;
}

/* ---- what is asked for ---- */

/* A connect or a listen, until it is answered. */
typedef struct {
  HyphaProgramTransport *transport; /* kept by the task */
  GTask *task;
  HyphaEndpoint *endpoint;
  guint64 id;
  GSource *cancelled;
} Ask;

static GTask *
ask_end (Ask *self, HyphaEndpoint **endpoint)
{
  GTask *task = self->task;

  hypha_clear_source (&self->cancelled);
  *endpoint = self->endpoint;
  g_free (self);
  return task;
}

static gboolean
on_cancelled (GCancellable *cancellable, gpointer user_data)
{
  Ask *self = user_data;
  HyphaProgramTransport *transport = self->transport;
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (GTask) task = NULL;

  hypha_program_run_cancel (transport->run, self->id);
  task = ask_end (self, &endpoint);
  g_task_return_new_error (task, G_IO_ERROR, G_IO_ERROR_CANCELLED, _ ("%s was cancelled"),
                           hypha_endpoint_to_string (endpoint));
  return G_SOURCE_REMOVE;
}

/* FORMAT has places for the endpoint and for why. Takes neither. */
static void
return_error (GTask *task, gboolean listening, HyphaEndpoint *endpoint, const GError *error)
{
  const char *display = hypha_endpoint_to_string (endpoint);

  int code = error->domain == HYPHA_ERROR ? error->code : HYPHA_ERROR_UNAVAILABLE;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_task_return_error (task, g_error_copy (error));
  else if (listening)
    g_task_return_new_error (task, HYPHA_ERROR, code, _ ("cannot listen on %s: %s"), display,
                             error->message);
  else
    g_task_return_new_error (task, HYPHA_ERROR, code, _ ("cannot connect to %s: %s"), display,
                             error->message);
}

/* Takes FD. */
static HyphaChannel *
make_channel (HyphaProgramTransport *self, int fd, const HyphaProgramWords *words,
              HyphaEndpoint *local, HyphaEndpoint *remote, GError **error)
{
  g_autoptr (HyphaEndpoint) said_local = NULL;
  g_autoptr (HyphaEndpoint) said_remote = NULL;
  HyphaChannel *channel;

  if (words->local != NULL)
    said_local = hypha_program_endpoint_read (self->manifest, words->local, error);
  if (words->remote != NULL && remote == NULL && (words->local == NULL || said_local != NULL))
    said_remote = hypha_program_endpoint_read (self->manifest, words->remote, error);
  if ((words->local != NULL && said_local == NULL) ||
      (words->remote != NULL && remote == NULL && said_remote == NULL)) {
    close (fd);
    return NULL;
  }
  /* Nobody but the program vouches for anything. */
  channel = hypha_channel_new (fd, said_local != NULL ? said_local : local,
                               remote != NULL ? remote : said_remote, HYPHA_CHANNEL_NONE);
  hypha_channel_set_host (channel, hypha_program_endpoint_check_host (words->host));
  return channel;
}

static void
on_connected (const HyphaProgramWords *words, int fd, const GError *error, gpointer user_data)
{
  Ask *ask = user_data;
  HyphaProgramTransport *self = ask->transport;
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (GTask) task = ask_end (ask, &endpoint);
  g_autoptr (GError) failure = error != NULL ? g_error_copy (error) : NULL;
  HyphaChannel *channel = NULL;

  if (failure == NULL && fd < 0)
    failure = g_error_new (HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
                           _ ("the program of the plug-in %s answered without a channel"),
                           self->manifest->name);
  if (failure == NULL)
    channel = make_channel (self, fd, words, NULL, endpoint, &failure);
  if (channel != NULL)
    g_task_return_pointer (task, channel, g_object_unref);
  else
    return_error (task, FALSE, endpoint, failure);
}

static void
on_listener_closed (HyphaProgramListener *listener, gpointer user_data)
{
  HyphaProgramTransport *self = user_data;
  guint64 number = hypha_program_listener_get_number (listener);

  g_hash_table_remove (self->listeners, &number);
  if (self->run != NULL)
    hypha_program_run_close (self->run, number);
}

static void
close_and_unref (gpointer listener)
{
  hypha_listener_close (listener);
  g_object_unref (listener);
}

static void
on_listening (const HyphaProgramWords *words, int fd, const GError *error, gpointer user_data)
{
  Ask *ask = user_data;
  HyphaProgramTransport *self = ask->transport;
  guint64 number = ask->id;
  g_autoptr (HyphaEndpoint) endpoint = NULL;
  g_autoptr (GTask) task = ask_end (ask, &endpoint);
  g_autoptr (GError) failure = error != NULL ? g_error_copy (error) : NULL;
  g_autoptr (HyphaEndpoint) bound = NULL;
  HyphaProgramListener *listener;

  if (fd >= 0)
    close (fd);
  if (failure == NULL)
    bound = hypha_program_endpoint_read (
        self->manifest, words->bound != NULL ? words->bound : hypha_endpoint_to_string (endpoint),
        &failure);
  if (bound == NULL) {
    if (error == NULL)
      hypha_program_run_close (self->run, number);
    return_error (task, TRUE, endpoint, failure);
    return;
  }
  listener = hypha_program_listener_new (bound, number, on_listener_closed, self);
  g_hash_table_insert (self->listeners, g_memdup2 (&number, sizeof number), listener);
  g_task_return_pointer (task, listener, close_and_unref);
}

/* Takes TASK and REQUEST. */
static void
ask (HyphaProgramTransport *self, GTask *task, HyphaEndpoint *endpoint, GCancellable *cancellable,
     GString *request, guint timeout_ms, gboolean listening)
{
  g_autoptr (GError) error = NULL;
  Ask *asked;

  if (!ensure_run (self, &error)) {
    return_error (task, listening, endpoint, error);
    g_object_unref (task);
    g_string_free (request, TRUE);
    return;
  }
  asked = g_new0 (Ask, 1);
  asked->transport = self;
  asked->task = task;
  asked->endpoint = hypha_endpoint_ref (endpoint);
  asked->id = hypha_program_run_call (
      self->run, listening ? HYPHA_PROGRAM_CALL_LISTENER : HYPHA_PROGRAM_CALL_CHANNEL, request,
      timeout_ms, listening ? on_listening : on_connected, asked);
  if (asked->id == 0) {
    g_autoptr (HyphaEndpoint) held = NULL;
    g_autoptr (GTask) owned = ask_end (asked, &held);

    error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_BUSY,
                         _ ("the program of the plug-in %s has too many questions to answer"),
                         self->manifest->name);
    return_error (owned, listening, endpoint, error);
    return;
  }
  asked->cancelled = g_cancellable_source_new (cancellable);
  g_source_set_callback (asked->cancelled, G_SOURCE_FUNC (on_cancelled), asked, NULL);
  g_source_attach (asked->cancelled, NULL);
}

static GString *
begin_request (const char *what, HyphaEndpoint *endpoint)
{
  GString *request = g_string_new (NULL);

  hypha_program_fields_add_string (request, "do", what);
  hypha_program_fields_add_string (request, "endpoint", hypha_endpoint_to_string (endpoint));
  return request;
}

static void
hypha_program_transport_connect (HyphaBaseTransport *base, GTask *task, HyphaEndpoint *endpoint,
                                 guint timeout_ms, GCancellable *cancellable)
{
  GString *request = begin_request ("connect", endpoint);

  hypha_program_fields_add_integer (request, "timeout-ms", timeout_ms);
  ask (HYPHA_PROGRAM_TRANSPORT (base), task, endpoint, cancellable, request, timeout_ms, FALSE);
}

static void
hypha_program_transport_listen (HyphaBaseTransport *base, GTask *task, HyphaEndpoint *endpoint,
                                GCancellable *cancellable)
{
  ask (HYPHA_PROGRAM_TRANSPORT (base), task, endpoint, cancellable,
       begin_request ("listen", endpoint), hypha_program_patience_get (), TRUE);
}

/* ---- what comes of listeners ---- */

static void
on_accepted (guint64 number, const HyphaProgramWords *words, int fd, gpointer user_data)
{
  HyphaProgramTransport *self = user_data;
  HyphaProgramListener *found = g_hash_table_lookup (self->listeners, &number);
  g_autoptr (HyphaProgramListener) listener = found != NULL ? g_object_ref (found) : NULL;
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;

  if (listener == NULL) {
    close (fd);
    return;
  }
  channel = make_channel (self, fd, words, hypha_listener_get_bound (HYPHA_LISTENER (listener)),
                          NULL, &error);
  if (channel != NULL)
    hypha_program_listener_take (listener, channel);
  else
    hypha_program_listener_fail (listener, error);
}

static void
on_failed (guint64 number, const char *message, gpointer user_data)
{
  HyphaProgramTransport *self = user_data;
  HyphaProgramListener *listener = g_hash_table_lookup (self->listeners, &number);
  HyphaEndpoint *bound;
  g_autoptr (GError) error = NULL;

  if (listener == NULL)
    return;
  bound = hypha_listener_get_bound (HYPHA_LISTENER (listener));
  error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("cannot accept on %s any more: %s"),
                       hypha_endpoint_to_string (bound), message);
  hypha_program_listener_fail (listener, error);
}

/* ---- HyphaTransport ---- */

static const char *const *
hypha_program_transport_get_schemes (HyphaTransport *transport)
{
  return (const char *const *) HYPHA_PROGRAM_TRANSPORT (transport)->manifest->schemes;
}

static HyphaEndpoint *
hypha_program_transport_parse (HyphaTransport *transport, HyphaEndpoint *endpoint, GError **error)
{
  return hypha_program_endpoint_parse (HYPHA_PROGRAM_TRANSPORT (transport)->manifest, endpoint,
                                       error);
}

static guint
hypha_program_transport_get_link_cost (HyphaTransport *transport, HyphaEndpoint *endpoint)
{
  return HYPHA_PROGRAM_TRANSPORT (transport)->manifest->cost;
}

static gboolean
hypha_program_transport_configure (HyphaTransport *transport, GVariant *options, GError **error)
{
  HyphaProgramTransport *self = HYPHA_PROGRAM_TRANSPORT (transport);
  char *text = hypha_program_manifest_print_options (self->manifest, options, error);
  GString *request;

  if (text == NULL)
    return FALSE;
  g_free (self->options);
  self->options = text;
  /* It may have failed for the sake of its options. */
  if (self->timer != 0) {
    g_clear_handle_id (&self->timer, g_source_remove);
    self->timer = g_timeout_add (0, on_timer, self);
  }
  if (self->run == NULL)
    return TRUE;
  request = g_string_new (NULL);
  hypha_program_fields_add_string (request, "do", "configure");
  add_options (self, request);
  hypha_program_run_call (self->run, HYPHA_PROGRAM_CALL_PLAIN, request,
                          hypha_program_patience_get (), on_configured, self);
  return TRUE;
}

/* What is known now. The program is asked, if there is reason to, and its answer told as a change.
 */
static gboolean
hypha_program_transport_probe (HyphaTransport *transport, GVariantDict *details, GError **error)
{
  HyphaProgramTransport *self = HYPHA_PROGRAM_TRANSPORT (transport);
  g_autoptr (GError) failure = NULL;
  GVariantIter iter;
  const char *name;
  GVariant *value;

  if (!self->telling && !self->stopped && self->run == NULL && self->timer == 0 &&
      !start (self, &failure)) {
    set_trouble (self, failure->message);
    g_free (self->told);
    self->told = g_strdup (self->trouble);
  }
  if (!self->telling && self->run != NULL && self->trouble != NULL && !self->probing)
    ask_probe (self);
  if (self->trouble != NULL) {
    g_set_error_literal (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, self->trouble);
    return FALSE;
  }
  if (self->details != NULL) {
    g_variant_iter_init (&iter, self->details);
    while (g_variant_iter_next (&iter, "{&sv}", &name, &value)) {
      g_variant_dict_insert_value (details, name, value);
      g_variant_unref (value);
    }
  }
  g_variant_dict_insert (details, "program", "s", self->manifest->program);
  g_variant_dict_insert (details, "pid", "x", (gint64) hypha_program_transport_get_pid (self));
  return TRUE;
}

static void
hypha_program_transport_stop (HyphaTransport *transport)
{
  HyphaProgramTransport *self = HYPHA_PROGRAM_TRANSPORT (transport);
  g_autoptr (GError) error = g_error_new (
      G_IO_ERROR, G_IO_ERROR_CANCELLED, _ ("the transport '%s' has been stopped"), get_name (self));

  self->stopped = TRUE;
  parent_iface->stop (transport);
  g_clear_handle_id (&self->timer, g_source_remove);
  end_run (self, error);
}

/* ---- life ---- */

static void
hypha_program_transport_dispose (GObject *object)
{
  HyphaProgramTransport *self = HYPHA_PROGRAM_TRANSPORT (object);
  g_autoptr (GError) error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                                          _ ("the transport '%s' is no more"), get_name (self));

  self->stopped = TRUE;
  g_clear_handle_id (&self->timer, g_source_remove);
  end_run (self, error);
  G_OBJECT_CLASS (hypha_program_transport_parent_class)->dispose (object);
}

static void
hypha_program_transport_finalize (GObject *object)
{
  HyphaProgramTransport *self = HYPHA_PROGRAM_TRANSPORT (object);

  hypha_program_manifest_unref (self->manifest);
  g_hash_table_unref (self->listeners);
  g_clear_pointer (&self->details, g_variant_unref);
  g_free (self->options);
  g_free (self->trouble);
  g_free (self->told);
  G_OBJECT_CLASS (hypha_program_transport_parent_class)->finalize (object);
}

static void
hypha_program_transport_class_init (HyphaProgramTransportClass *klass)
{
  HyphaBaseTransportClass *base_class = HYPHA_BASE_TRANSPORT_CLASS (klass);

  G_OBJECT_CLASS (klass)->dispose = hypha_program_transport_dispose;
  G_OBJECT_CLASS (klass)->finalize = hypha_program_transport_finalize;
  base_class->connect = hypha_program_transport_connect;
  base_class->listen = hypha_program_transport_listen;
  signals[CHANGED] = g_signal_new ("changed", HYPHA_TYPE_PROGRAM_TRANSPORT, G_SIGNAL_RUN_LAST, 0,
                                   NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
hypha_program_transport_init (HyphaProgramTransport *self)
{
  self->options = g_strdup ("{}");
  self->listeners = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
}

static void
hypha_program_transport_iface_init (HyphaTransportInterface *iface)
{
  parent_iface = g_type_interface_peek_parent (iface);
  iface->get_schemes = hypha_program_transport_get_schemes;
  iface->parse = hypha_program_transport_parse;
  iface->get_link_cost = hypha_program_transport_get_link_cost;
  iface->configure = hypha_program_transport_configure;
  iface->probe = hypha_program_transport_probe;
  iface->stop = hypha_program_transport_stop;
}

/* hypha_program_transport_new:
 * Returns: (transfer full): the transport; its program does not run before somebody asks */
HyphaTransport *
hypha_program_transport_new (HyphaProgramManifest *manifest)
{
  HyphaProgramTransport *self = g_object_new (HYPHA_TYPE_PROGRAM_TRANSPORT, NULL);

  self->manifest = hypha_program_manifest_ref (manifest);
  return HYPHA_TRANSPORT (self);
}

/* hypha_program_transport_rest:
 * Nobody is to use it for now: its program ends. */
void
hypha_program_transport_rest (HyphaProgramTransport *self)
{
  g_autoptr (GError) error =
      g_error_new (HYPHA_ERROR, HYPHA_ERROR_NO_TRANSPORT,
                   _ ("the transport '%s' is not to be used any more"), get_name (self));

  g_clear_handle_id (&self->timer, g_source_remove);
  g_clear_pointer (&self->trouble, g_free);
  g_clear_pointer (&self->told, g_free);
  self->back_off_ms = 0;
  end_run (self, error);
}

int
hypha_program_transport_get_pid (HyphaProgramTransport *self)
{
  return self->run != NULL ? hypha_program_run_get_pid (self->run) : 0;
}

/* hypha_program_transport_is_answering:
 * Returns: whether its program runs and has answered whether it works */
gboolean
hypha_program_transport_is_answering (HyphaProgramTransport *self)
{
  return self->answering;
}
