/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "program/run.h"

#include <glib/gi18n-lib.h>
#include <inttypes.h>
#include <sys/random.h>
#include <unistd.h>
#include <hypha-api.h>
#include "hypha-source.h"
#include "hypha-text.h"
#include "hypha-inspect.h"
#include "program/fields.h"
#include "program/meeting.h"
#include "program/patience.h"
#include "program/talk.h"
#include "program/process.h"

#define MAX_CALLS 1024
#define MAX_STRAYS 1000 /* of a second */
#define MAX_TOLD 512    /* characters of a message of its own */
#define TICKET_BYTES 16

struct _HyphaProgramRun {
  HyphaProgramManifest *manifest;
  const HyphaProgramRunEvents *events;
  gpointer user_data;
  guint refs;
  gboolean over;

  HyphaProgramProcess *process; /* NULL: it has ended */
  HyphaProgramTalk *talk;
  HyphaProgramMeeting *meeting;
  guint64 last_id;
  GHashTable *calls;     /* id -> Call */
  GHashTable *listeners; /* id -> its ticket, owned */
  GHashTable *tickets;   /* ticket -> id, both owned by a call or by listeners */
  guint strays;
  gint64 strays_since;
};

/* One question, until its answer. */
typedef struct {
  HyphaProgramRun *run;
  guint64 id;
  HyphaProgramCallKind kind;
  char *ticket;              /* nullable */
  HyphaProgramAnswer answer; /* NULL: whoever asked has gone */
  gpointer user_data;
  guint timeout_ms;
  GSource *timer;
  guint64 said; /* what had come when it was asked */
} Call;

/* What a program may say. */
typedef struct {
  gint64 id, listener;
  gboolean descriptor;
  char *event, *bound, *local, *remote, *host, *message, *ticket;
  JsonObject *error, *details;
} Message;

#define MEMBER(NAME, KIND)                                            \
  {                                                                   \
#NAME, HYPHA_PROGRAM_FIELD_##KIND, offsetof(Message, NAME), FALSE \
  }

static const HyphaProgramField fields[] = {
  MEMBER (id, INTEGER),
  MEMBER (listener, INTEGER),
  MEMBER (descriptor, BOOLEAN),
  MEMBER (event, STRING),
  MEMBER (bound, STRING),
  MEMBER (local, STRING),
  MEMBER (remote, STRING),
  MEMBER (host, STRING),
  MEMBER (message, STRING),
  MEMBER (ticket, STRING),
  MEMBER (error, OBJECT),
  MEMBER (details, OBJECT),
  { NULL },
};

static void
message_clear (Message *message)
{
  hypha_program_fields_clear (fields, message);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Message, message_clear)

static void
call_free (gpointer data)
{
  Call *self = data;

  hypha_clear_source (&self->timer);
  if (self->ticket != NULL)
    g_hash_table_remove (self->run->tickets, self->ticket);
  g_free (self->ticket);
  g_free (self);
}

static void
run_unref (HyphaProgramRun *self)
{
  if (--self->refs > 0)
    return;
  g_hash_table_unref (self->calls);
  g_hash_table_unref (self->tickets);
  g_hash_table_unref (self->listeners);
  hypha_program_manifest_unref (self->manifest);
  g_free (self);
}

static HyphaProgramWords
words_of (const Message *message)
{
  return (HyphaProgramWords){ .bound = message->bound,
                              .local = message->local,
                              .remote = message->remote,
                              .host = message->host,
                              .details = message->details };
}

/* ---- the end ---- */

static void
end (HyphaProgramRun *self, const char *why)
{
  if (self->over)
    return;
  self->over = TRUE;
  if (self->process != NULL)
    hypha_program_process_end (g_steal_pointer (&self->process), TRUE);
  self->events->ended (why, self->user_data);
}

static void
on_broken (const char *why, gpointer user_data)
{
  end (user_data, why);
}

