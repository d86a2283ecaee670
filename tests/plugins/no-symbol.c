/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

/* A shared object like any other. */
extern int fixture_answer;
__attribute__ ((visibility ("default"))) int fixture_answer = 42;
