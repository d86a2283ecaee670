/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gi18n-lib.h>
#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/cpio.h"
#include "ctl/guest.h"
#include "ctl/output.h"
#include "ctl/text.h"
#include "ctl/verb.h"

/* Everything lies in one folder of its own, and runs by the libraries there: what else is in the
 * initrd may be of another distribution. */
#define FOLDER "opt/hypha"
#define UNITS "etc/systemd/system"
#define ALONE "hypha-guest"
#define SCHEMA "org.hypha.node.gschema.xml"

/* No bus, which does not know of this node, no dconf, no modules of GIO: the key file and a socket
 * of its own. */
#define NO_BUS "DBUS_SYSTEM_BUS_ADDRESS=unix:path=$here/none"

static const char start_begin[] =
    "#!/bin/sh\n"
    "# Starts the node of this machine: before there is a network, and without one.\n"
    "here=/" FOLDER "\n"
    "# Where the driver is no part of the kernel, and nobody has loaded it.\n"
    "[ -e /dev/vsock ] || modprobe -q vmw_vsock_virtio_transport 2>/dev/null || :\n"
    "export HYPHA_PLUGIN_PATH=$here/transports GSETTINGS_SCHEMA_DIR=$here/schemas"
    " GSETTINGS_BACKEND=memory GIO_MODULE_DIR=$here/none XDG_DATA_DIRS=$here/none " NO_BUS "\n";

/* This shell becomes the node, whose number is $$. */
static const char start_agent[] =
    "# Commands for the host, as long as the node is there.\n"
    "while sleep 1 && kill -0 $$ 2>/dev/null; do $run $here/hypha-agent --system; done &\n";

static const char start_end[] = "exec $run $here/hyphad --system --config $here/node.conf"
                                " --identity $here/identity/key.pem \"$@\"\n";

static const char ctl_script[] =
    "#!/bin/sh\n"
    "here=/" FOLDER "\n"
    "export " NO_BUS "\n"
    "exec $here/lib/loader --library-path $here/lib $here/hyphactl.bin \"$@\"\n";

static const char unit[] = "# SPDX-License-Identifier: LGPL-2.1-or-later\n"
                           "[Unit]\n"
                           "Description=Hypha, before the network\n"
                           "DefaultDependencies=no\n"
                           "After=systemd-modules-load.service\n"
                           "Conflicts=shutdown.target\n"
                           "Before=shutdown.target\n"
                           "\n"
                           "[Service]\n"
                           "Type=notify\n"
                           "NotifyAccess=all\n"
                           "ExecStart=/" FOLDER "/start\n"
                           "Restart=on-failure\n"
                           "RuntimeDirectory=hypha\n";

/* Of OpenRC. Where there is neither that nor systemd, whoever is process 1 starts the script. */
static const char openrc[] = "#!/sbin/openrc-run\n"
                             "# SPDX-License-Identifier: LGPL-2.1-or-later\n"
                             "description='Hypha, before the network'\n"
                             "supervisor=supervise-daemon\n"
                             "command=/" FOLDER "/start\n"
                             "respawn_delay=1\n"
                             "\n"
                             "depend() {\n"
                             "  after modules\n"
                             "  keyword -shutdown\n"
                             "}\n";

typedef struct {
  HyphaGuest guest;
  gboolean alone; /* one program, that needs nothing of the guest */
  char *program;  /* that one */
  char *output;
  HyphaCpio *cpio;
} Initrd;

static void
initrd_clear (Initrd *self)
{
  hypha_guest_clear (&self->guest);
  g_free (self->program);
  g_free (self->output);
  g_clear_pointer (&self->cpio, hypha_cpio_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Initrd, initrd_clear)

/* ---- what is in it ---- */

static gboolean
add_copy (Initrd *self, const char *path, const char *source, guint mode, GError **error)
{
  g_autoptr (GMappedFile) file = g_mapped_file_new (source, FALSE, error);
  g_autoptr (GBytes) content = file != NULL ? g_mapped_file_get_bytes (file) : NULL;

  if (content == NULL)
    return FALSE;
  hypha_cpio_add_file (self->cpio, path, mode, content);
  return TRUE;
}

/* The output of a program, or NULL. */
static char *
ask (const char *const *argv, GError **error)
{
  g_autofree char *output = NULL;
  g_autofree char *complaint = NULL;
  int status;

  if (!g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output,
                     &complaint, &status, error))
    return NULL;
  if (!g_spawn_check_wait_status (status, error)) {
    g_prefix_error (error, "%s: %s; ", argv[0], g_strstrip (complaint));
    return NULL;
  }
  return g_steal_pointer (&output);
}

