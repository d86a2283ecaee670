/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* hypha-agent. */
int hypha_agent_main (int argc, char **argv);
