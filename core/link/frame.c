/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/frame.h"

#include <glib/gi18n-lib.h>
#include "link/wire.h"

#define RESUME_HEAD 8
#define RESUME_ENTRY 32
#define RESUME_MAX (RESUME_HEAD + HYPHA_RESUME_MAX_ENTRIES * RESUME_ENTRY)
#define EPOCH_ENTRY 24
#define EPOCH_TAKEN 16
#define EPOCH_MAX (HYPHA_EPOCH_MAX_ENTRIES * EPOCH_ENTRY)
#define NO_STREAM G_MAXUINT32 /* RESUME counts ids from one: this one could not be told */

/* A body is a code, a value and a payload, in this order; each type has some of them. */
typedef struct {
  const char *name;
  guint8 flags;       /* those it may carry */
  gboolean of_stream; /* otherwise its stream is zero */
  gboolean has_code, has_value;
  guint32 payload_min, payload_max;
} Layout;

/* clang-format off */
static const Layout layouts[] = {
  [HYPHA_FRAME_OPEN]   = { "OPEN", HYPHA_FRAME_DIRECT, .of_stream = TRUE, .payload_min = 1, .payload_max = HYPHA_SERVICE_MAX },
  [HYPHA_FRAME_DATA]   = { "DATA", HYPHA_FRAME_FIN, .of_stream = TRUE, .has_value = TRUE,
                           .payload_max = HYPHA_FRAME_DATA_MAX },
  [HYPHA_FRAME_ACK]    = { "ACK", HYPHA_FRAME_FIN | HYPHA_FRAME_RESET_TAKEN, .of_stream = TRUE,
                           .has_value = TRUE },
  [HYPHA_FRAME_WINDOW] = { "WINDOW", .of_stream = TRUE, .has_value = TRUE },
  [HYPHA_FRAME_RESET]  = { "RESET", .of_stream = TRUE, .has_code = TRUE, .has_value = TRUE },
  [HYPHA_FRAME_STOP]   = { "STOP", .of_stream = TRUE, .has_code = TRUE },
  [HYPHA_FRAME_PING]   = { "PING", .has_value = TRUE },
  [HYPHA_FRAME_PONG]   = { "PONG", .has_value = TRUE },
  [HYPHA_FRAME_EPOCH]  = { "EPOCH", HYPHA_FRAME_TAKEN, .has_value = TRUE, .payload_max = EPOCH_MAX },
  [HYPHA_FRAME_RESUME] = { "RESUME", HYPHA_FRAME_ASK, .payload_max = RESUME_MAX },
  [HYPHA_FRAME_GOAWAY] = { "GOAWAY", .has_code = TRUE },
  [HYPHA_FRAME_CLOSE]  = { "CLOSE", .has_code = TRUE },
};
/* clang-format on */

G_GNUC_PRINTF (2, 3)
static gboolean
refuse (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error != NULL)
    *error = g_error_new_valist (HYPHA_ERROR, HYPHA_ERROR_PROTOCOL, format, args);
  va_end (args);
  return FALSE;
}

static gsize
fixed_size (const Layout *layout)
{
  return (layout->has_code ? 4 : 0) + (layout->has_value ? 8 : 0);
}

/* Of a ticket, before the rest of the payload. */
static gsize
ticket_size (guint flags)
{
  return flags & HYPHA_FRAME_DIRECT ? HYPHA_TICKET_BYTES : 0;
}

static gboolean
check_resume_length (guint flags, gsize length, GError **error)
{
  if (flags & HYPHA_FRAME_ASK)
    return length == 0 || refuse (error, _ ("The peer sent a RESUME that asks and has a body"));
  if (length < RESUME_HEAD || (length - RESUME_HEAD) % RESUME_ENTRY != 0)
    return refuse (error,
                   _ ("The peer sent a RESUME of %zu bytes, which is no "
                      "whole number of entries"),
                   length);
  return TRUE;
}

static gboolean
check_epoch_length (guint flags, gsize length, GError **error)
{
  if (flags & HYPHA_FRAME_TAKEN ? length == EPOCH_TAKEN : length % EPOCH_ENTRY == 0)
    return TRUE;
  return refuse (error, _ ("The peer sent an EPOCH with %zu bytes behind its number"), length);
}

