/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <hypha-api.h>

#include "copy/entry.h"

static HyphaParcel
as_parcel (const GByteArray *bytes)
{
  return (HyphaParcel){ .type = bytes->data[0],
                        .data = bytes->data + HYPHA_PARCEL_HEADER,
                        .length = bytes->len - HYPHA_PARCEL_HEADER };
}

static void
test_entries_come_back (void)
{
  HyphaCopyEntry entry = { .type = HYPHA_COPY_LINK,
                           .mode = 0751,
                           .accessed = { .tv_sec = -1, .tv_nsec = 999999999 },
                           .modified = { .tv_sec = G_MAXINT64, .tv_nsec = 0 },
                           .resumable = TRUE };
  HyphaCopyEntry again;

  for (gsize n = 1; n <= HYPHA_COPY_NAME_MAX; n++) {
    g_autoptr (GByteArray) bytes = g_byte_array_new ();
    g_autoptr (GError) error = NULL;
    HyphaParcel parcel;

    memset (entry.name, (int) (n == '/' || n == '.' ? 'x' : n), n);
    memset (entry.target, 'y', n * 16);
    entry.target[MIN (n * 16, HYPHA_COPY_TARGET_MAX)] = '\0';
    entry.linked = n % 2 == 0;
    entry.size = n << 55;
    hypha_copy_entry_append (bytes, &entry);
    parcel = as_parcel (bytes);
    g_assert_true (hypha_copy_entry_parse (&again, &parcel, &error));
    g_assert_no_error (error);
    g_assert_cmpstr (again.name, ==, entry.name);
    g_assert_cmpstr (again.target, ==, entry.target);
    g_assert_cmpuint (again.mode, ==, 0751);
    g_assert_cmpint (again.accessed.tv_sec, ==, -1);
    g_assert_cmpint (again.accessed.tv_nsec, ==, 999999999);
    g_assert_true (again.modified.tv_sec == G_MAXINT64);
    g_assert_true (again.resumable);
    g_assert_cmpint (again.linked, ==, entry.linked);
    g_assert_cmpuint (again.size, ==, entry.size);
  }
}

/* Of exactly this size, so that a sanitizer sees what reads beyond it. */
static void
test_no_beginning_is_an_entry (void)
{
  HyphaCopyEntry entry = { .type = HYPHA_COPY_FILE, .name = "name" };
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  HyphaParcel whole;

  hypha_copy_entry_append (bytes, &entry);
  whole = as_parcel (bytes);
  for (gsize n = 0; n < whole.length; n++) {
    g_autofree guint8 *copy = g_memdup2 (whole.data, n);
    HyphaParcel parcel = { .type = whole.type, .data = copy, .length = n };
    g_autoptr (GError) error = NULL;

    g_assert_false (hypha_copy_entry_parse (&entry, &parcel, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
  }
}

static void
test_modes_that_are_not_kept (void)
{
  HyphaCopyEntry entry = { .type = HYPHA_COPY_FILE, .mode = 07755, .name = "name" };
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  HyphaParcel parcel;

  hypha_copy_entry_append (bytes, &entry);
  memset (bytes->data + HYPHA_PARCEL_HEADER, 0xff, 4);
  parcel = as_parcel (bytes);
  g_assert_true (hypha_copy_entry_parse (&entry, &parcel, NULL));
  g_assert_cmpuint (entry.mode, ==, 0777);
}

static void
test_names (void)
{
  static const char *const good[] = {
    "a", "...", ".a", "..a", " ", "\n", "\xff", "a\\b", "*", "-"
  };
  static const char *const bad[] = { "", ".", "..", "/", "a/", "/a", "a/b", "../a" };
  g_autofree char *longest = g_strnfill (HYPHA_COPY_NAME_MAX, 'x');
  g_autofree char *too_long = g_strnfill (HYPHA_COPY_NAME_MAX + 1, 'x');

  for (gsize i = 0; i < G_N_ELEMENTS (good); i++)
    g_assert_true (hypha_copy_name_is_good (good[i], strlen (good[i])));
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (hypha_copy_name_is_good (bad[i], strlen (bad[i])));
  g_assert_false (hypha_copy_name_is_good ("a\0b", 3));
  g_assert_true (hypha_copy_name_is_good (longest, strlen (longest)));
  g_assert_false (hypha_copy_name_is_good (too_long, strlen (too_long)));
}

static void
test_parts (void)
{
  g_autofree char *part = hypha_copy_name_dup_part ("x");
  g_autofree char *aside = hypha_copy_name_dup_aside ("x");

  g_assert_cmpstr (part, ==, ".x.hypha-part");
  g_assert_cmpstr (aside, ==, ".x.hypha-link");
  g_assert_true (hypha_copy_name_is_ours (part));
  g_assert_true (hypha_copy_name_is_ours (aside));
  g_assert_false (hypha_copy_name_is_ours ("x"));
  g_assert_false (hypha_copy_name_is_ours ("x.hypha-part"));
  for (gsize n = 200; n <= HYPHA_COPY_NAME_MAX; n++) {
    g_autofree char *name = g_strnfill (n, 'y');
    g_autofree char *of_long = hypha_copy_name_dup_part (name);

    g_assert_true (hypha_copy_name_is_good (of_long, strlen (of_long)));
    g_assert_true (hypha_copy_name_is_ours (of_long));
  }
}

static void
test_numbers (void)
{
  HyphaCopyCounts counts = { 1, G_MAXUINT64, 3, 4, 5 }, again;
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  HyphaParcel parcel;
  guint64 value;

  hypha_copy_append_u64 (bytes, 7, 0x123456789abcdef0, "more", 4);
  parcel = as_parcel (bytes);
  g_assert_true (hypha_copy_read_u64 (&parcel, 4, &value));
  g_assert_cmphex (value, ==, 0x123456789abcdef0);
  g_assert_false (hypha_copy_read_u64 (&parcel, 3, &value));
  g_assert_false (hypha_copy_read_u64 (&parcel, 5, &value));
  parcel.length = 7;
  g_assert_false (hypha_copy_read_u64 (&parcel, 0, &value));
  g_byte_array_set_size (bytes, 0);
  hypha_copy_counts_append (bytes, &counts);
  parcel = as_parcel (bytes);
  g_assert_true (hypha_copy_counts_parse (&again, &parcel));
  g_assert_cmpmem (&again, sizeof again, &counts, sizeof counts);
  parcel.length--;
  g_assert_false (hypha_copy_counts_parse (&again, &parcel));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/copy/entries-come-back-as-they-went", test_entries_come_back);
  g_test_add_func ("/copy/no-beginning-of-an-entry-is-one", test_no_beginning_is_an_entry);
  g_test_add_func ("/copy/modes-that-mean-an-owner-are-not-kept", test_modes_that_are_not_kept);
  g_test_add_func ("/copy/names-lead-nowhere-else", test_names);
  g_test_add_func ("/copy/parts-have-names-that-fit", test_parts);
  g_test_add_func ("/copy/numbers-have-64-bits", test_numbers);
  return g_test_run ();
}
