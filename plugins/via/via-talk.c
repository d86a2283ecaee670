/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "via-talk.h"

#include <string.h>

#include "via-route.h"

#define VERSION "via/1"
#define NOBODY "-"

/* ---- words ---- */

/* Decimal, without leading zeros, at most MAX. */
static gboolean
parse_number (const char *word, guint max, guint *number)
{
  guint64 value;

  if ((word[0] == '0' && word[1] != '\0') ||
      !g_ascii_string_to_unsigned (word, 10, 0, max, &value, NULL))
    return FALSE;
  *number = (guint) value;
  return TRUE;
}

/* NODES are at most MAX, and each once. NULL: malformed. */
static char **
parse_nodes (const char *word, gboolean ids, guint max)
{
  g_auto (GStrv) nodes =
      g_str_equal (word, NOBODY) ? g_new0 (char *, 1) : g_strsplit (word, "/", (gint) max + 1);
  guint n = g_strv_length (nodes);

  if (n > max || (n == 0 && !g_str_equal (word, NOBODY)))
    return NULL;
  for (guint i = 0; i < n; i++) {
    if (!(ids ? via_route_is_id (nodes[i]) : via_route_is_node (nodes[i])))
      return NULL;
    for (guint j = 0; j < i; j++)
      if (g_str_equal (nodes[i], nodes[j]))
        return NULL;
  }
  return g_steal_pointer (&nodes);
}

static char *
print_nodes (char **nodes)
{
  return nodes != NULL && nodes[0] != NULL ? g_strjoinv ("/", nodes) : g_strdup (NOBODY);
}

/* LINE in exactly N words, with one space between them. */
static char **
split (const char *line, guint n)
{
  g_auto (GStrv) words = g_strsplit (line, " ", (gint) n + 1);

  return g_strv_length (words) == n ? g_steal_pointer (&words) : NULL;
}

/* ---- heads ---- */

char *
via_head_print (const ViaHead *head)
{
  g_autofree char *path = NULL;
  g_autofree char *route = NULL;

  switch (head->type) {
  case VIA_HEAD_SEE:
    return g_strdup_printf (VERSION " see %s\n", head->listening ? "listening" : "through");
  case VIA_HEAD_OFFER:
    return g_strdup (VERSION " offer\n");
  case VIA_HEAD_GO:
    break;
  }
  path = print_nodes (head->path);
  route = print_nodes (head->route);
  return g_strdup_printf (VERSION " go %u %u %s %s\n", head->timeout_ms, head->cost, path, route);
}

static gboolean
parse_go (const char *line, ViaHead *head)
{
  g_auto (GStrv) words = split (line, 4);

  if (words == NULL || !parse_number (words[0], VIA_MAX_TIMEOUT_MS, &head->timeout_ms) ||
      !parse_number (words[1], VIA_MAX_COST, &head->cost))
    return FALSE;
  head->path = parse_nodes (words[2], TRUE, VIA_MAX_MIDDLES);
  head->route = parse_nodes (words[3], FALSE, VIA_MAX_MIDDLES);
  return head->path != NULL && head->route != NULL;
}

gboolean
via_head_parse (const char *line, ViaHead *head)
{
  g_auto (ViaHead) read = { 0 };

  if (g_str_has_prefix (line, VERSION " go ")) {
    read.type = VIA_HEAD_GO;
    if (!parse_go (line + strlen (VERSION " go "), &read))
      return FALSE;
  } else if (g_str_equal (line, VERSION " offer")) {
    read.type = VIA_HEAD_OFFER;
  } else if (g_str_has_prefix (line, VERSION " see ")) {
    read.type = VIA_HEAD_SEE;
    line += strlen (VERSION " see ");
    read.listening = g_str_equal (line, "listening");
    if (!read.listening && !g_str_equal (line, "through"))
      return FALSE;
  } else {
    return FALSE;
  }
  *head = read;
  read = (ViaHead){ 0 };
  return TRUE;
}