/* Everything that the first twelve bytes can be wrong in, so that no memory is spent on a body that
 * is not taken. */
static gboolean
check_header (guint type, guint flags, guint reserved, guint32 stream, gsize length, GError **error)
{
  const Layout *layout;
  gsize fixed;

  if (type == 0 || type >= G_N_ELEMENTS (layouts))
    return refuse (error, _ ("The peer sent a frame of the unknown type %u"), type);
  layout = &layouts[type];
  fixed = fixed_size (layout) + ticket_size (flags);
  if (flags & ~(guint) layout->flags)
    return refuse (error, _ ("The peer sent a frame %s with the unknown flags 0x%02x"),
                   layout->name, flags & ~(guint) layout->flags);
  if (reserved != 0)
    return refuse (error,
                   _ ("The peer sent a frame %s whose reserved bits are 0x%04x instead of 0"),
                   layout->name, reserved);
  if (!layout->of_stream && stream != 0)
    return refuse (error,
                   _ ("The peer sent a frame %s for stream %u, but it is for the whole link"),
                   layout->name, stream);
  if (layout->of_stream && stream == NO_STREAM)
    return refuse (error, _ ("The peer sent a frame %s for stream %u, which cannot be"),
                   layout->name, stream);
  if (length < fixed + layout->payload_min || length > fixed + layout->payload_max)
    return refuse (error,
                   _ ("The peer sent a frame %s of %zu bytes; it has %zu to %"
                      "zu"),
                   layout->name, length, fixed + layout->payload_min, fixed + layout->payload_max);

  switch (type) {
  case HYPHA_FRAME_DATA:
    if (length == fixed && !(flags & HYPHA_FRAME_FIN))
      return refuse (error, _ ("The peer sent a frame DATA with neither bytes nor FIN"));
    return TRUE;
  case HYPHA_FRAME_ACK:
    if (flags == (HYPHA_FRAME_FIN | HYPHA_FRAME_RESET_TAKEN))
      return refuse (error, _ ("The peer sent a frame ACK of both FIN and RESET"));
    return TRUE;
  case HYPHA_FRAME_RESUME:
    return check_resume_length (flags, length, error);
  case HYPHA_FRAME_EPOCH:
    return check_epoch_length (flags, length - fixed, error);
  default:
    return TRUE;
  }
}

static gboolean
check_body (const HyphaFrame *frame, GError **error)
{
  const char *wrong = NULL;

  if (frame->type == HYPHA_FRAME_OPEN) {
    gsize ticket = ticket_size (frame->flags);

    wrong = hypha_wire_judge_name (frame->data + ticket, frame->length - ticket);
  }
  if (wrong != NULL)
    return refuse (error, _ ("The peer opened a stream to a service whose name %s"), wrong);
  if (frame->type == HYPHA_FRAME_DATA && frame->value > G_MAXUINT64 - frame->length)
    return refuse (error,
                   _ ("The peer sent a frame DATA that goes beyond the last offset there is"));
  return TRUE;
}

/**
 * hypha_frame_parse:
 * @data: bytes as they came
 * @length: how many
 * @frame: (out caller-allocates): where to put what was read; its payload points into @data
 * @error: return location for an error
 *
 * Reads the frame at the beginning of @data. The header is judged as soon as its twelve bytes are
 * there, the body when it is whole. What codes and reasons mean is not judged: a peer may know more
 * of them.
 *
 * Returns: the size of the whole frame; 0 if more bytes are needed; -1 with %HYPHA_ERROR_PROTOCOL
 * if this is no frame, after which nothing that follows can be read
 */