/* What it said last still counts. */
static void
on_ended (const char *how, gpointer user_data)
{
  HyphaProgramRun *self = user_data;

  self->process = NULL;
  self->refs++;
  hypha_program_talk_drain (self->talk);
  end (self, how);
  run_unref (self);
}

/* ---- answers ---- */

/* Words of the program, safe to print and not too long. */
static char *
tame (const char *text)
{
  g_autofree char *escaped = hypha_text_escape (text != NULL ? text : _ ("it does not say why"));

  return g_utf8_strlen (escaped, -1) <= MAX_TOLD ? g_steal_pointer (&escaped)
                                                 : g_utf8_substring (escaped, 0, MAX_TOLD);
}

/* Those that a transport may have; the others are about nodes. */
static HyphaError
code_of (const char *nick)
{
  static const struct {
    const char *nick;
    HyphaError code;
  } codes[] = {
    { "address-in-use", HYPHA_ERROR_ADDRESS_IN_USE },
    { "busy", HYPHA_ERROR_BUSY },
    { "connect", HYPHA_ERROR_CONNECT },
    { "invalid-endpoint", HYPHA_ERROR_INVALID_ENDPOINT },
    { "invalid-setting", HYPHA_ERROR_INVALID_SETTING },
    { "not-supported", HYPHA_ERROR_NOT_SUPPORTED },
    { "permission-denied", HYPHA_ERROR_PERMISSION_DENIED },
    { "timed-out", HYPHA_ERROR_TIMED_OUT },
    { "unavailable", HYPHA_ERROR_UNAVAILABLE },
  };

  for (guint i = 0; nick != NULL && i < G_N_ELEMENTS (codes); i++)
    if (g_str_equal (codes[i].nick, nick))
      return codes[i].code;
  return HYPHA_ERROR_FAILED;
}

static GError *
read_error (JsonObject *object)
{
  struct {
    char *code, *message;
  } words = { NULL, NULL };
  const HyphaProgramField table[] = { { "code", HYPHA_PROGRAM_FIELD_STRING, 0, TRUE },
                                      { "message", HYPHA_PROGRAM_FIELD_STRING, sizeof (char *),
                                        TRUE },
                                      { NULL } };
  g_autofree char *tamed = NULL;
  GError *error = NULL;

  if (!hypha_program_fields_read (object, table, FALSE, &words, &error))
    return error;
  tamed = tame (words.message);
  error = g_error_new_literal (HYPHA_ERROR, (int) code_of (words.code), tamed);
  hypha_program_fields_clear (table, &words);
  return error;
}

static void
send_about (HyphaProgramRun *self, const char *what, guint64 id)
{
  g_autoptr (GString) line = g_string_new (NULL);

  if (self->over)
    return;
  hypha_program_fields_add_string (line, "do", what);
  hypha_program_fields_add_integer (line, "id", (gint64) id);
  g_string_append_c (line, '}');
  hypha_program_talk_send (self->talk, line->str);
}

/* From now on it is the listener's: the call's ticket is good for as many as come. */
static void
keep_listener (HyphaProgramRun *self, Call *call)
{
  char *ticket = g_steal_pointer (&call->ticket);

  g_hash_table_insert (self->listeners, g_memdup2 (&call->id, sizeof call->id), ticket);
}

/* Takes FD, and ERROR, which is NULL where it went well. */
static void
answer (HyphaProgramRun *self, Call *call, const HyphaProgramWords *words, int fd, GError *error)
{
  g_autoptr (GError) owned = error;
  HyphaProgramAnswer told = call->answer;
  gpointer user_data = call->user_data;
  guint64 id = call->id;
  gboolean listens = error == NULL && call->kind == HYPHA_PROGRAM_CALL_LISTENER;

  if (error != NULL && fd >= 0) {
    close (fd);
    fd = -1;
  }
  if (listens && told != NULL)
    keep_listener (self, call);
  g_hash_table_remove (self->calls, &id);
  if (listens && told == NULL)
    send_about (self, "close", id);
  if (told != NULL)
    told (words, fd, owned, user_data);
  else if (fd >= 0)
    close (fd);
}

