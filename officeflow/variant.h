/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Deliberate faults, compiled in only to test that the simulation (tests/sim) finds them. In the library every
 * OF_VARIANT() is the constant false. As client/variant.h, for this layer. */
#ifndef OF_VARIANT_H
#define OF_VARIANT_H

/* name, the workload it shows in, what is wrong */
#define OF_VARIANTS(X)                                                                             \
    X(DEAD_FORGOTTEN, "officeflow", "an event is put away without its dead letter")                \
    X(FORWARD_NOT_AWAITED, "officeflow", "offsets move before the forward is acknowledged")        \
    X(FORWARD_ERROR_IGNORED, "officeflow", "a forward that failed counts as written")              \
    X(TRIES_MISCOUNTED, "officeflow", "a retry topic forgets one try")                             \
    X(BUSY_COSTS_A_TRY, "officeflow", "OF_BUSY counts as a try")                                   \
    X(CANCELLED_IS_DONE, "officeflow", "what is under way when it is revoked counts as handled")   \
    X(NEXT_TOO_EARLY, "officeflow", "the next event is begun while one waits for its retry")       \
    X(VALUE_LOST, "officeflow", "a retry record goes without its value")                           \
    X(BATCH_LEAKS, "officeflow", "the memory of an event that was taken away is not given back")   \
    X(LETTER_FORGOTTEN, "redrive", "offsets of dead letters move before those are done")           \
    X(RELEASE_UNWRITTEN, "redrive", "a redrive is told of and not made")                           \
    X(REDRIVE_MISCOUNTED, "redrive", "a redrive has the number of the one before")                 \
    X(REDRIVE_VALUE_LOST, "redrive", "a redrive goes without its value")                           \
    X(REDRIVES_UNBOUNDED, "redrive", "redrives are never used up")                                 \
    X(STRICT_REDRIVEN, "redrive", "a family kept in order is redriven like any other")             \
    X(STATES_IGNORED, "redrive", "a letter that comes again is dealt with again")                  \
    X(REDRIVEN_TOLD_LATE, "redrive", "a redrive is told when its state is written")

typedef enum of_variant {
    OF_VARIANT_NONE,
#define OF_VARIANT_ITEM(name, workload, about) OF_VARIANT_##name,
    OF_VARIANTS(OF_VARIANT_ITEM)
#undef OF_VARIANT_ITEM
} of_variant;

#ifdef KC_SIM_VARIANTS
/** The one that is on; set before the first platform is opened. */
extern of_variant of_variant_now;
#define OF_VARIANT(name) (of_variant_now == OF_VARIANT_##name)
#else
#define OF_VARIANT(name) false
#endif

#endif