gssize
hypha_frame_parse (const guint8 *data, gsize length, HyphaFrame *frame, GError **error)
{
  const Layout *layout;
  const guint8 *p;
  guint32 size;

  if (length < HYPHA_FRAME_HEADER)
    return 0;
  size = hypha_wire_get_u32 (data + 8);
  if (!check_header (data[0], data[1], (guint) data[2] << 8 | data[3],
                     hypha_wire_get_u32 (data + 4), size, error))
    return -1;
  if (length - HYPHA_FRAME_HEADER < size)
    return 0;

  layout = &layouts[data[0]];
  p = data + HYPHA_FRAME_HEADER;
  *frame =
      (HyphaFrame){ .type = data[0], .flags = data[1], .stream = hypha_wire_get_u32 (data + 4) };
  if (layout->has_code) {
    frame->code = hypha_wire_get_u32 (p);
    p += 4;
  }
  if (layout->has_value) {
    frame->value = hypha_wire_get_u64 (p);
    p += 8;
  }
  frame->data = p;
  frame->length = size - fixed_size (layout);
  if (!check_body (frame, error))
    return -1;
  return HYPHA_FRAME_HEADER + (gssize) size;
}

/**
 * hypha_frame_write:
 * @frame: what to send; it must be a frame that hypha_frame_parse() takes
 * @chunk: (nullable): where the payload of @frame lies, of which @out takes a reference; %NULL
 * copies it
 * @out: (out caller-allocates): the bytes: first its head, then its data
 *
 * Builds the bytes of a frame. Clear @out with hypha_frame_out_clear() afterwards. If there is no
 * memory for a copy, @out is lost: whatever it is appended to ends with an error.
 */
void
hypha_frame_write (const HyphaFrame *frame, HyphaChunk *chunk, HyphaFrameOut *out)
{
  const Layout *layout = &layouts[frame->type];
  guint8 *p = out->head;

  g_assert (check_header (frame->type, frame->flags, 0, frame->stream,
                          fixed_size (layout) + frame->length, NULL));

  *p++ = frame->type;
  *p++ = frame->flags;
  *p++ = 0;
  *p++ = 0;
  p = hypha_wire_put_u32 (p, frame->stream);
  p = hypha_wire_put_u32 (p, (guint32) (fixed_size (layout) + frame->length));
  if (layout->has_code)
    p = hypha_wire_put_u32 (p, frame->code);
  if (layout->has_value)
    p = hypha_wire_put_u64 (p, frame->value);
  out->head_length = (guint8) (p - out->head);

  out->chunk = NULL;
  out->data = NULL;
  out->length = frame->length;
  if (frame->length == 0)
    return;
  if (chunk != NULL) {
    out->chunk = hypha_chunk_ref (chunk);
    out->data = frame->data;
    return;
  }
  out->chunk = hypha_chunk_new ((guint32) frame->length);
  if (out->chunk == NULL)
    return;
  memcpy (out->chunk->data, frame->data, frame->length);
  out->chunk->used = (guint32) frame->length;
  out->data = out->chunk->data;
}

/**
 * hypha_frame_out_clear:
 * @out: a frame to send
 *
 * Gives back what @out holds. It may be cleared twice.
 */
void
hypha_frame_out_clear (HyphaFrameOut *out)
{
  g_clear_pointer (&out->chunk, hypha_chunk_unref);
  out->data = NULL;
  out->length = 0;
  out->head_length = 0;
}

/**
 * hypha_epoch_n_entries:
 * @frame: an EPOCH without %HYPHA_FRAME_TAKEN
 *
 * Returns: how many EPOCHs before it are told with it
 */
guint
hypha_epoch_n_entries (const HyphaFrame *frame)
{
  return (guint) (frame->length / EPOCH_ENTRY);
}

/**
 * hypha_epoch_get:
 * @frame: an EPOCH without %HYPHA_FRAME_TAKEN
 * @index: which entry, below hypha_epoch_n_entries()
 * @entry: (out caller-allocates): where to put it
 *
 * Unpacks one entry.
 */
void
hypha_epoch_get (const HyphaFrame *frame, guint index, HyphaEpochEntry *entry)
{
  const guint8 *p = frame->data + (gsize) index * EPOCH_ENTRY;

  entry->number = hypha_wire_get_u64 (p);
  entry->link = hypha_wire_get_u64 (p + 8);
  entry->frames = hypha_wire_get_u64 (p + 16);
}

/**
 * hypha_epoch_write:
 * @number: the number of this one
 * @entries: (array length=n): those before
 * @n: how many, at most %HYPHA_EPOCH_MAX_ENTRIES
 * @out: (out caller-allocates): the frame
 *
 * Builds an EPOCH. Clear @out with hypha_frame_out_clear() afterwards.
 */