/* A line of the dynamic loader's: "name => /path (0x...)", or for itself "/path (0x...)". */
static gboolean
add_library (Initrd *self, const char *line, GError **error)
{
  const char *begin = strchr (line, '/'), *arrow = strstr (line, "=>");
  const char *end = begin != NULL ? strstr (begin, " (0x") : NULL;
  g_autofree char *source = NULL;
  g_autofree char *name = NULL;
  g_autofree char *path = NULL;

  if (end == NULL)
    return TRUE; /* of the kernel's own */
  source = g_strndup (begin, (gsize) (end - begin));
  name = g_path_get_basename (source);
  path = arrow != NULL ? g_strconcat (FOLDER "/lib/", name, NULL) : g_strdup (FOLDER "/lib/loader");
  return hypha_cpio_has (self->cpio, path) || add_copy (self, path, source, 0755, error);
}

static int
find_loader (struct dl_phdr_info *info, size_t size, void *data)
{
  if (info->dlpi_addr != getauxval (AT_BASE))
    return 0;
  *(const char **) data = info->dlpi_name;
  return 1;
}

static gboolean
add_program (Initrd *self, const char *path, const char *source, GError **error)
{
  /* What ldd asks, which is a script and not everywhere. */
  const char *argv[] = { NULL, "--list", source, NULL };
  g_autofree char *listed = NULL;
  g_auto (GStrv) lines = NULL;

  dl_iterate_phdr (find_loader, &argv[0]);
  listed = argv[0] != NULL ? ask (argv, error) : NULL;
  if (listed == NULL || !add_copy (self, path, source, 0755, error))
    return FALSE;
  lines = g_strsplit (listed, "\n", -1);
  for (char **line = lines; *line != NULL; line++)
    if (!add_library (self, *line, error))
      return FALSE;
  return TRUE;
}

/* Those of this node that work here: what they need, the guest has, or it does without them. */
static gboolean
add_transports (Initrd *self, GError **error)
{
  g_autoptr (GPtrArray) objects = hypha_ctl_list (self->guest.ctl, HYPHA_DBUS_PLUGIN, error);

  if (objects == NULL)
    return FALSE;
  for (guint i = 0; i < objects->len; i++) {
    HyphaDBusPlugin1 *plugin = hypha_dbus_object_peek_plugin1 (objects->pdata[i]);
    const char *source = plugin != NULL ? hypha_dbus_plugin1_get_path (plugin) : NULL;
    g_autofree char *name = NULL;
    g_autofree char *path = NULL;

    /* One that is built in is no file. */
    if (source == NULL || *source != '/' ||
        g_strcmp0 (hypha_dbus_plugin1_get_state (plugin), "ready") != 0)
      continue;
    name = g_path_get_basename (source);
    path = g_strconcat (FOLDER "/transports/", name, NULL);
    if (!add_program (self, path, source, error))
      return FALSE;
  }
  return TRUE;
}

static char *
find_schema (GError **error)
{
  const char *const *data = g_get_system_data_dirs ();
  const char *own = g_getenv ("GSETTINGS_SCHEMA_DIR");
  g_autofree char *path = own != NULL ? g_build_filename (own, SCHEMA, NULL) : NULL;

  for (; path == NULL || !g_file_test (path, G_FILE_TEST_EXISTS); data++) {
    g_clear_pointer (&path, g_free);
    if (*data == NULL) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE,
                   _ ("%s is in none of the folders for schemas: is Hypha installed?"), SCHEMA);
      return NULL;
    }
    path = g_build_filename (*data, "glib-2.0", "schemas", SCHEMA, NULL);
  }
  return g_steal_pointer (&path);
}

