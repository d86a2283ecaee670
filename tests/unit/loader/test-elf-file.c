/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <link.h>
#include <string.h>
#include "loader-fixture.h"
#include "loader/elf-file.h"

static void
assert_partial (gconstpointer data, gsize size)
{
  g_autoptr (GBytes) file = g_bytes_new (data, size);
  g_autoptr (GError) error = NULL;

  g_assert_false (hypha_elf_check (file, "/x.so", &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT);
  g_assert_nonnull (strstr (error->message, "/x.so is not whole"));
}

static void
assert_refused (gconstpointer data, gsize size, const char *why)
{
  g_autoptr (GBytes) file = g_bytes_new (data, size);
  g_autoptr (GError) error = NULL;

  g_assert_false (hypha_elf_check (file, "/x.so", &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN);
  g_assert_nonnull (strstr (error->message, why));
}

static void
test_accepts_whole (void)
{
  g_autoptr (GBytes) file = loader_fixture_read ("good");
  g_autoptr (GError) error = NULL;

  g_assert_true (hypha_elf_check (file, "/x.so", &error));
  g_assert_no_error (error);
}

/* Whatever part of it has arrived, the file is seen not to be whole: never whole, never wrong. */
static void
test_every_beginning_is_partial (void)
{
  g_autoptr (GBytes) file = loader_fixture_read ("good");
  gsize size = 0;
  const guint8 *data = g_bytes_get_data (file, &size);

  for (gsize length = 0; length < size; length += length < 256 ? 1 : 251)
    assert_partial (data, length);
  assert_partial (data, size - 1);
}

/* Space may be set aside for a file before it is written. */
static void
test_preallocated_is_partial (void)
{
  g_autoptr (GBytes) file = loader_fixture_read ("good");
  gsize size = 0;
  const guint8 *data = g_bytes_get_data (file, &size);
  const ElfW (Ehdr) *header = (const ElfW (Ehdr) *) data;
  g_autofree guint8 *copy = g_memdup2 (data, size);

  memset (copy + header->e_shoff, 0, size - header->e_shoff);
  assert_partial (copy, size);
  memset (copy + sizeof *header, 0, size - sizeof *header);
  assert_refused (copy, size, "nothing to load");
}

static void
test_refuses_what_it_cannot_load (void)
{
  g_autoptr (GBytes) file = loader_fixture_read ("good");
  gsize size = 0;
  const guint8 *data = g_bytes_get_data (file, &size);
  g_autofree guint8 *copy = g_memdup2 (data, size);
  ElfW (Ehdr) *header = (ElfW (Ehdr) *) copy;

  assert_refused ("#!/bin/sh\n", 10, "no ELF file");
  header->e_machine ^= 1;
  assert_refused (copy, size, "another machine");
  memcpy (copy, data, size);
  header->e_ident[EI_CLASS] ^= ELFCLASS32 ^ ELFCLASS64;
  assert_refused (copy, size, "another machine");
  memcpy (copy, data, size);
  header->e_type = ET_REL;
  assert_refused (copy, size, "another kind");
  memcpy (copy, data, size);
  header->e_shnum = 0;
  assert_refused (copy, size, "lacks program or section headers");
}

/* Reads nothing beyond the file, whatever its headers say (the sanitizers watch). */
static void
test_survives_hostile_headers (void)
{
  g_autoptr (GBytes) file = loader_fixture_read ("good");
  g_autoptr (GRand) rand = g_rand_new_with_seed (4974);
  gsize size = 0;
  const guint8 *data = g_bytes_get_data (file, &size);
  const ElfW (Ehdr) *header = (const ElfW (Ehdr) *) data;
  gsize tables = header->e_shoff;

  for (guint round = 0; round < 2000; round++) {
    guint8 *copy = g_memdup2 (data, size);
    g_autoptr (GBytes) hostile = g_bytes_new_take (copy, size);
    gsize found = 0;

    for (guint i = 0; i < 3; i++) {
      gsize at = g_rand_boolean (rand)
                     ? (gsize) g_rand_int_range (rand, 16, 1024)
                     : tables + (gsize) g_rand_int_range (rand, 0, (gint32) (size - tables));

      copy[at] = (guint8) g_rand_int (rand);
    }
    if (hypha_elf_check (hostile, "/x.so", NULL)) {
      const guint8 *object = hypha_elf_find_object (hostile, "hypha_plugin_good", &found);

      if (object != NULL)
        g_assert_true (object >= copy && found <= size && object + found <= copy + size);
    }
  }
}

static void
test_finds_exported_data_only (void)
{
  g_autoptr (GBytes) file = loader_fixture_read ("good");
  gsize size = 0;

  g_assert_nonnull (hypha_elf_find_object (file, "hypha_plugin_good", &size));
  g_assert_cmpuint (size, >, 0);
  g_assert_null (hypha_elf_find_object (file, "hypha_plugin_goo", &size));
  g_assert_null (hypha_elf_find_object (file, "fixture_create", &size));
  g_assert_null (hypha_elf_find_object (file, "g_object_new", &size));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/elf/check/accepts-whole-file", test_accepts_whole);
  g_test_add_func ("/elf/check/every-beginning-is-partial", test_every_beginning_is_partial);
  g_test_add_func ("/elf/check/preallocated-is-partial", test_preallocated_is_partial);
  g_test_add_func ("/elf/check/refuses-what-cannot-be-loaded", test_refuses_what_it_cannot_load);
  g_test_add_func ("/elf/survives-hostile-headers", test_survives_hostile_headers);
  g_test_add_func ("/elf/find/exported-data-only", test_finds_exported_data_only);
  return g_test_run ();
}