void
via_head_clear (ViaHead *head)
{
  g_clear_pointer (&head->path, g_strfreev);
  g_clear_pointer (&head->route, g_strfreev);
}

/* ---- answers ---- */

static const char *const refusals[] = { "",          "unreachable", "refused",  "busy",
                                        "timed-out", "loop",        "malformed" };

char *
via_answer_print (const ViaAnswer *answer)
{
  g_autofree char *middles = print_nodes (answer->middles);

  if (answer->refusal != VIA_REFUSAL_NONE)
    return g_strdup_printf ("no %s\n", refusals[answer->refusal]);
  return g_strdup_printf ("ok %u %s\n", answer->cost, middles);
}

gboolean
via_answer_parse (const char *line, ViaAnswer *answer)
{
  g_auto (GStrv) words = NULL;

  *answer = (ViaAnswer){ 0 };
  if (g_str_has_prefix (line, "no ")) {
    answer->refusal = VIA_REFUSAL_REFUSED; /* also for what a later one says */
    for (guint i = 1; i < G_N_ELEMENTS (refusals); i++)
      if (g_str_equal (line + 3, refusals[i]))
        answer->refusal = (ViaRefusal) i;
    return TRUE;
  }
  words = g_str_has_prefix (line, "ok ") ? split (line + 3, 2) : NULL;
  if (words == NULL || !parse_number (words[0], VIA_MAX_COST, &answer->cost))
    return FALSE;
  answer->middles = parse_nodes (words[1], TRUE, VIA_MAX_MIDDLES - 1);
  return answer->middles != NULL;
}

void
via_answer_clear (ViaAnswer *answer)
{
  g_clear_pointer (&answer->middles, g_strfreev);
}

/* ---- who is seen ---- */

void
via_seen_free (ViaSeen *seen)
{
  if (seen == NULL)
    return;
  g_strfreev (seen->route);
  g_free (seen);
}

guint
via_seen_n_middles (const ViaSeen *seen)
{
  return g_strv_length (seen->route) - 1;
}

const char *
via_seen_get_target (const ViaSeen *seen)
{
  return seen->route[via_seen_n_middles (seen)];
}

gboolean
via_seen_has (const ViaSeen *seen, const char *id)
{
  return g_strv_contains ((const char *const *) seen->route, id);
}

char *
via_list_print (GPtrArray *list)
{
  GString *line = g_string_new ("seen");

  for (guint i = 0; i < MIN (list->len, VIA_MAX_SEEN); i++) {
    ViaSeen *seen = list->pdata[i];
    g_autofree char *route = print_nodes (seen->route);

    g_string_append_printf (line, " %u:%s", seen->cost, route);
  }
  return g_string_free (g_string_append_c (line, '\n'), FALSE);
}

static ViaSeen *
parse_seen (const char *word)
{
  const char *colon = strchr (word, ':');
  g_autofree char *number = colon != NULL ? g_strndup (word, (gsize) (colon - word)) : NULL;
  guint cost = 0;
  char **route;
  ViaSeen *seen;

  if (colon == NULL || g_str_equal (colon + 1, NOBODY) ||
      !parse_number (number, VIA_MAX_COST, &cost))
    return NULL;
  route = parse_nodes (colon + 1, TRUE, VIA_MAX_MIDDLES);
  if (route == NULL)
    return NULL;
  seen = g_new (ViaSeen, 1);
  *seen = (ViaSeen){ cost, route };
  return seen;
}

GPtrArray *
via_list_parse (const char *line)
{
  g_auto (GStrv) words = g_strsplit (line, " ", VIA_MAX_SEEN + 2);
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func ((GDestroyNotify) via_seen_free);

  if (words[0] == NULL || !g_str_equal (words[0], "seen") ||
      g_strv_length (words) > VIA_MAX_SEEN + 1)
    return NULL;
  for (char **word = words + 1; *word != NULL; word++) {
    ViaSeen *seen = parse_seen (*word);

    if (seen == NULL)
      return NULL;
    g_ptr_array_add (list, seen);
  }
  return g_steal_pointer (&list);
}
