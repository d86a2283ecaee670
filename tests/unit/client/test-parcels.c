/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <string.h>

#include <hypha-api.h>

#include "client/exec-words.h"
#include "client/parcels.h"

/* Several of all sizes, the greatest among them. */
static GByteArray *
make_parcels (guint n)
{
  GByteArray *bytes = g_byte_array_new ();
  g_autofree guint8 *data = g_malloc (HYPHA_PARCEL_MAX);

  for (guint i = 0; i < n; i++) {
    gsize length = i == 1 ? HYPHA_PARCEL_MAX : (gsize) i * i * 31 % 1000;

    memset (data, (int) i, length);
    hypha_parcel_append (bytes, (guint8) (255 - i), data, length);
  }
  return bytes;
}

static guint
take_all (HyphaParcels *parcels, guint from)
{
  HyphaParcel parcel;
  GError *error = NULL;

  while (hypha_parcels_next (parcels, &parcel, &error)) {
    gsize length = from == 1 ? HYPHA_PARCEL_MAX : (gsize) from * from * 31 % 1000;

    g_assert_cmpuint (parcel.type, ==, 255 - from);
    g_assert_cmpuint (parcel.length, ==, length);
    for (gsize i = 0; i < length; i++)
      g_assert_cmpuint (parcel.data[i], ==, (guint8) from);
    from++;
  }
  g_assert_no_error (error);
  return from;
}

static void
test_any_split (void)
{
  static const gsize pieces[] = { 1, 3, 5, 6, 1000, 65536, 1 << 20 };
  g_autoptr (GByteArray) bytes = make_parcels (200);

  for (gsize p = 0; p < G_N_ELEMENTS (pieces); p++) {
    g_autoptr (HyphaParcels) parcels = hypha_parcels_new ();
    guint n = 0;

    for (gsize done = 0; done < bytes->len;) {
      gsize room;
      guint8 *to = hypha_parcels_get_room (parcels, &room);

      g_assert_cmpuint (room, >, 0);
      room = MIN (MIN (room, pieces[p]), bytes->len - done);
      memcpy (to, bytes->data + done, room);
      hypha_parcels_added (parcels, room);
      done += room;
      n = take_all (parcels, n);
    }
    g_assert_cmpuint (n, ==, 200);
    g_assert_true (hypha_parcels_is_empty (parcels));
  }
}

static void
test_too_long (void)
{
  static const guint8 headers[][HYPHA_PARCEL_HEADER] = {
    { 1, 0, 1, 0, 1 },
    { 1, 0xff, 0xff, 0xff, 0xff },
    { 1, 0x80, 0, 0, 0 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (headers); i++) {
    g_autoptr (HyphaParcels) parcels = hypha_parcels_new ();
    g_autoptr (GError) error = NULL;
    HyphaParcel parcel;
    gsize room;

    memcpy (hypha_parcels_get_room (parcels, &room), headers[i], sizeof headers[i]);
    hypha_parcels_added (parcels, sizeof headers[i]);
    g_assert_false (hypha_parcels_next (parcels, &parcel, &error));
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PROTOCOL);
    g_assert_false (hypha_parcels_is_empty (parcels));
  }
}

static void
test_numbers (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  static const guint8 wanted[] = { 7, 0, 0, 0, 4, 0x12, 0x34, 0x56, 0x78 };
  HyphaParcel parcel = { .data = wanted + HYPHA_PARCEL_HEADER, .length = 4 };
  guint32 value;

  hypha_parcel_append_u32 (bytes, 7, 0x12345678);
  g_assert_cmpmem (bytes->data, bytes->len, wanted, sizeof wanted);
  g_assert_true (hypha_parcel_read_u32 (&parcel, &value));
  g_assert_cmphex (value, ==, 0x12345678);
  parcel.length = 3;
  g_assert_false (hypha_parcel_read_u32 (&parcel, &value));
  parcel.length = 5;
  g_assert_false (hypha_parcel_read_u32 (&parcel, &value));
}

static void
test_signals (void)
{
  static const char *const wrong[] = { "",  "SIGTERM", "term", "TER", "TERMS",
                                       "0", "-1",      "65",   "1x",  "999999999999999999999" };

  for (int number = 1; number < NSIG; number++) {
    g_autofree char *name = hypha_exec_signal_dup_name (number);

    g_assert_cmpint (hypha_exec_signal_from_name (name, strlen (name)), ==, number);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (wrong); i++)
    g_assert_cmpint (hypha_exec_signal_from_name (wrong[i], strlen (wrong[i])), ==, 0);
  g_assert_cmpint (hypha_exec_signal_from_name ("TERM\0", 5), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/parcels/arrive-whole-however-they-are-split", test_any_split);
  g_test_add_func ("/parcels/one-that-is-too-long-is-an-error", test_too_long);
  g_test_add_func ("/parcels/numbers-have-32-bits", test_numbers);
  g_test_add_func ("/parcels/signals-have-names-that-lead-back", test_signals);
  return g_test_run ();
}