/* The one that is needed, and not all that this machine has. */
static gboolean
add_schema (Initrd *self, GError **error)
{
  g_autofree char *source = find_schema (error);
  g_autofree char *folder = source != NULL ? g_dir_make_tmp ("hypha-XXXXXX", error) : NULL;
  g_autofree char *copy = NULL;
  g_autofree char *compiled = NULL;
  g_autofree char *said = NULL;
  g_autofree char *text = NULL;
  gsize length;
  gboolean done;

  if (folder == NULL)
    return FALSE;
  copy = g_build_filename (folder, SCHEMA, NULL);
  compiled = g_build_filename (folder, "gschemas.compiled", NULL);
  done = g_file_get_contents (source, &text, &length, error) &&
         g_file_set_contents (copy, text, (gssize) length, error) &&
         (said = ask ((const char *const[]){ "glib-compile-schemas", folder, NULL }, error)) &&
         add_copy (self, FOLDER "/schemas/gschemas.compiled", compiled, 0644, error);
  g_unlink (copy);
  g_unlink (compiled);
  g_rmdir (folder);
  return done;
}

/* Where it lies: libraries may be found from there. */
static char *
find_program (const char *name, GError **error)
{
  g_autofree char *path = g_find_program_in_path (name);
  char *real = path != NULL ? realpath (path, NULL) : NULL;

  if (real == NULL)
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE, _ ("there is no %s in PATH"), name);
  return real;
}

static gboolean
add_programs (Initrd *self, GError **error)
{
  g_autofree char *hyphad = find_program ("hyphad", error);
  g_autofree char *hyphactl = hyphad != NULL ? g_file_read_link ("/proc/self/exe", error) : NULL;

  if (hyphactl == NULL || !add_program (self, FOLDER "/hyphad", hyphad, error) ||
      !add_program (self, FOLDER "/hyphactl.bin", hyphactl, error))
    return FALSE;
  hypha_cpio_add_text (self->cpio, FOLDER "/hyphactl", 0755, ctl_script);
  if (self->guest.exec) {
    g_autofree char *agent = find_program ("hypha-agent", error);

    if (agent == NULL || !add_program (self, FOLDER "/hypha-agent", agent, error))
      return FALSE;
  }
  return add_transports (self, error);
}

/* One that asks for a loader would look for it, and for libraries, in the guest. */
static gboolean
is_static (const char *program)
{
  g_autoptr (GMappedFile) file = g_mapped_file_new (program, FALSE, NULL);
  const char *data = file != NULL ? g_mapped_file_get_contents (file) : NULL;
  gsize size = file != NULL ? g_mapped_file_get_length (file) : 0;
  ElfW (Ehdr) head;

  if (data == NULL || size < sizeof head || memcmp (data, ELFMAG, SELFMAG) != 0)
    return FALSE;
  memcpy (&head, data, sizeof head);
  for (guint i = 0; i < head.e_phnum; i++) {
    ElfW (Phdr) segment;
    const gsize at = head.e_phoff + i * sizeof segment;

    if (at > size - sizeof segment || head.e_phentsize != sizeof segment)
      return FALSE;
    memcpy (&segment, data + at, sizeof segment);
    if (segment.p_type == PT_INTERP)
      return FALSE;
  }
  return TRUE;
}

static gboolean
find_alone (Initrd *self, GError **error)
{
  self->program = find_program (ALONE, error);
  if (self->program == NULL) {
    g_prefix_error (error, _ ("the program for --static is not installed (it is built where the "
                              "static libraries of GLib and GnuTLS are): "));
    return FALSE;
  }
  if (is_static (self->program))
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
               _ ("%s is no program that is linked statically"), self->program);
  return FALSE;
}

/* It is what it is called. */
static gboolean
add_program_alone (Initrd *self, GError **error)
{
  hypha_cpio_add_link (self->cpio, FOLDER "/hypha-agent", "hyphad");
  hypha_cpio_add_text (self->cpio, "etc/init.d/hypha", 0755, openrc);
  hypha_cpio_add_link (self->cpio, "etc/runlevels/boot/hypha", "/etc/init.d/hypha");
  return add_copy (self, FOLDER "/hyphad", self->program, 0755, error);
}

static void
add_start (Initrd *self)
{
  g_autofree char *start = g_strconcat (
      start_begin, self->alone ? "run=\n" : "run=\"$here/lib/loader --library-path $here/lib\"\n",
      self->guest.exec ? start_agent : "", start_end, NULL);

  hypha_cpio_add_text (self->cpio, FOLDER "/start", 0755, start);
}