void
hypha_epoch_write (guint64 number, const HyphaEpochEntry *entries, guint n, HyphaFrameOut *out)
{
  guint8 body[EPOCH_MAX], *p = body;

  g_assert (n <= HYPHA_EPOCH_MAX_ENTRIES);
  for (guint i = 0; i < n; i++) {
    p = hypha_wire_put_u64 (p, entries[i].number);
    p = hypha_wire_put_u64 (p, entries[i].link);
    p = hypha_wire_put_u64 (p, entries[i].frames);
  }
  hypha_frame_write (
      &(HyphaFrame){
          .type = HYPHA_FRAME_EPOCH, .value = number, .data = body, .length = (gsize) (p - body) },
      NULL, out);
}

/**
 * hypha_epoch_write_taken:
 * @taken: the peer's EPOCH that counts, the fingerprint of its link, and how many frames were taken
 * since
 * @out: (out caller-allocates): the frame
 *
 * Builds an EPOCH with %HYPHA_FRAME_TAKEN. Clear @out with hypha_frame_out_clear() afterwards.
 */
void
hypha_epoch_write_taken (const HyphaEpochEntry *taken, HyphaFrameOut *out)
{
  guint8 body[EPOCH_TAKEN];

  hypha_wire_put_u64 (hypha_wire_put_u64 (body, taken->link), taken->frames);
  hypha_frame_write (&(HyphaFrame){ .type = HYPHA_FRAME_EPOCH,
                                    .flags = HYPHA_FRAME_TAKEN,
                                    .value = taken->number,
                                    .data = body,
                                    .length = sizeof body },
                     NULL, out);
}

/**
 * hypha_epoch_get_taken:
 * @frame: an EPOCH with %HYPHA_FRAME_TAKEN
 * @taken: (out caller-allocates): where to put it
 *
 * Unpacks which EPOCH of ours the peer goes by.
 */
void
hypha_epoch_get_taken (const HyphaFrame *frame, HyphaEpochEntry *taken)
{
  taken->number = frame->value;
  taken->link = hypha_wire_get_u64 (frame->data);
  taken->frames = hypha_wire_get_u64 (frame->data + 8);
}

static gboolean
check_resume_entry (const HyphaResumeEntry *entry, const HyphaResume *resume, GError **error)
{
  const guint ends = HYPHA_RESUME_FIN | HYPHA_RESUME_RESET;
  const char *wrong = NULL;

  if ((gint64) entry->stream > MAX (resume->opened, resume->seen))
    wrong = _ ("is above the highest id");
  else if (entry->flags & ~(guint) (HYPHA_RESUME_ACCEPTED | ends))
    wrong = _ ("has unknown flags");
  else if ((entry->flags & ends) == ends)
    wrong = _ ("took both FIN and RESET");
  else if (!(entry->flags & ends) && entry->final_size != 0)
    wrong = _ ("has a final size, but no end");
  else if ((entry->flags & HYPHA_RESUME_FIN) && entry->next != entry->final_size)
    wrong = _ ("took FIN, but not all that was before it");
  else if ((entry->flags & HYPHA_RESUME_RESET) && entry->next > entry->final_size)
    wrong = _ ("took more than its final size");
  return wrong == NULL ||
         refuse (error, _ ("The peer sent a RESUME whose stream %u %s"), entry->stream, wrong);
}

/**
 * hypha_resume_parse:
 * @frame: a RESUME with a body
 * @resume: (out caller-allocates): where to put it; its entries point to where those of @frame do
 * @error: return location for an error
 *
 * Reads the body of a RESUME and checks each entry by itself, their order, and that none is above
 * the highest ids. What the session knows better is the session's to check.
 *
 * Returns: %FALSE with %HYPHA_ERROR_PROTOCOL
 */
