/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "loader/elf-file.h"

#include <glib/gi18n-lib.h>
#include <link.h>
#include <string.h>
#include <gio/gio.h>
#include <hypha-api.h>
#include "hypha-inspect.h"

#define NATIVE_CLASS (sizeof (gpointer) == 8 ? ELFCLASS64 : ELFCLASS32)
#define NATIVE_DATA (G_BYTE_ORDER == G_LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB)
#define SYMBOL_TYPE(info) ((info) &0xf) /* alike in both classes */

/* The linker's name for the headers of the object that this code is in: what machine "ours" is. */
extern const ElfW (Ehdr) __ehdr_start __attribute__ ((visibility ("hidden")));

typedef struct {
  const guint8 *data;
  gsize size;
  ElfW (Ehdr) header;
} Elf;

static gboolean
within (guint64 offset, guint64 length, guint64 size)
{
  return offset <= size && length <= size - offset;
}

/* Copies: nothing in a hostile file is aligned. The caller has checked that the table is in the
 * file. */
static ElfW (Phdr) program_header (const Elf *elf, guint index)
{
  ElfW (Phdr) header;

  memcpy (&header, elf->data + elf->header.e_phoff + index * sizeof header, sizeof header);
  return header;
}

static ElfW (Shdr) section_header (const Elf *elf, guint index)
{
  ElfW (Shdr) header;

  memcpy (&header, elf->data + elf->header.e_shoff + index * sizeof header, sizeof header);
  return header;
}

static gboolean
refuse (GError **error, const char *path, const char *what)
{
  g_autofree char *quoted = hypha_inspect_quote (path);
  g_autofree char *display = g_filename_display_name (path);

  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PLUGIN,
               _ ("%s is not a shared object that can be loaded (%s): build it with cc -shared, or "
                  "take it away: mv %s %s.other"),
               display, what, quoted, quoted);
  return FALSE;
}

static gboolean
incomplete (GError **error, const char *path, const char *what)
{
  g_autofree char *quoted = hypha_inspect_quote (path);
  g_autofree char *display = g_filename_display_name (path);

  g_set_error (
      error, G_IO_ERROR, G_IO_ERROR_PARTIAL_INPUT,
      _ ("%s is not whole (%s): it is loaded as soon as it is; if nobody is copying it, copy "
         "it again: cp --remove-destination SOURCE %s"),
      display, what, quoted);
  return FALSE;
}

static gboolean
check_header (Elf *elf, const char *path, GError **error)
{
  const guint8 *ident = elf->header.e_ident;

  if (memcmp (elf->data, ELFMAG, MIN (elf->size, SELFMAG)) != 0)
    return refuse (error, path, _ ("it is no ELF file"));
  if (elf->size < sizeof elf->header)
    return incomplete (error, path, _ ("it ends within its first header"));
  memcpy (&elf->header, elf->data, sizeof elf->header);
  if (ident[EI_CLASS] != NATIVE_CLASS || ident[EI_DATA] != NATIVE_DATA ||
      elf->header.e_machine != __ehdr_start.e_machine) {
    g_autofree char *what = g_strdup_printf (
        _ ("it is for another machine: ELF class %u machine %u "
           "instead of class %u machine %u"),
        ident[EI_CLASS], elf->header.e_machine, NATIVE_CLASS, __ehdr_start.e_machine);

    return refuse (error, path, what);
  }
  if (elf->header.e_type != ET_DYN)
    return refuse (error, path, _ ("it is an ELF file of another kind"));
  if (ident[EI_VERSION] != EV_CURRENT || elf->header.e_phentsize != sizeof (ElfW (Phdr)) ||
      elf->header.e_shentsize != sizeof (ElfW (Shdr)) || elf->header.e_phnum == PN_XNUM)
    return refuse (error, path, _ ("its ELF header is unusual"));
  if (elf->header.e_phnum == 0 || elf->header.e_shnum == 0)
    return refuse (error, path, _ ("it lacks program or section headers"));
  if (!within (elf->header.e_phoff, elf->header.e_phnum * sizeof (ElfW (Phdr)), elf->size) ||
      !within (elf->header.e_shoff, elf->header.e_shnum * sizeof (ElfW (Shdr)), elf->size))
    return incomplete (error, path, _ ("it ends before its headers do"));
  return TRUE;
}