static gboolean
add_all (Initrd *self, GError **error)
{
  g_autofree char *config = hypha_guest_make_config (&self->guest);

  hypha_cpio_add_folder (self->cpio, FOLDER, 0755);
  hypha_cpio_add_folder (self->cpio, FOLDER "/identity", 0700);
  hypha_cpio_add_text (self->cpio, FOLDER "/node.conf", 0600, config);
  add_start (self);
  hypha_cpio_add_text (self->cpio, UNITS "/hypha-initrd.service", 0644, unit);
  hypha_cpio_add_link (self->cpio, UNITS "/sysinit.target.wants/hypha-initrd.service",
                       "../hypha-initrd.service");
  return add_copy (self, FOLDER "/identity/key.pem", self->guest.identity, 0600, error) &&
         (self->alone ? add_program_alone (self, error) : add_programs (self, error)) &&
         add_schema (self, error);
}

/* ---- where it goes ---- */

/* It has a secret key in it. */
static gboolean
write_out (Initrd *self, GBytes *bytes, GError **error)
{
  gsize length;
  const char *data = g_bytes_get_data (bytes, &length);

  if (self->output != NULL)
    return g_file_set_contents_full (self->output, data, (gssize) length,
                                     G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
  if (fwrite (data, 1, length, stdout) == length && fflush (stdout) == 0)
    return TRUE;
  g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED, _ ("cannot write to standard output: %s"),
               g_strerror (errno));
  return FALSE;
}

/* It would be replaced: a pipe, /dev/null or what a link leads to is none to write to. */
static gboolean
check_output (Initrd *self, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (self->output);
  GStatBuf status;

  if (g_lstat (self->output, &status) == 0 && !S_ISREG (status.st_mode)) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                 _ ("--output %s is no regular file, and would be replaced by one: give another "
                    "name, or redirect the output"),
                 self->output);
    return FALSE;
  }
  if (g_file_test (folder, G_FILE_TEST_IS_DIR))
    return TRUE;
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
               _ ("--output %s: there is no folder %s"), self->output, folder);
  return FALSE;
}

static gboolean
check (Initrd *self, GError **error)
{
  if (self->output != NULL && *self->output == '\0') {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, _ ("--output is empty"));
    return FALSE;
  }
  if (self->output == NULL && self->guest.ctl->json) {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                 _ ("--json needs --output FILE: the archive is what goes to standard output"));
    return FALSE;
  }
  if (self->output == NULL && isatty (STDOUT_FILENO)) {
    g_set_error (
        error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
        _ ("an archive is nothing for a terminal: give a file by --output FILE, or redirect "
           "the output"));
    return FALSE;
  }
  return (self->output == NULL || check_output (self, error)) &&
         hypha_guest_check (&self->guest, error);
}

gboolean
hypha_verb_guest_initrd (const HyphaVerb *verb, HyphaCtl *ctl, char **argv, GError **error)
{
  g_auto (Initrd) self = { .guest = HYPHA_GUEST_INIT (ctl), .cpio = hypha_cpio_new () };
  const GOptionEntry options[] = {
    HYPHA_GUEST_OPTIONS (&self.guest),
    { "static", 0, 0, G_OPTION_ARG_NONE, &self.alone,
      N_ ("One program that needs no library, for a guest that has nothing"), NULL },
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &self.output,
      N_ ("Where to put the archive, in place of standard output"), N_ ("FILE") },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_auto (GStrv) words = hypha_verb_parse (verb, ctl, options, argv, error);
  g_autoptr (GBytes) bytes = NULL;

  if (words == NULL || !check (&self, error) || (self.alone && !find_alone (&self, error)) ||
      !hypha_guest_make (&self.guest, error) || !add_all (&self, error))
    return FALSE;
  bytes = hypha_cpio_end (self.cpio);
  if (!hypha_guest_trust (&self.guest, error) || !write_out (&self, bytes, error))
    return FALSE;
  if (ctl->json)
    hypha_ctl_print_json (g_variant_new_parsed (
        "{'id': <%s>, 'name': <%s>, 'identity': <%s>, 'output': <%s>, 'bytes': <%t>}",
        self.guest.id, self.guest.name, self.guest.identity, self.output,
        (guint64) g_bytes_get_size (bytes)));
  hypha_guest_tell_where_to_listen (&self.guest);
  return TRUE;
}
