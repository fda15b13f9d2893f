#pragma STDC FP_CONTRACT OFF

// The loops of models in portable C.

#define TARGET 
#define FILL ck_fill_plain_compute

#include "compute_loops.h"
