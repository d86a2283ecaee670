/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ssh-dial.h"
#include "ssh-greeting.h"
#include "ssh-reason.h"
#include "ssh.h"
#include "test-transport.h"

#define CONNECT_MS 20000
#define SILENT_ONE "silent" /* an argument of this program */

/* ---- the fixture: a script in the place of ssh ---- */

typedef struct {
  HyphaTransport *transport;
  char *directory;
  char *script;
  char *pid; /* a file where it may write its own */
  HyphaEndpoint *endpoint;
} Fixture;

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autofree char *options = NULL;

  f->directory = g_dir_make_tmp ("hypha-ssh-XXXXXX", NULL);
  g_assert_nonnull (f->directory);
  f->script = g_build_filename (f->directory, "ssh", NULL);
  f->pid = g_build_filename (f->directory, "pid", NULL);
  f->transport = hypha_plugin_ssh.create (NULL);
  options = g_strdup_printf ("{'ssh': <'%s'>}", f->script);
  transport_must_configure (f->transport, options);
  f->endpoint = transport_parse (f->transport, "ssh://me@web1:2222");
}

/* No child of this process is left, be it a zombie. */
static gboolean
is_childless (void)
{
  siginfo_t info;

  return waitid (P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

static void
wait_childless (void)
{
  for (guint i = 0; i < 10000 && !is_childless (); i++)
    g_usleep (1000);
  g_assert_true (is_childless ());
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  hypha_transport_stop (f->transport);
  g_assert_finalize_object (f->transport);
  hypha_endpoint_unref (f->endpoint);
  wait_childless ();
  g_unlink (f->script);
  g_unlink (f->pid);
  g_assert_cmpint (g_rmdir (f->directory), ==, 0);
  g_free (f->script);
  g_free (f->pid);
  g_free (f->directory);
}

/* What ssh does. */
static void
play (Fixture *f, const char *lines)
{
  g_autofree char *text = g_strdup_printf ("#!/bin/sh\ndir='%s'\n%s\n", f->directory, lines);

  g_assert_true (
      g_file_set_contents_full (f->script, text, -1, G_FILE_SET_CONTENTS_NONE, 0700, NULL));
}

static HyphaChannel *
dial_within (Fixture *f, guint timeout_ms, GCancellable *cancellable, GError **error)
{
  g_autoptr (GAsyncResult) result = NULL;

  hypha_transport_connect_async (f->transport, f->endpoint, timeout_ms, cancellable, keep_result,
                                 &result);
  wait_result (&result);
  return hypha_transport_connect_finish (f->transport, result, error);
}

static HyphaChannel *
dial (Fixture *f)
{
  g_autoptr (GError) error = NULL;
  HyphaChannel *channel = dial_within (f, CONNECT_MS, NULL, &error);

  g_assert_no_error (error);
  return channel;
}

static void
assert_fails (Fixture *f, const char *lines, const char *message)
{
  g_autoptr (GError) error = NULL;

  play (f, lines);
  g_assert_null (dial_within (f, CONNECT_MS, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_test_message ("%s", error->message);
  g_assert_true (g_str_has_prefix (error->message, "ssh://me@web1:2222: "));
  g_assert_nonnull (strstr (error->message, message));
}

/* What comes until the end, with no main context running: the end has to come all the same. */
static char *
read_all (HyphaChannel *channel)
{
  int fd = hypha_channel_get_fd (channel);
  struct pollfd pollfd = { .fd = fd, .events = POLLIN };
  GString *text = g_string_new (NULL);
  char bytes[1024];
  gssize n = -1;

  while (poll (&pollfd, 1, CONNECT_MS) == 1 && (n = recv (fd, bytes, sizeof bytes, 0)) > 0)
    g_string_append_len (text, bytes, n);
  g_assert_cmpint (n, ==, 0);
  return g_string_free (text, FALSE);
}

/* ---- the command line ---- */

static void
test_argv (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *uri;
    guint timeout_ms;
    const char *words;
  } cases[] = {
    { "ssh://web1", 1, "ConnectTimeout=1 -- web1 run me" },
    { "ssh://root@web1:22/", 10000, "ConnectTimeout=9 -l root -p 22 -- web1 run me" },
    { "ssh://[2001:DB8::1]", 10001, "ConnectTimeout=10 -- 2001:db8::1 run me" },
    { "ssh://a@[fe80::1%25eth0]:65535", 1000,
      "ConnectTimeout=1 -l a -p 65535 -- fe80::1%eth0 run me" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (HyphaEndpoint) endpoint = hypha_endpoint_parse (cases[i].uri, NULL);
    g_autoptr (SshAddress) address = ssh_address_parse (endpoint, NULL);
    g_auto (GStrv) argv = ssh_dial_dup_argv ("/bin/ssh", "run me", address, cases[i].timeout_ms);
    g_autofree char *joined = g_strjoinv (" ", argv);
    g_autofree char *wanted = g_strconcat (
        "/bin/ssh -T -a -x -e none -o BatchMode=yes -o ClearAllForwardings=yes -o ControlMaster=no "
        "-o RemoteCommand=none -o SessionType=default -o StdinNull=no "
        "-o ForkAfterAuthentication=no -o PermitLocalCommand=no -o ",
        cases[i].words, NULL);

    g_assert_cmpstr (joined, ==, wanted);
    /* One word, whatever is in it: only the shell over there takes it apart. */
    g_assert_cmpstr (argv[g_strv_length (argv) - 1], ==, "run me");
  }
}

static void
test_wrong_options_are_named (Fixture *f, gconstpointer data)
{
  static const char *const cases[][2] = {
    { "{'commands': <'x'>}", "no option 'commands'" },
    { "{'command': <true>}", "'command' of the transport ssh: it is of the type 'b'" },
    { "{'command': <''>}", "'command' of the transport ssh: it is empty" },
    { "{'command': <'-v'>}", "begins with '-'" },
    { "{'command': <'a\\nb'>}", "control character" },
    { "{'ssh': <'-v'>}", "'ssh' of the transport ssh: it is empty, begins" },
    { "{'ssh': <'bin/ssh'>}", "neither an absolute path" },
  };

  transport_assert_refuses (f->transport, cases, G_N_ELEMENTS (cases));
  /* Nothing of them was taken. */
  play (f, "echo 'hypha attached'; printf %s \"$*\"");
  g_object_unref (dial (f));
}

static void
test_probe_looks_for_the_program (Fixture *f, gconstpointer data)
{
  g_auto (GVariantDict) details = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GError) error = NULL;
  const char *found;

  g_assert_false (hypha_transport_probe (f->transport, &details, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_UNAVAILABLE);
  g_assert_nonnull (strstr (error->message, f->script));
  play (f, "true");
  g_assert_true (hypha_transport_probe (f->transport, &details, NULL));
  g_assert_true (g_variant_dict_lookup (&details, "program", "&s", &found));
  g_assert_cmpstr (found, ==, f->script);
}

static void
test_listening_says_what_to_do (Fixture *f, gconstpointer data)
{
  g_autoptr (GAsyncResult) result = NULL;
  g_autoptr (GError) error = NULL;

  hypha_transport_listen_async (f->transport, f->endpoint, NULL, keep_result, &result);
  wait_result (&result);
  g_assert_null (hypha_transport_listen_finish (f->transport, result, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_NOT_SUPPORTED);
  g_assert_nonnull (strstr (error->message, "hyphactl attach"));
}

/* ---- the greeting ---- */

static SshGreetingState
greet (const char *bytes, gsize step, char **left, char **noise)
{
  SshGreetingState state = SSH_GREETING_MORE;
  SshGreeting greeting = { 0 };
  gsize length = strlen (bytes);
  char rest[256] = "";
  int fds[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  for (gsize i = 0; i < length; i += step) {
    g_assert_cmpint (write (fds[1], bytes + i, MIN (step, length - i)), >, 0);
    if (state == SSH_GREETING_MORE)
      state = ssh_greeting_read (&greeting, fds[0]);
  }
  g_assert_cmpint (recv (fds[0], rest, sizeof rest - 1, MSG_DONTWAIT), <, sizeof rest);
  *left = g_strdup (rest);
  *noise = g_strdup (ssh_greeting_get_noise (&greeting));
  close (fds[0]);
  close (fds[1]);
  return state;
}

static void
test_greetings (void)
{
  static const struct {
    const char *bytes;
    SshGreetingState state;
    const char *left, *noise;
  } cases[] = {
    { "hypha attached\n", SSH_GREETING_DONE, "", NULL },
    { "hypha attached\nmore\n", SSH_GREETING_DONE, "more\n", NULL },
    { "hypha attached\nhypha attached\n", SSH_GREETING_DONE, "hypha attached\n", NULL },
    { "Welcome!\n\nhypha attached\nx", SSH_GREETING_DONE, "x", NULL },
    { "no line feed hypha attached\nx", SSH_GREETING_DONE, "x", NULL },
    { "hypha attached", SSH_GREETING_MORE, "", "hypha attached" },
    { "hypha attached\r\n", SSH_GREETING_MORE, "", "hypha attached\r" },
    { "hypha\nattached\n", SSH_GREETING_MORE, "", "attached" },
    { "bash: hyphactl: not found\n", SSH_GREETING_MORE, "", "bash: hyphactl: not found" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    for (gsize step = 1; step <= 64; step += 7) {
      g_autofree char *left = NULL, *noise = NULL;

      g_assert_cmpint (greet (cases[i].bytes, step, &left, &noise), ==, cases[i].state);
      g_assert_cmpstr (left, ==, cases[i].left);
      if (cases[i].state == SSH_GREETING_MORE)
        g_assert_cmpstr (noise, ==, cases[i].noise);
    }
  }
}

static void
test_noise_is_bounded (void)
{
  for (guint i = 0; i < 2; i++) {
    g_autofree char *much = g_strnfill (2 * SSH_GREETING_MAX_NOISE, 'x');
    g_autofree char *left = NULL, *noise = NULL;

    /* In lines, and in one that never ends. */
    for (gsize j = 70; i == 0 && j < 2 * SSH_GREETING_MAX_NOISE; j += 70)
      much[j] = '\n';
    g_assert_cmpint (greet (much, 997, &left, &noise), ==, SSH_GREETING_NONE);
    g_assert_cmpuint (strlen (noise), <, 512);
  }
}

/* ---- how it goes ---- */

static void
test_channel (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  play (f, "echo motd; echo 'hypha attached'; echo \"$*\"; cat; echo end");
  channel = dial (f);
  g_assert_cmpstr (hypha_channel_get_host (channel), ==, "web1");
  g_assert_true (hypha_endpoint_equal (hypha_channel_get_remote (channel), f->endpoint));
  g_assert_cmpint (send (hypha_channel_get_fd (channel), "word\n", 5, MSG_NOSIGNAL), ==, 5);
  g_assert_cmpint (shutdown (hypha_channel_get_fd (channel), SHUT_WR), ==, 0);
  text = read_all (channel);
  g_assert_true (g_str_has_prefix (text, "-T -a -x "));
  g_assert_true (g_str_has_suffix (text, " -- web1 hyphactl attach ssh\nword\nend\n"));
  error = hypha_channel_dup_error (channel);
  g_assert_no_error (error);
}

/* What ssh was made to start may stay. */
static void
test_end_is_that_of_ssh (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;
  g_autofree char *text = NULL, *pid = NULL;

  play (f, "echo 'hypha attached'; echo more; sleep 1000 & echo $! >\"$dir\"/pid; exit 0");
  channel = dial (f);
  text = read_all (channel);
  g_assert_cmpstr (text, ==, "more\n");
  g_assert_true (g_file_get_contents (f->pid, &pid, NULL, NULL));
  g_assert_cmpint (kill ((int) g_ascii_strtoll (pid, NULL, 10), SIGKILL), ==, 0);
}

/* Whoever reads the end finds the reason, at once. */
static void
test_bad_end_is_told (Fixture *f, gconstpointer data)
{
  static const char *const cases[][2] = {
    { "echo 'hypha attached'; echo lost >&2; exit 255", "ssh ended with status 255: lost" },
    { "echo 'hypha attached'; read x; exit 1", "ssh ended with status 1" },
    { "echo 'hypha attached'; read x; kill -9 $$", "signal 9 ended ssh" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (HyphaChannel) channel = NULL;
    g_autoptr (GError) error = NULL;
    g_autofree char *text = NULL;

    play (f, cases[i][0]);
    channel = dial (f);
    if (i > 0)
      g_assert_cmpint (send (hypha_channel_get_fd (channel), "\n", 1, MSG_NOSIGNAL), ==, 1);
    text = read_all (channel);
    g_assert_cmpstr (text, ==, "");
    error = hypha_channel_dup_error (channel);
    g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_RESET);
    g_assert_cmpstr (error->message, ==, cases[i][1]);
  }
}

static void
test_failures (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  assert_fails (f, "echo 'me@web1: Permission denied (publickey).' >&2; exit 255",
                "ssh -p 2222 me@web1 -o BatchMode=yes true");
  assert_fails (f, "echo 'Host key verification failed.' >&2; exit 255",
                "as the user that the node runs as: ssh -p 2222 me@web1");
  assert_fails (f, "echo 'ssh: connect to host web1 port 22: No route' >&2; exit 255",
                "ssh could not connect: ssh: connect to host web1 port 22: No route");
  assert_fails (f, "exit 255", "ssh could not connect: ssh ended with status 255");
  assert_fails (f, "echo 'sh: 1: hyphactl: not found' >&2; exit 127",
                "cannot run 'hyphactl attach ssh' (sh: 1: hyphactl: not found)");
  assert_fails (f, "exit 126", "cannot run 'hyphactl attach ssh'");
  assert_fails (f, "echo 'hyphactl: no node' >&2; exit 1",
                "did not attach (status 1): hyphactl: no node");
  assert_fails (f, "echo 'This account is closed.'; exit 1", "(status 1): This account is closed.");
  assert_fails (f, "exit 0", "did not attach (status 0)");
  assert_fails (f, "kill -9 $$", "signal 9 ended ssh");
  assert_fails (f, "while :; do echo 'all work and no play'; done",
                "sends something else; does 'hyphactl attach ssh' run there, and do its shell's "
                "start-up files print nothing?: all work and no play");
  g_assert_cmpint (g_unlink (f->script), ==, 0);
  g_assert_null (dial_within (f, CONNECT_MS, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_assert_nonnull (strstr (error->message, f->script));
  g_assert_nonnull (strstr (error->message, "openssh-client"));
}

/* The last of it, in one line that does nothing to a terminal. */
static void
test_words_are_bounded_and_escaped (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  play (f, "i=0; while [ $i -lt 20000 ]; do echo \"line $i\"; i=$((i+1)); done >&2\n"
           "printf '\\033[31mred\\r\\n\\n\\377\\n' >&2; exit 255");
  g_assert_null (dial_within (f, CONNECT_MS, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_CONNECT);
  g_test_message ("%s", error->message);
  g_assert_cmpuint (strlen (error->message), <, 1500);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  g_assert_nonnull (strstr (error->message, "line 19999; \\u{1b}[31mred; \357\277\275"));
  g_assert_null (strchr (error->message, '\n'));
}

/* A channel goes on whatever ssh says; and it can say what it likes. */
static void
test_talkative_one_does_not_stop (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;
  g_autofree char *text = NULL;

  play (f, "echo 'hypha attached'; dd if=/dev/zero bs=65536 count=64 >&2 2>/dev/null; echo done");
  channel = dial (f);
  text = read_all (channel);
  g_assert_cmpstr (text, ==, "done\n");
}

/* ---- its end ---- */

static void
test_deadline_tells_what_was_said (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  play (f, "echo 'waiting for nothing' >&2; exec sleep 1000");
  g_assert_null (dial_within (f, 500, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT);
  g_assert_nonnull (strstr (error->message, "in time: waiting for nothing"));
  wait_childless ();
}

/* It may say that there is nothing more to come, and stay: that is waited for, and not looked at
 * again and again. */
static void
test_end_before_the_greeting_is_waited_out (Fixture *f, gconstpointer data)
{
  g_autofree char *line = g_strdup_printf ("exec /proc/%d/exe " SILENT_ONE, (int) getpid ());
  g_autoptr (GError) error = NULL;
  clock_t before = clock ();

  play (f, line);
  g_assert_null (dial_within (f, 1000, NULL, &error));
  g_assert_error (error, HYPHA_ERROR, HYPHA_ERROR_TIMED_OUT);
  g_assert_cmpint (clock () - before, <, CLOCKS_PER_SEC / 2);
}

static gboolean
on_cancel (gpointer user_data)
{
  g_cancellable_cancel (user_data);
  return G_SOURCE_REMOVE;
}

static void
test_cancelled_leaves_no_process (Fixture *f, gconstpointer data)
{
  /* One that goes, and one that has to be killed. */
  static const char *const lines[] = { "exec sleep 1000",
                                       "trap '' TERM; while :; do sleep 0.1; done" };

  for (guint i = 0; i < 2 * G_N_ELEMENTS (lines); i++) {
    g_autoptr (GCancellable) cancellable = g_cancellable_new ();
    g_autoptr (GError) error = NULL;

    play (f, lines[i / 2]);
    g_timeout_add (i % 2 * 100, on_cancel, cancellable);
    g_assert_null (dial_within (f, CONNECT_MS, cancellable, &error));
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    wait_childless ();
  }
}

static void
test_closed_channel_ends_it (Fixture *f, gconstpointer data)
{
  /* By itself, by being asked, and by being killed. */
  static const char *const lines[] = {
    "echo 'hypha attached'; exec cat >/dev/null",
    "echo 'hypha attached'; exec sleep 1000",
    "echo 'hypha attached'; trap '' TERM; while :; do sleep 0.1; done",
  };

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    play (f, lines[i]);
    g_object_unref (dial (f));
    wait_childless ();
  }
}

/* A half of it is not the end. */
static void
test_half_closed_channel_goes_on (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;
  g_autofree char *text = NULL;

  play (f, "echo 'hypha attached'; cat >/dev/null; sleep 2.5; echo late");
  channel = dial (f);
  g_assert_cmpint (shutdown (hypha_channel_get_fd (channel), SHUT_WR), ==, 0);
  text = read_all (channel);
  g_assert_cmpstr (text, ==, "late\n");
}

/* What a terminal sends to a group - the user's interrupt - is for this process, which then still
 * has something to say. */
static void
test_has_a_session_of_its_own (Fixture *f, gconstpointer data)
{
  g_autoptr (HyphaChannel) channel = NULL;
  g_autofree char *text = NULL;
  int pid;

  play (f, "echo $$ >\"$dir\"/pid; echo 'hypha attached'; exec cat");
  channel = dial (f);
  g_assert_true (g_file_get_contents (f->pid, &text, NULL, NULL));
  pid = (int) g_ascii_strtoll (text, NULL, 10);
  g_assert_cmpint (getsid (pid), ==, pid);
}

/* Nobody is left to close anything then. */
static void
test_goes_with_this_process (Fixture *f, gconstpointer data)
{
  g_autofree char *text = NULL;
  int status, pid;

  play (f, "echo $$ >\"$dir\"/pid; exec sleep 1000");
  pid = fork ();
  if (pid == 0) {
    g_autoptr (GAsyncResult) result = NULL;

    hypha_transport_connect_async (f->transport, f->endpoint, CONNECT_MS, NULL, keep_result,
                                   &result);
    for (;;)
      g_main_context_iteration (NULL, TRUE);
  }
  while (!g_file_get_contents (f->pid, &text, NULL, NULL) || strchr (text, '\n') == NULL) {
    g_clear_pointer (&text, g_free);
    g_usleep (1000);
  }
  kill (pid, SIGKILL);
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  pid = (int) g_ascii_strtoll (text, NULL, 10);
  for (guint i = 0; i < 10000 && kill (pid, 0) == 0; i++)
    g_usleep (1000);
  g_assert_cmpint (kill (pid, 0), !=, 0);
}

#define ADD(name, func) g_test_add ("/ssh/" name, Fixture, NULL, set_up, func, tear_down)

/* In the place of ssh, what no shell can do. */
static G_NORETURN void
be_silent (void)
{
  shutdown (STDOUT_FILENO, SHUT_WR);
  for (;;)
    pause ();
}

int
main (int argc, char *argv[])
{
  if (argc > 1 && g_str_equal (argv[1], SILENT_ONE))
    be_silent ();
  g_test_init (&argc, &argv, NULL);
  /* First: it forks, and there is no other thread yet. */
  ADD ("goes-with-this-process", test_goes_with_this_process);
  ADD ("command-line-is-as-documented", test_argv);
  ADD ("wrong-options-are-named", test_wrong_options_are_named);
  ADD ("probe-looks-for-the-program", test_probe_looks_for_the_program);
  ADD ("listening-says-what-to-do", test_listening_says_what_to_do);
  g_test_add_func ("/ssh/greeting/alone-is-taken", test_greetings);
  g_test_add_func ("/ssh/greeting/noise-is-bounded", test_noise_is_bounded);
  ADD ("channel-is-its-input-and-output", test_channel);
  ADD ("has-a-session-of-its-own", test_has_a_session_of_its_own);
  ADD ("end-is-that-of-ssh-alone", test_end_is_that_of_ssh);
  ADD ("bad-end-is-told", test_bad_end_is_told);
  ADD ("failures-say-what-to-do", test_failures);
  ADD ("words-are-bounded-and-escaped", test_words_are_bounded_and_escaped);
  ADD ("talkative-one-does-not-stop", test_talkative_one_does_not_stop);
  ADD ("deadline-tells-what-was-said", test_deadline_tells_what_was_said);
  ADD ("end-before-the-greeting-is-waited-out", test_end_before_the_greeting_is_waited_out);
  ADD ("cancelled-leaves-no-process", test_cancelled_leaves_no_process);
  ADD ("closed-channel-ends-it", test_closed_channel_ends_it);
  ADD ("half-closed-channel-goes-on", test_half_closed_channel_goes_on);
  return g_test_run ();
}
