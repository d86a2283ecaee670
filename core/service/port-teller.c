/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/port-teller.h"

#include "service/audience.h"
#include "service/ports.h"

/* There is no event for a socket that begins to listen. */
#define LOOK_SECONDS 1

struct _HyphaPortTeller {
  HyphaPorts *ports;
  char *line; /* what is told; NULL before the first look */
  HyphaAudience *audience;
  guint timer; /* while somebody is there */
  gboolean failed;
};

static void
on_left (HyphaSeat *seat, gpointer user_data)
{
  HyphaPortTeller *self = user_data;

  if (hypha_audience_is_empty (self->audience))
    g_clear_handle_id (&self->timer, g_source_remove);
}

static const HyphaAudienceKind kind = {
  .of_a_peer = HYPHA_PORT_TELLER_MAX,
  .of_all = G_MAXUINT,
  .left = on_left,
};

/* ---- looking ---- */

/* FALSE: the kernel does not tell, and the last list is the best there is. */
static gboolean
look (HyphaPortTeller *self, gboolean *changed)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *line = NULL;
  HyphaPortSet now;
  gboolean good = hypha_ports_look (self->ports, &now, &error);

  if (good)
    line = hypha_port_set_to_line (&now);
  else if (!self->failed)
    g_message ("ports: %s", error->message);
  self->failed = !good;
  *changed = good && g_strcmp0 (line, self->line) != 0;
  if (*changed) {
    g_free (self->line);
    self->line = g_steal_pointer (&line);
  }
  return good;
}

static gboolean
on_time (gpointer data)
{
  HyphaPortTeller *self = data;
  g_autoptr (GPtrArray) seats = NULL;
  gboolean changed;

  look (self, &changed);
  if (!changed)
    return G_SOURCE_CONTINUE;
  seats = hypha_audience_list (self->audience);
  for (guint i = 0; i < seats->len; i++)
    hypha_seat_tell (seats->pdata[i], self->line);
  /* When the last of them has gone, the timer is gone as well. */
  return self->timer != 0 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* ---- streams ---- */

/**
 * hypha_port_teller_serve: (skip)
 * @self: who tells
 * @incoming: a stream that was not answered
 *
 * Takes the stream and tells it, or refuses it: as busy when its peer has many already, as refused
 * when the kernel does not say which ports there are; the log says why.
 */
void
hypha_port_teller_serve (HyphaPortTeller *self, HyphaIncoming *incoming)
{
  HyphaSeat *seat;
  gboolean changed;

  /* Those who are there hear of a change at the next look. */
  if (hypha_audience_is_empty (self->audience) && !look (self, &changed)) {
    hypha_incoming_refuse (incoming, HYPHA_ERROR_REFUSED);
    return;
  }
  seat = hypha_audience_admit (self->audience, incoming);
  if (seat == NULL)
    return;
  if (self->timer == 0)
    self->timer = g_timeout_add_seconds (LOOK_SECONDS, on_time, self);
  hypha_seat_tell (seat, self->line);
}

/**
 * hypha_port_teller_review: (skip)
 * @self: who tells
 * @may: asked of each stream
 * @user_data: for @may
 *
 * Ends the streams of which @may says no: who has one would be told for ever.
 */
void
hypha_port_teller_review (HyphaPortTeller *self, HyphaPortTellerMay may, gpointer user_data)
{
  g_autoptr (GPtrArray) seats = hypha_audience_list (self->audience);

  for (guint i = 0; i < seats->len; i++)
    if (!may (hypha_seat_get_peer (seats->pdata[i]), hypha_seat_get_service (seats->pdata[i]),
              user_data))
      hypha_audience_drop (self->audience, seats->pdata[i]);
}

/* ---- life ---- */

/**
 * hypha_port_teller_stop: (skip)
 * @self: who tells
 *
 * Ends the streams, which would never end by themselves.
 */
void
hypha_port_teller_stop (HyphaPortTeller *self)
{
  hypha_audience_drop_all (self->audience);
}

/**
 * hypha_port_teller_new: (skip)
 *
 * Returns: (transfer full): who tells nobody yet
 */
HyphaPortTeller *
hypha_port_teller_new (void)
{
  HyphaPortTeller *self = g_new0 (HyphaPortTeller, 1);

  self->ports = hypha_ports_new ();
  self->audience = hypha_audience_new (&kind, self);
  return self;
}

/**
 * hypha_port_teller_free: (skip)
 * @self: (transfer full): who tells
 */
void
hypha_port_teller_free (HyphaPortTeller *self)
{
  hypha_audience_free (self->audience);
  hypha_ports_free (self->ports);
  g_free (self->line);
  g_free (self);
}