/* What nobody has asked for, or not any more. Some of it is bound to come. */
static void
count_stray (HyphaProgramRun *self)
{
  gint64 now = g_get_monotonic_time ();

  if (now - self->strays_since > G_TIME_SPAN_SECOND) {
    self->strays = 0;
    self->strays_since = now;
  }
  if (++self->strays > MAX_STRAYS)
    end (self, _ ("it sends more messages that nobody has asked for than are taken"));
}

static void
take_answer (HyphaProgramRun *self, const Message *message, int fd)
{
  guint64 id = (guint64) message->id;
  HyphaProgramWords words = words_of (message);
  Call *call = g_hash_table_lookup (self->calls, &id);

  if (call != NULL) {
    answer (self, call, &words, fd, message->error != NULL ? read_error (message->error) : NULL);
    return;
  }
  if (fd >= 0)
    close (fd);
  if (message->id < 1 || id > self->last_id) {
    end (self, _ ("it answered a question that it was not asked"));
    return;
  }
  /* A listener that nobody waits for any more would keep its address from those who ask again. */
  if (message->bound != NULL && !g_hash_table_contains (self->listeners, &id))
    send_about (self, "close", id);
  count_stray (self);
}

static void
take_accepted (HyphaProgramRun *self, guint64 listener, const Message *message, int fd)
{
  HyphaProgramWords words = words_of (message);

  if (fd >= 0 && g_hash_table_contains (self->listeners, &listener)) {
    self->events->accepted (listener, &words, fd, self->user_data);
    return;
  }
  if (fd < 0) {
    end (self, _ ("it accepted a channel without a descriptor"));
    return;
  }
  close (fd);
  count_stray (self);
}

static void
take_failed (HyphaProgramRun *self, const Message *message)
{
  guint64 listener = (guint64) message->listener;
  g_autofree char *why = tame (message->message);

  if (g_hash_table_contains (self->listeners, &listener))
    self->events->failed (listener, why, self->user_data);
  else
    count_stray (self);
}

static void
on_message (JsonObject *object, gpointer user_data)
{
  HyphaProgramRun *self = user_data;
  g_autoptr (GError) error = NULL;
  g_auto (Message) message = { 0 };
  int fd = -1;

  if (!hypha_program_fields_read (object, fields, FALSE, &message, &error)) {
    g_autofree char *why = g_strdup_printf (_ ("it said what is no message (%s)"), error->message);

    end (self, why);
    return;
  }
  if (message.descriptor) {
    fd = hypha_program_talk_take_fd (self->talk);
    if (fd < 0) {
      end (self, _ ("it spoke of a descriptor that did not come"));
      return;
    }
  }
  self->refs++;
  if (message.event == NULL) {
    take_answer (self, &message, fd);
  } else if (g_str_equal (message.event, "accepted")) {
    take_accepted (self, (guint64) message.listener, &message, fd);
  } else {
    if (fd >= 0)
      close (fd);
    if (g_str_equal (message.event, "failed"))
      take_failed (self, &message);
    else
      count_stray (self); /* of a later protocol, perhaps */
  }
  run_unref (self);
}

/* Somebody is at the meeting: which channel is this? */
static void
on_came (JsonObject *object, int fd, gpointer user_data)
{
  HyphaProgramRun *self = user_data;
  g_auto (Message) message = { 0 };
  const guint64 *found = NULL;
  guint64 id;
  Call *call;

  if (hypha_program_fields_read (object, fields, FALSE, &message, NULL) && message.ticket != NULL)
    found = g_hash_table_lookup (self->tickets, message.ticket);
  if (found == NULL || self->over) {
    close (fd);
    return;
  }
  id = *found;
  call = g_hash_table_lookup (self->calls, &id);
  self->refs++;
  if (call == NULL) {
    take_accepted (self, id, &message, fd);
  } else if (call->kind == HYPHA_PROGRAM_CALL_CHANNEL) {
    HyphaProgramWords words = words_of (&message);

    answer (self, call, &words, fd, NULL);
  } else {
    /* A listener that is not known to listen yet. */
    close (fd);
  }
  run_unref (self);
}

