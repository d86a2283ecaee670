/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent/program.h"

int
main (int argc, char **argv)
{
  return hypha_agent_main (argc, argv);
}
