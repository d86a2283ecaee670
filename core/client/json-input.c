/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/json-input.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#include "hypha-error.h"

#define HEAD_BYTES 4
#define MIN_ROOM 4096
#define MAX_ROOM 65536

static gsize
get_length (HyphaJsonInput *self)
{
  const guint8 *p = self->bytes->data;

  return (gsize) p[0] << 24 | (gsize) p[1] << 16 | (gsize) p[2] << 8 | p[3];
}

static HyphaJsonInputVerdict
look_by_length (HyphaJsonInput *self, guint max_size, const char **text, gsize *length,
                GError **error)
{
  if (hypha_json_input_get_size (self) < HEAD_BYTES)
    return HYPHA_JSON_INPUT_MORE;
  *length = get_length (self);
  if (*length > max_size) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                 _ ("the other end announces a message of %u bytes, and at most %u are taken "
                    "(max-size): does it send a length before each message?"),
                 (guint) *length, max_size);
    return HYPHA_JSON_INPUT_WRONG;
  }
  if (self->bytes->len - HEAD_BYTES < *length)
    return HYPHA_JSON_INPUT_MORE;
  *text = (const char *) self->bytes->data + HEAD_BYTES;
  self->used = HEAD_BYTES + *length;
  return HYPHA_JSON_INPUT_MESSAGE;
}

static HyphaJsonInputVerdict
look_by_line (HyphaJsonInput *self, guint max_size, const char **text, gsize *length,
              GError **error)
{
  gsize size = hypha_json_input_get_size (self);
  const guint8 *end =
      size > 0 ? memchr (self->bytes->data + self->looked, '\n', size - self->looked) : NULL;

  self->looked = size;
  *length = end != NULL ? (gsize) (end - self->bytes->data) : size;
  if (*length > max_size) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL,
                 end != NULL
                     ? _ ("the other end sends a line of %u bytes, and at most %u are taken "
                          "(max-size): does it send a message on each line?")
                     : _ ("the other end has sent %u bytes without an end of line, and at most %u "
                          "are taken (max-size): does it send a message on each line?"),
                 (guint) *length, max_size);
    return HYPHA_JSON_INPUT_WRONG;
  }
  if (end == NULL)
    return HYPHA_JSON_INPUT_MORE;
  *text = (const char *) self->bytes->data;
  self->used = *length + 1;
  return HYPHA_JSON_INPUT_MESSAGE;
}

/**
 * hypha_json_input_look:
 * @self: what has come
 * @max_size: how many bytes a message may have
 * @text: (out) (transfer none): the message, until hypha_json_input_done()
 * @length: (out): its bytes
 * @error: return location for an error
 *
 * Looks for a whole message.
 *
 * Returns: what there is
 */
HyphaJsonInputVerdict
hypha_json_input_look (HyphaJsonInput *self, guint max_size, const char **text, gsize *length,
                       GError **error)
{
  return self->framing == HYPHA_JSON_FRAMING_LENGTH
             ? look_by_length (self, max_size, text, length, error)
             : look_by_line (self, max_size, text, length, error);
}

/**
 * hypha_json_input_done:
 * @self: what has come
 *
 * Uses up the message that was found. What a large one took is given back.
 */
void
hypha_json_input_done (HyphaJsonInput *self)
{
  gsize used = self->used;

  self->used = self->looked = 0;
  if (used == self->bytes->len) {
    hypha_json_input_clear (self);
  } else if (used <= MAX_ROOM) {
    g_byte_array_remove_range (self->bytes, 0, (guint) used);
  } else {
    GByteArray *rest = g_byte_array_new ();

    g_byte_array_append (rest, self->bytes->data + used, (guint) (self->bytes->len - used));
    g_byte_array_unref (self->bytes);
    self->bytes = rest;
  }
}

/**
 * hypha_json_input_room:
 * @self: what has come
 * @room: (out): how many bytes it is
 *
 * Gives room for as much as has come already, within bounds: what somebody announces costs nothing.
 *
 * Returns: (transfer none): the room, until hypha_json_input_came()
 */
guint8 *
hypha_json_input_room (HyphaJsonInput *self, gsize *room)
{
  gsize size = hypha_json_input_get_size (self);

  *room = CLAMP (size, MIN_ROOM, MAX_ROOM);
  if (self->framing == HYPHA_JSON_FRAMING_LENGTH && size < HEAD_BYTES)
    *room = HEAD_BYTES - size;
  else if (self->framing == HYPHA_JSON_FRAMING_LENGTH)
    *room = MIN (*room, HEAD_BYTES + get_length (self) - size);
  if (self->bytes == NULL)
    self->bytes = g_byte_array_new ();
  g_byte_array_set_size (self->bytes, (guint) (size + *room));
  return self->bytes->data + size;
}

/**
 * hypha_json_input_came:
 * @self: what has come
 * @room: as hypha_json_input_room() said
 * @count: how many bytes of it were filled
 *
 * Takes what was read.
 */
void
hypha_json_input_came (HyphaJsonInput *self, gsize room, gsize count)
{
  g_byte_array_set_size (self->bytes, (guint) (self->bytes->len - (room - count)));
}

/**
 * hypha_json_input_get_size:
 * @self: what has come
 *
 * Gives how much has come of what is no whole message yet.
 *
 * Returns: the bytes
 */
gsize
hypha_json_input_get_size (HyphaJsonInput *self)
{
  return self->bytes != NULL ? self->bytes->len : 0;
}

/**
 * hypha_json_input_clear:
 * @self: what has come
 *
 * Drops it all.
 */
void
hypha_json_input_clear (HyphaJsonInput *self)
{
  self->used = self->looked = 0;
  g_clear_pointer (&self->bytes, g_byte_array_unref);
}