/* ---- questions ---- */

static gboolean
on_silence (gpointer user_data)
{
  Call *call = user_data;
  HyphaProgramRun *self = call->run;
  gboolean silent = hypha_program_talk_get_count (self->talk) == call->said;

  g_hash_table_remove (self->calls, &call->id);
  if (silent)
    end (self, _ ("it does not answer"));
  return G_SOURCE_REMOVE;
}

static void
set_timer (Call *call, guint milliseconds, GSourceFunc func)
{
  hypha_clear_source (&call->timer);
  call->timer = g_timeout_source_new (milliseconds);
  g_source_set_callback (call->timer, func, call, NULL);
  g_source_attach (call->timer, NULL);
}

/* It may have answered a moment ago: whoever asks next for the address of a listener is to find it
 * free. */
static void
send_cancel (HyphaProgramRun *self, const Call *call)
{
  send_about (self, "cancel", call->id);
  if (call->kind == HYPHA_PROGRAM_CALL_LISTENER)
    send_about (self, "close", call->id);
}

/* A program that still runs its course answers a little later; one that hangs says nothing. */
static gboolean
on_timeout (gpointer user_data)
{
  Call *call = user_data;
  HyphaProgramRun *self = call->run;
  HyphaProgramAnswer told = g_steal_pointer (&call->answer);
  gpointer told_data = call->user_data;
  g_autoptr (GError) error = g_error_new (HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT,
                                          _ ("there was no answer within %u ms"), call->timeout_ms);

  set_timer (call, hypha_program_patience_get () / 2, on_silence);
  if (told == NULL)
    return G_SOURCE_REMOVE;
  send_cancel (self, call);
  told (NULL, -1, error, told_data);
  return G_SOURCE_REMOVE;
}

/* Nobody can guess it who was not told. NULL: the kernel has nothing to make one of. */
static char *
make_ticket (void)
{
  guint8 bytes[TICKET_BYTES];
  GString *ticket;

  if (getentropy (bytes, sizeof bytes) != 0)
    return NULL;
  ticket = g_string_new (NULL);
  for (guint i = 0; i < sizeof bytes; i++)
    g_string_append_printf (ticket, "%02x", bytes[i]);
  return g_string_free (ticket, FALSE);
}

/* hypha_program_run_call:
 * @request: (transfer full): the request, without the last brace
 * @timeout_ms: after this it is answered with %HYPHA_ERROR_TIMED_OUT
 * @answer: called once, unless hypha_program_run_cancel() was; never before this returns
 *
 * Asks the program.
 *
 * Returns: the number of the question; 0: there are too many, and @answer is not called */
guint64
hypha_program_run_call (HyphaProgramRun *self, HyphaProgramCallKind kind, GString *request,
                        guint timeout_ms, HyphaProgramAnswer answer_func, gpointer user_data)
{
  g_autoptr (GString) line = request;
  Call *call;

  if (g_hash_table_size (self->calls) >= MAX_CALLS)
    return 0;
  call = g_new0 (Call, 1);
  call->run = self;
  call->id = ++self->last_id;
  call->kind = kind;
  call->answer = answer_func;
  call->user_data = user_data;
  call->timeout_ms = timeout_ms;
  call->said = hypha_program_talk_get_count (self->talk);
  hypha_program_fields_add_integer (line, "id", (gint64) call->id);
  if (kind != HYPHA_PROGRAM_CALL_PLAIN)
    call->ticket = make_ticket ();
  if (call->ticket != NULL) {
    hypha_program_fields_add_string (line, "ticket", call->ticket);
    g_hash_table_insert (self->tickets, g_strdup (call->ticket),
                         g_memdup2 (&call->id, sizeof call->id));
  }
  g_string_append_c (line, '}');
  g_hash_table_insert (self->calls, &call->id, call);
  set_timer (call, timeout_ms, on_timeout);
  hypha_program_talk_send (self->talk, line->str);
  return call->id;
}

