/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client/standard-streams.h"

#include <fcntl.h>
#include <unistd.h>

/**
 * hypha_client_open_standard_streams: (skip)
 *
 * Opens those of this process that were closed when it started. What is opened after this is none
 * of the three: neither the bus, nor a stream, nor a pipe of a command.
 */
void
hypha_client_open_standard_streams (void)
{
  int fd;

  do
    fd = open ("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0)
    close (fd);
}
