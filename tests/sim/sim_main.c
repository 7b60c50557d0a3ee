/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * The program `sim`: runs seeds, tells how many a second, and of one that fails how to see it again. */
#include "client/variant.h"
#include "officeflow/variant.h"
#include "protocol/base/poison.h"
#include "tests/sim/sim.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/** More of them say no more. */
#define FAILURES_MAX 10

extern const sim_workload sim_assign, sim_committed, sim_group, sim_officeflow, sim_produce,
    sim_redrive;

static const sim_workload *const workloads[] = {&sim_produce,   &sim_assign,     &sim_group,
                                                &sim_committed, &sim_officeflow, &sim_redrive};
#define WORKLOADS (sizeof workloads / sizeof workloads[0])

static const sim_workload *find_workload(const char *name)
{
    for (size_t i = 0; i < WORKLOADS; i++)
        if (strcmp(workloads[i]->name, name) == 0)
            return workloads[i];
    return NULL;
}

#ifdef KC_SIM_VARIANTS
kc_variant kc_variant_now;
of_variant of_variant_now;
#endif

static const struct {
    const char *name, *workload, *about;
    int client, platform; /**< the variant, of one of them */
} variants[] = {
#define CLIENT_ITEM(name, workload, about)   {#name, workload, about, KC_VARIANT_##name, 0},
#define PLATFORM_ITEM(name, workload, about) {#name, workload, about, 0, OF_VARIANT_##name},
    KC_VARIANTS(CLIENT_ITEM) OF_VARIANTS(PLATFORM_ITEM)
#undef CLIENT_ITEM
#undef PLATFORM_ITEM
};
#define VARIANTS (sizeof variants / sizeof variants[0])

typedef struct sim_command {
    const char *program;
    uint64_t first_seed;
    uint64_t seeds; /**< 0: as many as the time allows */
    uint64_t step;  /**< every so-many-th: one of several processes */
    double minutes; /**< 0: no limit */
    bool has_trace;
    bool is_twice; /**< each seed twice: are both the same? */
    bool expects_failure;
    const sim_workload *workload; /**< NULL: all in turn */
    const char *sums;             /**< file that gets the totals as numbers; NULL: none */
} sim_command;

typedef struct sim_totals {
    uint64_t runs, failed, faults;
    double virtual_s;
} sim_totals;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void usage(FILE *out)
{
    fprintf(
        out,
        "usage: sim [options]\n\n"
        "Runs clients, a cluster and the network between them on a virtual clock, with faults "
        "drawn from a seed.\n\n"
        "  --seed N          run this seed (default: begin with 1)\n"
        "  --seeds COUNT     so many, counted up from --seed (default 1 with --seed, else 100)\n"
        "  --minutes M       as many as fit into this time\n"
        "  --step K          every K-th seed (several processes share the work)\n"
        "  --workload NAME   only this one (default: all in turn)\n"
        "  --trace           print what happens\n"
        "  --twice           run each seed twice and compare\n"
        "  --sums FILE       at the end append seeds, faults, failures and seconds of virtual "
        "time\n"
        "  --expect-failure  exit 0 when a seed fails, 1 when none does (for broken "
        "variants)\n\nworkloads:\n");
    for (size_t i = 0; i < WORKLOADS; i++)
        fprintf(out, "  %-12s %s\n", workloads[i]->name, workloads[i]->about);
    fprintf(out, "\nvariants:\n");
    for (size_t i = 0; i < VARIANTS; i++)
        fprintf(out, "  %-24s %s\n", variants[i].name, variants[i].about);
}

/** False: there is none of this name, or nothing is built with them. */
static bool break_client(const char *name, sim_command *command)
{
#ifdef KC_SIM_VARIANTS
    for (size_t i = 0; i < VARIANTS; i++) {
        if (strcmp(variants[i].name, name) != 0)
            continue;
        kc_variant_now = (kc_variant)variants[i].client;
        of_variant_now = (of_variant)variants[i].platform;
        command->workload = find_workload(variants[i].workload);
        command->expects_failure = true;
        return command->workload != NULL;
    }
#else
    (void)name;
    (void)command;
#endif
    return false;
}

static bool parse(int argc, char **argv, sim_command *command)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"seeds", required_argument, NULL, 'n'},
        {"minutes", required_argument, NULL, 'm'},
        {"step", required_argument, NULL, 'k'},
        {"workload", required_argument, NULL, 'w'},
        {"trace", no_argument, NULL, 't'},
        {"twice", no_argument, NULL, '2'},
        {"variant", required_argument, NULL, 'x'},
        {"sums", required_argument, NULL, 'u'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    bool has_seed = false;
    int option;
    *command = (sim_command){.program = argv[0], .first_seed = 1, .step = 1};
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 's':
            command->first_seed = strtoull(optarg, NULL, 10);
            has_seed = true;
            break;
        case 'n':
            command->seeds = strtoull(optarg, NULL, 10);
            break;
        case 'm':
            command->minutes = strtod(optarg, NULL);
            break;
        case 'k':
            command->step = strtoull(optarg, NULL, 10);
            break;
        case 'w':
            command->workload = find_workload(optarg);
            if (!command->workload)
                return false;
            break;
        case 't':
            command->has_trace = true;
            break;
        case '2':
            command->is_twice = true;
            break;
        case 'u':
            command->sums = optarg;
            break;
        case 'x':
            if (!break_client(optarg, command))
                return false;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            return false;
        }
    }
    if (command->seeds == 0 && command->minutes == 0)
        command->seeds = has_seed ? 1 : 100;
    return command->step > 0 && optind == argc;
}

