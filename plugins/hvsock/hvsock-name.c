/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hvsock-name.h"

#include <fnmatch.h>
#include <string.h>

gboolean
hvsock_name_is_pattern (const char *part)
{
  return strchr (part, '*') != NULL;
}

/* Only '*' means anything. */
static char *
to_fnmatch (const char *part)
{
  GString *pattern = g_string_new (NULL);

  for (const char *c = part; *c != '\0'; c++) {
    if (strchr ("?[]\\", *c) != NULL)
      g_string_append_c (pattern, '\\');
    g_string_append_c (pattern, *c);
  }
  return g_string_free (pattern, FALSE);
}

static guint
count_colons (const char *text)
{
  guint n = 0;

  for (; *text != '\0'; text++)
    n += *text == ':';
  return n;
}

gboolean
hvsock_name_fits (const char *part, const char *name)
{
  g_autofree char *pattern = to_fnmatch (part);

  /* No '*' stands for a colon, so the pattern has them all. */
  return count_colons (part) == count_colons (name) && fnmatch (pattern, name, FNM_PERIOD) == 0;
}

gboolean
hvsock_name_is_port_socket (const char *name)
{
  const char *underscore = strrchr (name, '_');

  return underscore != NULL && underscore[1] != '\0' &&
         strspn (underscore + 1, "0123456789") == strlen (underscore + 1);
}