static gboolean
check_segments (const Elf *elf, const char *path, GError **error)
{
  gboolean loadable = FALSE, dynamic = FALSE;

  for (guint i = 0; i < elf->header.e_phnum; i++) {
    ElfW (Phdr) segment = program_header (elf, i);

    if (!within (segment.p_offset, segment.p_filesz, elf->size))
      return incomplete (error, path, _ ("it ends before its segments do"));
    if (segment.p_type == PT_LOAD && segment.p_filesz > segment.p_memsz)
      return refuse (error, path, _ ("a segment is larger in the file than in memory"));
    loadable |= segment.p_type == PT_LOAD;
    dynamic |= segment.p_type == PT_DYNAMIC;
  }
  return (loadable && dynamic) || refuse (error, path, _ ("it has nothing to load"));
}

/* The linker puts the section headers last, so a file whose sections all lie within it is whole.
 * Where space was set aside before it was written to, the headers are still zero. */
static gboolean
check_sections (const Elf *elf, const char *path, GError **error)
{
  for (guint i = 0; i < elf->header.e_shnum; i++) {
    ElfW (Shdr) section = section_header (elf, i);

    if (section.sh_type != SHT_NULL && section.sh_type != SHT_NOBITS &&
        !within (section.sh_offset, section.sh_size, elf->size))
      return incomplete (error, path, _ ("it ends before its sections do"));
  }
  if (elf->header.e_shstrndx >= elf->header.e_shnum ||
      section_header (elf, elf->header.e_shstrndx).sh_type != SHT_STRTAB)
    return incomplete (error, path, _ ("its section headers are still empty"));
  return TRUE;
}

/* hypha_elf_check:
 * @path: for messages
 *
 * Is this a shared object for this machine, and is all of it there? Opening half a file may crash.
 *
 * Returns: %TRUE, or %FALSE with an error: %G_IO_ERROR_PARTIAL_INPUT if it may become whole,
 * %HYPHA_ERROR_PLUGIN else. */
gboolean
hypha_elf_check (GBytes *file, const char *path, GError **error)
{
  Elf elf = { 0 };

  elf.data = g_bytes_get_data (file, &elf.size);
  if (elf.size == 0)
    return incomplete (error, path, _ ("it is empty"));
  return check_header (&elf, path, error) && check_segments (&elf, path, error) &&
         check_sections (&elf, path, error);
}

/* Where in the file LENGTH bytes at the virtual ADDRESS come from; NULL if they do not come from
 * it. */
static const guint8 *
bytes_at (const Elf *elf, guint64 address, guint64 length)
{
  for (guint i = 0; i < elf->header.e_phnum; i++) {
    ElfW (Phdr) segment = program_header (elf, i);

    if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
        within (address - segment.p_vaddr, length, segment.p_filesz))
      return elf->data + segment.p_offset + (address - segment.p_vaddr);
  }
  return NULL;
}

static gboolean
name_is (const Elf *elf, const ElfW (Shdr) * names, guint64 index, const char *name)
{
  gsize length = strlen (name) + 1;

  return within (index, length, names->sh_size) &&
         memcmp (elf->data + names->sh_offset + index, name, length) == 0;
}

static gconstpointer
find_in_section (const Elf *elf, const ElfW (Shdr) * symbols, const char *name, gsize *size)
{
  ElfW (Shdr) names;

  if (symbols->sh_link >= elf->header.e_shnum)
    return NULL;
  names = section_header (elf, symbols->sh_link);
  if (names.sh_type != SHT_STRTAB)
    return NULL;
  for (guint64 i = 0; i < symbols->sh_size / sizeof (ElfW (Sym)); i++) {
    ElfW (Sym) symbol;

    memcpy (&symbol, elf->data + symbols->sh_offset + i * sizeof symbol, sizeof symbol);
    if (symbol.st_shndx != SHN_UNDEF && SYMBOL_TYPE (symbol.st_info) == STT_OBJECT &&
        name_is (elf, &names, symbol.st_name, name)) {
      *size = symbol.st_size;
      return bytes_at (elf, symbol.st_value, symbol.st_size);
    }
  }
  return NULL;
}

/* hypha_elf_find_object:
 * @file: that has passed hypha_elf_check()
 * @size: (out): its size
 *
 * Finds a data object that the file exports. Pointers in it are not relocated, the bytes not
 * aligned.
 *
 * Returns: (nullable): its bytes inside @file. */
gconstpointer
hypha_elf_find_object (GBytes *file, const char *symbol, gsize *size)
{
  Elf elf = { 0 };

  elf.data = g_bytes_get_data (file, &elf.size);
  memcpy (&elf.header, elf.data, sizeof elf.header);
  for (guint i = 0; i < elf.header.e_shnum; i++) {
    ElfW (Shdr) section = section_header (&elf, i);

    if (section.sh_type == SHT_DYNSYM)
      return find_in_section (&elf, &section, symbol, size);
  }
  return NULL;
}
