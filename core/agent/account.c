/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/account.h"

#include <glib/gi18n-lib.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <hypha-api.h>

#define MAX_GROUPS 65536

static const char *
or_else (const char *text, const char *fallback)
{
  return text && *text ? text : fallback;
}

static HyphaAgentAccount *
account_new (const struct passwd *entry)
{
  HyphaAgentAccount *self = g_new0 (HyphaAgentAccount, 1);

  self->name = g_strdup (entry->pw_name);
  self->home = g_strdup (or_else (entry->pw_dir, "/"));
  self->shell = g_strdup (or_else (entry->pw_shell, "/bin/sh"));
  self->uid = entry->pw_uid;
  self->gid = entry->pw_gid;
  return self;
}

/* In a container, a uid may have no name. */
static HyphaAgentAccount *
account_new_nameless (void)
{
  HyphaAgentAccount *self = g_new0 (HyphaAgentAccount, 1);

  self->name = g_strdup_printf ("%u", (guint) geteuid ());
  self->home = g_strdup ("/");
  self->shell = g_strdup ("/bin/sh");
  self->uid = geteuid ();
  self->gid = getegid ();
  return self;
}

/* Here and not in the child, where after fork() little is allowed. */
static gboolean
find_groups (HyphaAgentAccount *self, GError **error)
{
  int n = 64;

  for (;;) {
    int room = n;

    self->groups = g_renew (gid_t, self->groups, (gsize) n);
    if (getgrouplist (self->name, self->gid, self->groups, &n) >= 0)
      break;
    if (n <= room || n > MAX_GROUPS) {
      g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_FAILED,
                   _ ("the groups of user %s cannot be found out"), self->name);
      return FALSE;
    }
  }
  self->n_groups = n;
  return TRUE;
}

/**
 * hypha_agent_account_find:
 * @name: (nullable): of a user; %NULL: the one that this process runs as
 * @error: return location for an error: %HYPHA_ERROR_INVALID_ARGUMENT (there is none),
 * %HYPHA_ERROR_PERMISSION_DENIED (this process cannot become it)
 *
 * Looks a user up. May wait for whoever knows the users.
 *
 * Returns: (transfer full) (nullable): the user
 */
HyphaAgentAccount *
hypha_agent_account_find (const char *name, GError **error)
{
  const struct passwd *entry = name ? getpwnam (name) : getpwuid (geteuid ());
  g_autoptr (HyphaAgentAccount) self = NULL;

  if (entry == NULL && name) {
    g_autofree char *shown = g_strescape (name, NULL);

    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_INVALID_ARGUMENT,
                 _ ("there is no user '%s' on this node"), shown);
    return NULL;
  }
  self = entry ? account_new (entry) : account_new_nameless ();
  self->become = geteuid () == 0;
  if (self->become)
    return find_groups (self, error) ? g_steal_pointer (&self) : NULL;
  if (self->uid != geteuid ()) {
    g_set_error (error, HYPHA_ERROR, HYPHA_ERROR_PERMISSION_DENIED,
                 _ ("this node's hypha-agent cannot become user %s: only one that runs as root "
                    "can, like that of the system"),
                 self->name);
    return NULL;
  }
  return g_steal_pointer (&self);
}

/**
 * hypha_agent_account_free:
 * @self: (transfer full): an account
 *
 * Frees it.
 */
void
hypha_agent_account_free (HyphaAgentAccount *self)
{
  g_free (self->name);
  g_free (self->home);
  g_free (self->shell);
  g_free (self->groups);
  g_free (self);
}