/* hypha_program_run_cancel:
 * @id: of a question that may have been answered
 *
 * Nobody waits for the answer any more; what it brings is closed. */
void
hypha_program_run_cancel (HyphaProgramRun *self, guint64 id)
{
  Call *call = g_hash_table_lookup (self->calls, &id);

  if (call == NULL || call->answer == NULL)
    return;
  call->answer = NULL;
  send_cancel (self, call);
}

/* hypha_program_run_close:
 * @listener: the number of the question that made it */
void
hypha_program_run_close (HyphaProgramRun *self, guint64 listener)
{
  const char *ticket = g_hash_table_lookup (self->listeners, &listener);

  if (ticket != NULL)
    g_hash_table_remove (self->tickets, ticket);
  if (g_hash_table_remove (self->listeners, &listener))
    send_about (self, "close", listener);
}

const char *
hypha_program_run_get_meeting (HyphaProgramRun *self)
{
  return hypha_program_meeting_get_path (self->meeting);
}

int
hypha_program_run_get_pid (HyphaProgramRun *self)
{
  return self->process != NULL ? hypha_program_process_get_pid (self->process) : 0;
}

/* ---- life ---- */

static const HyphaProgramTalkEvents talk_events = { .message = on_message, .broken = on_broken };

/* hypha_program_run_new:
 * @events: as long-lived as the program that this is
 *
 * Starts the program of @manifest, if its file and the way there may be trusted.
 *
 * Returns: (transfer full): the run, or %NULL with %HYPHA_ERROR_PLUGIN or %HYPHA_ERROR_UNAVAILABLE
 */
HyphaProgramRun *
hypha_program_run_new (HyphaProgramManifest *manifest, const HyphaProgramRunEvents *events,
                       gpointer user_data, GError **error)
{
  g_autoptr (HyphaProgramMeeting) meeting = NULL;
  HyphaProgramRun *self;
  HyphaStamp stamp;
  int fd = -1;

  /* What was checked when it was found may have changed since. */
  if (!hypha_inspect_program (manifest->program, &stamp, error))
    return NULL;
  self = g_new0 (HyphaProgramRun, 1);
  meeting = hypha_program_meeting_new (on_came, self, error);
  if (meeting != NULL)
    self->process = hypha_program_process_start (manifest->name, manifest->program,
                                                 (const char *const *) manifest->command, on_ended,
                                                 self, &fd, error);
  if (self->process == NULL) {
    g_free (self);
    return NULL;
  }
  self->refs = 1;
  self->manifest = hypha_program_manifest_ref (manifest);
  self->events = events;
  self->user_data = user_data;
  self->meeting = g_steal_pointer (&meeting);
  self->talk = hypha_program_talk_new (fd, &talk_events, self);
  self->tickets = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->calls = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, call_free);
  self->listeners = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
  return self;
}

/* hypha_program_run_free:
 * @error: what all questions are answered with that are open
 *
 * Ends the program, if it has not ended; its channels that are not its own go on. No event comes
 * any more. */
void
hypha_program_run_free (HyphaProgramRun *self, const GError *error)
{
  g_autoptr (GPtrArray) calls = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer call;

  self->over = TRUE;
  g_clear_pointer (&self->talk, hypha_program_talk_free);
  g_clear_pointer (&self->meeting, hypha_program_meeting_free);
  if (self->process != NULL)
    hypha_program_process_end (g_steal_pointer (&self->process), FALSE);
  g_hash_table_iter_init (&iter, self->calls);
  while (g_hash_table_iter_next (&iter, NULL, &call)) {
    g_ptr_array_add (calls, call);
    g_hash_table_iter_steal (&iter);
  }
  for (guint i = 0; i < calls->len; i++) {
    Call *open = calls->pdata[i];

    hypha_clear_source (&open->timer);
    if (open->answer != NULL)
      open->answer (NULL, -1, error, open->user_data);
    call_free (open);
  }
  run_unref (self);
}
