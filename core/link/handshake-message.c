/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/handshake-message.h"

#include <glib/gi18n-lib.h>
#include "link/wire.h"

static const char magic[] = "HYPHA/1"; /* its first byte is not that of a TLS record */

#define MAGIC (sizeof magic - 1)
#define LIMITS_MAX 256 /* bytes of the list; an entry has 8: key 32, value 32 */

/* Bodies without names and lists, and what these may add. */
static const struct {
  guint16 fixed, more;
} sizes[] = {
  [HYPHA_MESSAGE_HELLO] = { 2 + 2 + 8 + 1 + 32 + 16 + 32 + 2, LIMITS_MAX },
  [HYPHA_MESSAGE_REPLY] = { 2 + 8 + 1 + 32 + 16 + 32 + 2 + 64, LIMITS_MAX },
  [HYPHA_MESSAGE_AUTH] = { 32 + 32 + 8 + 8 + 4 + 2 + 64, HYPHA_NAME_MAX },
  [HYPHA_MESSAGE_ACCEPT] = { 8 + 8 + 4 + 2 + 2 + 64, HYPHA_NAME_MAX + LIMITS_MAX },
  [HYPHA_MESSAGE_REJECT] = { 4 + 8, 0 },
};

G_STATIC_ASSERT (HYPHA_MESSAGE_HEAD + 2 + 8 + 1 + 32 + 16 + 32 + 2 + 64 + LIMITS_MAX <=
                 HYPHA_MESSAGE_MAX);
/* Two messages each way, and no more is ever held. */
G_STATIC_ASSERT (2 * HYPHA_MESSAGE_MAX <= HYPHA_HANDSHAKE_MAX);

gssize
hypha_message_judge (const guint8 *data, gsize length, guint expected, const char **why)
{
  guint type;
  gsize size;

  *why = _ ("something else than a handshake: is there a node of Hypha at all?");
  if (memcmp (data, magic, MIN (length, MAGIC)) != 0)
    return -1;
  if (length <= MAGIC)
    return 0;
  *why = _ ("a message of the handshake that does not belong there");
  type = data[MAGIC];
  if (type >= G_N_ELEMENTS (sizes) || !(expected & 1u << type))
    return -1;
  if (length < HYPHA_MESSAGE_HEAD)
    return 0;
  *why = _ ("a message of the handshake of a wrong length");
  size = hypha_wire_get_u16 (data + MAGIC + 1);
  if (size < sizes[type].fixed || size > (gsize) sizes[type].fixed + sizes[type].more)
    return -1;
  return (gssize) (HYPHA_MESSAGE_HEAD + size);
}

/* What is left to be read. Once something was missing, everything that follows is. */
typedef struct {
  const guint8 *p, *end;
  const char *wrong;
} Reader;

static const guint8 *
take (Reader *reader, gsize n)
{
  const guint8 *p = reader->p;

  if (reader->wrong == NULL && (gsize) (reader->end - p) < n)
    reader->wrong = _ ("a message of the handshake that ends too early");
  if (reader->wrong != NULL)
    return NULL;
  reader->p += n;
  return p;
}

static void
take_bytes (Reader *reader, guint8 *bytes, gsize n)
{
  const guint8 *p = take (reader, n);

  if (p != NULL)
    memcpy (bytes, p, n);
}

static guint16
take_u16 (Reader *reader)
{
  const guint8 *p = take (reader, 2);

  return p != NULL ? hypha_wire_get_u16 (p) : 0;
}

static guint32
take_u32 (Reader *reader)
{
  const guint8 *p = take (reader, 4);

  return p != NULL ? hypha_wire_get_u32 (p) : 0;
}

static guint64
take_u64 (Reader *reader)
{
  const guint8 *p = take (reader, 8);

  return p != NULL ? hypha_wire_get_u64 (p) : 0;
}

static guint8
take_class (Reader *reader)
{
  const guint8 *p = take (reader, 1);

  if (p != NULL && *p != HYPHA_LINK_PLAIN && *p != HYPHA_LINK_TLS)
    reader->wrong = _ ("a class of link that does not exist");
  return p != NULL ? *p : 0;
}

/* Version 1 knows no limit. The list is there so that later versions may tell theirs to one that
 * does not know them. */
static void
skip_limits (Reader *reader)
{
  gsize length = take_u16 (reader);
  const guint8 *p = take (reader, length);

  if (p == NULL)
    return;
  if (length > LIMITS_MAX || length % 8 != 0)
    reader->wrong = _ ("a list of limits of a wrong length");
  for (gsize i = 8; i + 8 <= length; i += 8)
    if (hypha_wire_get_u32 (p + i) <= hypha_wire_get_u32 (p + i - 8))
      reader->wrong = _ ("a list of limits out of order");
}

static void
take_numbers (Reader *reader, HyphaHandshakeNumbers *numbers)
{
  const guint8 *name;
  gsize length;

  numbers->session_number = take_u64 (reader);
  numbers->link_number = take_u64 (reader);
  numbers->static_cost = take_u32 (reader);
  length = take_u16 (reader);
  name = take (reader, length);
  if (name == NULL)
    return;
  if (length > HYPHA_NAME_MAX || hypha_wire_judge_name (name, length) != NULL)
    reader->wrong =
        _ ("a name that is too long, not UTF-8, or holds spaces, control characters or others that "
           "cannot be seen");
  else
    memcpy (numbers->name, name, length);
}

