/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ctl/colour.h"
#include "ctl/output.h"
#include "ctl/text.h"

#define MIN_COLUMN 8
#define ROOMY_COLUMN 16 /* as much as a column wants, before others are left out */
#define GAP 2
#define MIN_WIDTH 20 /* of a terminal; a narrower one breaks the lines itself */

typedef struct {
  gboolean right, states, optional, wraps;
  guint width; /* as printed; 0: left out */
} Column;

struct _HyphaTable {
  guint n_columns;
  Column *columns;
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
  g_autoptr (GArray) columns = g_array_new (FALSE, FALSE, sizeof (Column));
  va_list titles;

  self->cells = g_ptr_array_new_with_free_func (g_free);
  va_start (titles, first);
  for (const char *title = first; title; title = va_arg (titles, const char *)) {
    Column column = { 0 };

    for (;; title++) {
      if (*title == '>')
        column.right = TRUE;
      else if (*title == '=')
        column.states = TRUE;
      else if (*title == '-')
        column.optional = TRUE;
      else if (*title == '+')
        column.wraps = TRUE;
      else
        break;
    }
    g_array_append_val (columns, column);
    g_ptr_array_add (self->cells, g_strdup (title));
    self->n_columns++;
  }
  va_end (titles);
  self->columns = (Column *) g_array_free (g_steal_pointer (&columns), FALSE);
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
  g_free (self->columns);
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

static void
measure (HyphaTable *self)
{
  for (guint i = 0; i < self->n_columns; i++)
    self->columns[i].width = 1;
  for (guint i = 0; i < self->cells->len; i++) {
    Column *column = &self->columns[i % self->n_columns];

    column->width = MAX (column->width, hypha_ctl_text_width (self->cells->pdata[i]));
  }
}

/* What a row takes, if no column takes more than MOST. */
static guint
row_width (HyphaTable *self, guint most)
{
  guint total = 0;

  for (guint i = 0; i < self->n_columns; i++) {
    if (self->columns[i].width > 0)
      total += MIN (self->columns[i].width, most) + (total > 0 ? GAP : 0);
  }
  return total;
}

/* Columns that can be done without give way first, from the right; then the widest, until the row
 * fits. FALSE if no column can any more. */
static gboolean
fit (HyphaTable *self, guint width)
{
  for (guint i = self->n_columns; i-- > 0 && row_width (self, ROOMY_COLUMN) > width;) {
    if (self->columns[i].optional)
      self->columns[i].width = 0;
  }
  for (guint total = row_width (self, G_MAXUINT); total > width; total--) {
    Column *widest = NULL;

    for (guint i = 0; i < self->n_columns; i++) {
      Column *column = &self->columns[i];

      if (column->width > (column->wraps ? ROOMY_COLUMN : MIN_COLUMN) &&
          (widest == NULL || column->width > widest->width))
        widest = column;
    }
    if (widest == NULL)
      return FALSE;
    widest->width--;
  }
  return TRUE;
}

static void
trim (GString *text)
{
  while (text->len > 0 && text->str[text->len - 1] == ' ')
    g_string_truncate (text, text->len - 1);
}

/* INDENT is where the cell begins. */
static void
append_cell (GString *text, const Column *column, const char *whole, gboolean coloured,
             guint indent)
{
  g_autofree char *cell = NULL;
  int pad;

  if (column->wraps) {
    hypha_ctl_text_append_wrapped (text, whole, indent, column->width);
    return;
  }
  cell = hypha_ctl_text_cut (whole, column->width);
  pad = (int) (column->width - hypha_ctl_text_width (cell));
  g_string_append_printf (text, "%*s%s%s%s%*s", column->right ? pad : 0, "",
                          coloured ? hypha_ctl_colour_begin (whole) : "", cell,
                          coloured ? hypha_ctl_colour_end (whole) : "", column->right ? 0 : pad,
                          "");
}

static void
append_row (HyphaTable *self, GString *text, guint first)
{
  guint indent = 0;

  for (guint i = 0; i < self->n_columns; i++) {
    const Column *column = &self->columns[i];

    if (column->width == 0)
      continue;
    if (indent > 0)
      g_string_append_printf (text, "%*s", GAP, "");
    indent += indent > 0 ? GAP : 0;
    append_cell (text, column, self->cells->pdata[first + i], column->states && first > 0, indent);
    indent += column->width;
  }
  trim (text);
  g_string_append_c (text, '\n');
}

/* Where there is no room for columns: a row is a block of lines, each with its title before. */
static void
append_block (HyphaTable *self, GString *text, guint first, guint width)
{
  guint indent = 0;

  for (guint i = 0; i < self->n_columns; i++)
    indent = MAX (indent, hypha_ctl_text_width (self->cells->pdata[i]) + GAP);
  indent = MIN (indent, width / 2);
  for (guint i = 0; i < self->n_columns; i++) {
    const char *cell = self->cells->pdata[first + i];
    g_autofree char *title = hypha_ctl_text_cut (self->cells->pdata[i], indent - 1);
    gboolean coloured = self->columns[i].states;

    if (*cell == '\0')
      continue;
    if (*title == '\0') { /* a mark, which needs no column of its own here */
      g_string_append_printf (text, "%s\n", cell);
      continue;
    }
    g_string_append_printf (text, "%s%*s%s", title, (int) (indent - hypha_ctl_text_width (title)),
                            "", coloured ? hypha_ctl_colour_begin (cell) : "");
    hypha_ctl_text_append_wrapped (text, cell, indent, width - indent);
    g_string_append_printf (text, "%s\n", coloured ? hypha_ctl_colour_end (cell) : "");
  }
}

static void
append_blocks (HyphaTable *self, GString *text, guint width)
{
  for (guint i = self->n_columns; i < self->cells->len; i += self->n_columns) {
    if (i > self->n_columns)
      g_string_append_c (text, '\n');
    append_block (self, text, i, width);
  }
}

/**
 * hypha_table_to_string:
 * @self: a table
 * @width: columns of the terminal; 0: no cell is cut
 *
 * Returns: (transfer full): the table as lines of text; on a terminal with no room for its columns,
 * as a block of lines for each row
 */
char *
hypha_table_to_string (HyphaTable *self, guint width)
{
  GString *text = g_string_new (NULL);

  measure (self);
  if (width > 0 && !fit (self, width))
    append_blocks (self, text, MAX (width, MIN_WIDTH));
  else
    for (guint i = 0; i < self->cells->len; i += self->n_columns)
      append_row (self, text, i);
  return g_string_free (text, FALSE);
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
  g_autofree char *text = hypha_table_to_string (self, hypha_ctl_terminal_width ());

  fputs (text, stdout);
}