static void tell_progress(const sim_totals *totals, double begun, bool is_last)
{
    double took = seconds() - begun;
    fprintf(stderr,
            "%s%" PRIu64 " seeds, %.0f/s, %.1f h of virtual time, %" PRIu64 " faults, %" PRIu64
            " failed%s",
            isatty(2) ? "\r" : "", totals->runs, (double)totals->runs / (took > 0 ? took : 1),
            totals->virtual_s / 3600, totals->faults, totals->failed,
            is_last || !isatty(2) ? "\n" : "");
}

/** How to see again what ends the program itself: written before a seed runs, for a signal handler may not. */
static char crash_text[256];

static void tell_crash(void)
{
    (void)!write(1, crash_text, strlen(crash_text));
}

static void on_abort(int signal_number)
{
    signal(signal_number, SIG_DFL);
    tell_crash(); // the assertion has told itself
}

/** A broken client may fail an assertion of its own first: found as well. */
static void on_expected_abort(int signal_number)
{
    (void)signal_number;
    static const char text[] = "found by an assertion\n";
    _exit(write(1, text, sizeof text - 1) < 0);
}

static void watch_crashes(bool expects_failure)
{
    signal(SIGABRT, expects_failure ? on_expected_abort : on_abort);
#ifdef KB_HAS_ASAN
    __sanitizer_set_death_callback(tell_crash);
#endif
}

/** For scripts/sim, which adds up what several processes did. */
static bool write_sums(const char *path, const sim_totals *totals)
{
    FILE *file = fopen(path, "a");
    bool is_written =
        file && fprintf(file, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %.0f\n", totals->runs,
                        totals->faults, totals->failed, totals->virtual_s) > 0;
    if (file)
        is_written = fclose(file) == 0 && is_written;
    if (!is_written)
        fprintf(stderr, "sim: %s can't be written\n", path);
    return is_written;
}

static bool run_one(const sim_command *command, uint64_t seed, const sim_workload *workload,
                    sim_totals *totals)
{
    sim_result result, again;
    snprintf(crash_text, sizeof crash_text,
             "FAILED seed %" PRIu64 " workload %s: crashed\n  replay: %s --seed %" PRIu64
             " --workload %s --trace\n",
             seed, workload->name, command->program, seed, workload->name);
    sim_run(seed, workload, command->has_trace, &result);
    totals->runs++;
    totals->faults += result.faults;
    totals->virtual_s += (double)result.virtual_us / 1e6;
    if (command->is_twice && !result.has_failed) {
        sim_run(seed, workload, false, &again);
        if (again.hash != result.hash) {
            result.has_failed = true;
            snprintf(result.failure, sizeof result.failure, "two runs of the seed differ");
        }
    }
    if (!result.has_failed)
        return true;
    totals->failed++;
    printf("FAILED seed %" PRIu64 " workload %s: %s\n  replay: %s --seed %" PRIu64
           " --workload %s --trace\n",
           seed, workload->name, result.failure, command->program, seed, workload->name);
    fflush(stdout);
    return false;
}

int main(int argc, char **argv)
{
    sim_command command;
    sim_totals totals = {0};
    if (!parse(argc, argv, &command)) {
        usage(stderr);
        return 2;
    }
    watch_crashes(command.expects_failure);
    double begun = seconds();
    double told = begun;
    for (uint64_t i = 0; command.seeds == 0 || i < command.seeds; i++) {
        uint64_t seed = command.first_seed + i * command.step;
        const sim_workload *workload =
            command.workload ? command.workload : workloads[seed % WORKLOADS];
        bool is_good = run_one(&command, seed, workload, &totals);
        double now = seconds();
        if (now - told > (isatty(2) ? 0.5 : 30)) {
            tell_progress(&totals, begun, false);
            told = now;
        }
        if (totals.failed == FAILURES_MAX) {
            printf("%d failures are enough\n", FAILURES_MAX);
            break;
        }
        if ((command.minutes > 0 && now - begun > command.minutes * 60) ||
            (!is_good && command.expects_failure))
            break;
    }
    tell_progress(&totals, begun, true);
    if (command.sums && !write_sums(command.sums, &totals))
        return 2;
    return (totals.failed > 0) != command.expects_failure;
}