const char *
hypha_message_parse (const guint8 *data, gsize length, HyphaMessage *message)
{
  Reader reader = { data + HYPHA_MESSAGE_HEAD, data + length, NULL };

  *message = (HyphaMessage){ .type = data[MAGIC] };
  switch (message->type) {
  case HYPHA_MESSAGE_HELLO:
    message->version_min = take_u16 (&reader);
    message->version_max = take_u16 (&reader);
    message->features = take_u64 (&reader);
    message->link_class = take_class (&reader);
    take_bytes (&reader, message->commitment, sizeof message->commitment);
    take_bytes (&reader, message->instance.bytes, sizeof message->instance.bytes);
    take_bytes (&reader, message->id.bytes, sizeof message->id.bytes);
    skip_limits (&reader);
    break;
  case HYPHA_MESSAGE_REPLY:
    message->version_min = message->version_max = take_u16 (&reader);
    message->features = take_u64 (&reader);
    message->link_class = take_class (&reader);
    take_bytes (&reader, message->nonce, sizeof message->nonce);
    take_bytes (&reader, message->instance.bytes, sizeof message->instance.bytes);
    take_bytes (&reader, message->id.bytes, sizeof message->id.bytes);
    skip_limits (&reader);
    take (&reader, HYPHA_SIGNATURE_BYTES);
    break;
  case HYPHA_MESSAGE_AUTH:
    take_bytes (&reader, message->id.bytes, sizeof message->id.bytes);
    take_bytes (&reader, message->nonce, sizeof message->nonce);
    take_numbers (&reader, &message->numbers);
    take (&reader, HYPHA_SIGNATURE_BYTES);
    break;
  case HYPHA_MESSAGE_ACCEPT:
    take_numbers (&reader, &message->numbers);
    skip_limits (&reader);
    take (&reader, HYPHA_SIGNATURE_BYTES);
    break;
  case HYPHA_MESSAGE_REJECT:
    message->code = take_u32 (&reader);
    message->highest = take_u64 (&reader);
    break;
  }
  if (reader.wrong == NULL && reader.p != reader.end)
    reader.wrong = _ ("a message of the handshake with bytes too many");
  return reader.wrong;
}

static guint8 *
put_bytes (guint8 *p, const void *bytes, gsize n)
{
  return (guint8 *) memcpy (p, bytes, n) + n;
}

static guint8 *
put_numbers (guint8 *p, const HyphaHandshakeNumbers *numbers)
{
  gsize length = strnlen (numbers->name, HYPHA_NAME_MAX);

  p = hypha_wire_put_u64 (p, numbers->session_number);
  p = hypha_wire_put_u64 (p, numbers->link_number);
  p = hypha_wire_put_u32 (p, numbers->static_cost);
  p = hypha_wire_put_u16 (p, (guint16) length);
  return put_bytes (p, numbers->name, length);
}

gsize
hypha_message_write (const HyphaMessage *message, guint8 data[HYPHA_MESSAGE_MAX])
{
  guint8 *p = data + HYPHA_MESSAGE_HEAD;

  switch (message->type) {
  case HYPHA_MESSAGE_HELLO:
    p = hypha_wire_put_u16 (p, message->version_min);
    p = hypha_wire_put_u16 (p, message->version_max);
    p = hypha_wire_put_u64 (p, message->features);
    *p++ = message->link_class;
    p = put_bytes (p, message->commitment, sizeof message->commitment);
    p = put_bytes (p, message->instance.bytes, sizeof message->instance.bytes);
    p = put_bytes (p, message->id.bytes, sizeof message->id.bytes);
    p = hypha_wire_put_u16 (p, 0);
    break;
  case HYPHA_MESSAGE_REPLY:
    p = hypha_wire_put_u16 (p, message->version_max);
    p = hypha_wire_put_u64 (p, message->features);
    *p++ = message->link_class;
    p = put_bytes (p, message->nonce, sizeof message->nonce);
    p = put_bytes (p, message->instance.bytes, sizeof message->instance.bytes);
    p = put_bytes (p, message->id.bytes, sizeof message->id.bytes);
    p = hypha_wire_put_u16 (p, 0);
    p += HYPHA_SIGNATURE_BYTES;
    break;
  case HYPHA_MESSAGE_AUTH:
    p = put_bytes (p, message->id.bytes, sizeof message->id.bytes);
    p = put_bytes (p, message->nonce, sizeof message->nonce);
    p = put_numbers (p, &message->numbers);
    p += HYPHA_SIGNATURE_BYTES;
    break;
  case HYPHA_MESSAGE_ACCEPT:
    p = put_numbers (p, &message->numbers);
    p = hypha_wire_put_u16 (p, 0);
    p += HYPHA_SIGNATURE_BYTES;
    break;
  case HYPHA_MESSAGE_REJECT:
    p = hypha_wire_put_u32 (p, message->code);
    p = hypha_wire_put_u64 (p, message->highest);
    break;
  }
  memcpy (data, magic, MAGIC);
  data[MAGIC] = (guint8) message->type;
  hypha_wire_put_u16 (data + MAGIC + 1, (guint16) (p - data - HYPHA_MESSAGE_HEAD));
  return (gsize) (p - data);
}
