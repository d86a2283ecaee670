/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl/text.h"

#define MIN_COLUMN 8
#define GAP 2

struct _HyphaTable {
  guint n_columns;
  gboolean *right;  /* for each column */
  GPtrArray *cells; /* row by row, the titles first */
};

/**
 * hypha_table_new:
 * @first: title of the first column
 * @...: the other titles, then %NULL
 *
 * Returns: (transfer full): a table without rows
 */
HyphaTable *
hypha_table_new (const char *first, ...)
{
  HyphaTable *self = g_new0 (HyphaTable, 1);
  g_autoptr (GArray) right = g_array_new (FALSE, FALSE, sizeof (gboolean));
  va_list titles;

  self->cells = g_ptr_array_new_with_free_func (g_free);
  va_start (titles, first);
  for (const char *title = first; title; title = va_arg (titles, const char *)) {
    gboolean to_the_right = *title == '>';

    g_array_append_val (right, to_the_right);
    g_ptr_array_add (self->cells, g_strdup (to_the_right ? title + 1 : title));
    self->n_columns++;
  }
  va_end (titles);
  self->right = (gboolean *) g_array_free (g_steal_pointer (&right), FALSE);
  return self;
}

/**
 * hypha_table_free:
 * @self: (transfer full): a table
 *
 * Frees it.
 */
void
hypha_table_free (HyphaTable *self)
{
  g_ptr_array_unref (self->cells);
  g_free (self->right);
  g_free (self);
}

static void
add_cell (HyphaTable *self, char *text)
{
  g_ptr_array_add (self->cells, hypha_ctl_escape (text));
  g_free (text);
}

/**
 * hypha_table_add:
 * @self: a table
 * @first: (transfer full): first cell of the row
 * @...: (transfer full): the other cells
 *
 * Adds a row.
 */
void
hypha_table_add (HyphaTable *self, char *first, ...)
{
  va_list cells;

  add_cell (self, first);
  va_start (cells, first);
  for (guint i = 1; i < self->n_columns; i++)
    add_cell (self, va_arg (cells, char *));
  va_end (cells);
}

/* The widest column gives way first, until the row fits or no column can. */
static void
fit (guint *widths, guint n, guint width)
{
  guint total = (n - 1) * GAP;

  for (guint i = 0; i < n; i++)
    total += widths[i];
  while (total > width) {
    guint widest = 0;

    for (guint i = 1; i < n; i++) {
      if (widths[i] > widths[widest])
        widest = i;
    }
    if (widths[widest] <= MIN_COLUMN)
      return;
    widths[widest]--;
    total--;
  }
}

/**
 * hypha_table_to_string:
 * @self: a table
 * @width: columns of the terminal; 0: no cell is cut
 *
 * Returns: (transfer full): the table as lines of text
 */
char *
hypha_table_to_string (HyphaTable *self, guint width)
{
  g_autofree guint *widths = g_new0 (guint, self->n_columns);
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < self->cells->len; i++) {
    guint *column = &widths[i % self->n_columns];

    *column = MAX (*column, hypha_ctl_text_width (self->cells->pdata[i]));
  }
  if (width > 0)
    fit (widths, self->n_columns, width);
  for (guint i = 0; i < self->cells->len; i++) {
    guint column = i % self->n_columns;
    gboolean last = column + 1 == self->n_columns;
    g_autofree char *cell = hypha_ctl_text_cut (self->cells->pdata[i], MAX (1, widths[column]));
    guint pad = widths[column] - hypha_ctl_text_width (cell);

    if (self->right[column])
      g_string_append_printf (text, "%*s", (int) pad, "");
    g_string_append (text, cell);
    if (!self->right[column] && !last)
      g_string_append_printf (text, "%*s", (int) pad, "");
    g_string_append_printf (text, "%*s", last ? 0 : GAP, "");
    if (last) {
      while (text->len > 0 && text->str[text->len - 1] == ' ')
        g_string_truncate (text, text->len - 1);
      g_string_append_c (text, '\n');
    }
  }
  return g_string_free (text, FALSE);
}

static guint
terminal_width (void)
{
  struct winsize size;

  if (!isatty (STDOUT_FILENO) || ioctl (STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
    return 0;
  return size.ws_col;
}

/**
 * hypha_table_print:
 * @self: a table
 *
 * Prints it to standard output.
 */
void
hypha_table_print (HyphaTable *self)
{
  g_autofree char *text = hypha_table_to_string (self, terminal_width ());

  fputs (text, stdout);
}