gboolean
hypha_resume_parse (const HyphaFrame *frame, HyphaResume *resume, GError **error)
{
  gint64 last = -1;

  if (frame->flags & HYPHA_FRAME_ASK)
    return refuse (error, _ ("The peer asked for a RESUME where it had to send one"));
  if (!check_resume_length (frame->flags, frame->length, error))
    return FALSE;

  resume->opened = (gint64) hypha_wire_get_u32 (frame->data) - 1;
  resume->seen = (gint64) hypha_wire_get_u32 (frame->data + 4) - 1;
  resume->entries = frame->data + RESUME_HEAD;
  resume->n_entries = (guint) ((frame->length - RESUME_HEAD) / RESUME_ENTRY);
  for (guint i = 0; i < resume->n_entries; i++) {
    const guint8 *reserved = resume->entries + i * RESUME_ENTRY + 5;
    HyphaResumeEntry entry;

    hypha_resume_get (resume, i, &entry);
    if ((gint64) entry.stream <= last)
      return refuse (error, _ ("The peer sent a RESUME whose stream %u is out of order"),
                     entry.stream);
    if (reserved[0] != 0 || reserved[1] != 0 || reserved[2] != 0)
      return refuse (error, _ ("The peer sent a RESUME whose stream %u has reserved bits set"),
                     entry.stream);
    if (!check_resume_entry (&entry, resume, error))
      return FALSE;
    last = entry.stream;
  }
  return TRUE;
}

/**
 * hypha_resume_get:
 * @resume: a RESUME that hypha_resume_parse() took
 * @index: which entry, below its n_entries
 * @entry: (out caller-allocates): where to put it
 *
 * Unpacks one entry.
 */
void
hypha_resume_get (const HyphaResume *resume, guint index, HyphaResumeEntry *entry)
{
  const guint8 *p = resume->entries + (gsize) index * RESUME_ENTRY;

  g_assert (index < resume->n_entries);
  entry->stream = hypha_wire_get_u32 (p);
  entry->flags = p[4];
  entry->next = hypha_wire_get_u64 (p + 8);
  entry->limit = hypha_wire_get_u64 (p + 16);
  entry->final_size = hypha_wire_get_u64 (p + 24);
}

/**
 * hypha_resume_write:
 * @opened: the highest stream id opened by this side, or -1
 * @seen: the highest stream id opened by the peer that was seen, or -1
 * @entries: (array length=n): what is known of each stream, in rising order
 * @n: at most %HYPHA_RESUME_MAX_ENTRIES
 * @out: (out caller-allocates): the frame
 *
 * Builds a RESUME. Clear @out with hypha_frame_out_clear() afterwards. If there is no memory for
 * it, @out is lost, as with hypha_frame_write().
 */
void
hypha_resume_write (gint64 opened, gint64 seen, const HyphaResumeEntry *entries, guint n,
                    HyphaFrameOut *out)
{
  g_autoptr (HyphaChunk) body = NULL;
  HyphaFrame frame = { .type = HYPHA_FRAME_RESUME };
  guint8 *p;

  g_assert (n <= HYPHA_RESUME_MAX_ENTRIES);
  g_assert (opened >= -1 && opened < NO_STREAM && seen >= -1 && seen < NO_STREAM);
  body = hypha_chunk_new (RESUME_HEAD + n * RESUME_ENTRY);
  if (body == NULL) {
    *out = (HyphaFrameOut){ .length = RESUME_HEAD + n * RESUME_ENTRY };
    return;
  }
  p = hypha_wire_put_u32 (body->data, (guint32) (opened + 1));
  p = hypha_wire_put_u32 (p, (guint32) (seen + 1));
  for (guint i = 0; i < n; i++) {
    const HyphaResumeEntry *entry = &entries[i];
    gboolean ended = (entry->flags & (HYPHA_RESUME_FIN | HYPHA_RESUME_RESET)) != 0;

    g_assert (i == 0 || entry->stream > entries[i - 1].stream);
    p = hypha_wire_put_u32 (p, entry->stream);
    p = hypha_wire_put_u32 (p, (guint32) entry->flags << 24);
    p = hypha_wire_put_u64 (p, entry->next);
    p = hypha_wire_put_u64 (p, entry->limit);
    p = hypha_wire_put_u64 (p, ended ? entry->final_size : 0);
  }
  body->used = (guint32) (p - body->data);

  frame.data = body->data;
  frame.length = body->used;
  hypha_frame_write (&frame, body, out);
}
